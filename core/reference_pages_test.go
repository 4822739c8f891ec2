package dataproxy_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

var update = flag.Bool("update", false, "write the reference pages anew")

const made = "Made from the tables in the code; do not edit. To make it anew: `go test ./core -run TestReferencePagesAreCurrent -update`."

// The reference pages are made from the tables that the code runs on; a page that was not made anew tells lies.
//
// To make them: go test ./core -run TestReferencePagesAreCurrent -update
func TestReferencePagesAreCurrent(t *testing.T) {
	for file, write := range map[string]func(*page){"OPTIONS.md": writeOptions, "ERRORS.md": writeErrors, "METRICS.md": writeMetrics} {
		var want page
		write(&want)
		if *update {
			if err := os.WriteFile(file, []byte(want.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want.String() {
			t.Errorf("%s is stale: go test ./core -run TestReferencePagesAreCurrent -update", file)
		}
	}
}

// page is a page of Markdown.
type page struct{ strings.Builder }

// text writes lines as they are.
func (p *page) text(lines string) { p.WriteString(lines + "\n") }

// row writes a row of a table.
func (p *page) row(cells ...string) {
	for _, cell := range cells {
		p.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
	}
	p.WriteString("|\n")
}

// header begins a table.
func (p *page) header(cells ...string) {
	p.row(cells...)
	p.WriteString(strings.Repeat("|---", len(cells)) + "|\n")
}

func quoted(name string) string { return "`" + name + "`" }

func writeOptions(p *page) {
	p.text(`# Options

` + made + `

The key is the option's name in C (` + "`inlong_options_set`" + `), in Python (keyword argument), and for ` + "`dataproxy.WithOption`" + `. As
text, a duration carries its unit ("20ms", "30s", "5m"; Python takes seconds or a timedelta too), a size is a number of bytes or
ends in K, M or G (KiB, MiB, GiB), a map is "name=value&name2=value2", a list is separated by commas.
`)
	p.header("Key", "Go", "Kind", "Default", "Range", "Meaning")
	for _, o := range dataproxy.OptionTable() {
		span := ""
		switch {
		case o.Values != "":
			span = strings.ReplaceAll(o.Values, "|", ", ")
		case o.Max != "":
			span = o.Min + " to " + o.Max
		case o.Min != "":
			span = o.Min + " or more"
		}
		p.row(quoted(o.Key), quoted(o.Name), o.Kind, o.Default, span, o.Doc)
	}
	p.text(`
These take Go values and have no key: ` + "`WithBufferPool`, `WithBytePool`, `WithLogger`, `WithSlog`, `WithMetricsRegistry`, `WithAuth`,\n`WithTLSConfig`, `WithResultHandler`.")
}

func writeErrors(p *page) {
	p.text(`# Error codes

` + made + `

` + "`inlong-dataproxy errors CODE`" + ` prints a row of these tables.

## Codes of the client

The number in ` + "`Error.Code`" + ` (Go), of ` + "`inlong_result`" + ` (C) and ` + "`SendError.code`" + ` (Python); a text such as "message send timeout" is the
existing SDK's. *Send again*: whether that may help. *Persisted* is what the error says of the message: after not_written, sending
it again cannot double it; after maybe_written it can. With both, ask the error.
`)
	p.header("Code", "Name", "Text", "Send again", "Persisted", "When", "What to do")
	for _, c := range dataproxy.Codes() {
		var persisted []string
		for _, what := range c.Persisted {
			persisted = append(persisted, what.String())
		}
		again := "useless"
		switch {
		case c.Code == dataproxy.CodeServerError:
			again = "see the server's code"
		case c.Code == dataproxy.CodeOK || len(c.Persisted) == 0:
			again = "-"
		case c.Retriable:
			again = "helps"
		}
		p.row(fmt.Sprint(int(c.Code)), quoted(c.Name), c.Text, again, cmp.Or(strings.Join(persisted, " or "), "-"), c.Meaning, c.Advice)
	}
	p.text(`
## Codes of a DataProxy

A message that a DataProxy refused has the client's code 10011 and, beside it, one of these: ` + "`Error.ServerCode`" + ` (Go), ` + "`server_code`" + `
(C and Python). The names are the server's own, those of its class DataProxyErrCode in InLong 2.x; no answer carries them. *The client
retries*: by default, only with ` + "`retry_on_server_error`" + `, or never, because the batch fails on every node. Such an error says
not_written, unless an earlier attempt was lost without an answer.
`)
	p.header("Code", "Name", "The client retries", "Send again", "When", "What to do")
	for _, c := range dataproxy.ServerCodes() {
		retries, again := "with retry_on_server_error", "useless"
		switch {
		case c.Retriable:
			retries, again = "by default", "helps"
		case c.Hopeless:
			retries = "never"
		}
		p.row(fmt.Sprint(c.Code), quoted(c.Name), retries, again, c.Meaning, c.Advice)
	}
}

func writeMetrics(p *page) {
	p.text(`# Metrics

` + made + `

A Go client registers these Prometheus metrics with its ` + "`WithMetricsRegistry`" + `, by default prometheus.DefaultRegisterer. Names, kinds,
labels, buckets and help texts are those of the existing Go SDK, so dashboards and alerts go on working, and clients of both, or
several of this one, share a registry. A metric of another kind under one of these names makes NewClient fail, with the name.

Labels: ` + "`name`" + ` is the option metrics_name. ` + "`code`" + ` is the client's result code, 0 for success, see ERRORS.md; the server's own codes
are all in 10011. ` + "`worker`" + ` is the lane, from 0 to worker_num - 1.

C and Python programs get them as text by ` + "`inlong_client_metrics`" + ` and ` + "`client.metrics()`" + `; for prometheus_client there is
` + "`inlong_dataproxy.prometheus`" + `.
`)
	p.header("Name", "Kind", "Labels", "Buckets up to", "Help", "Moves")
	for _, m := range dataproxy.Metrics() {
		var buckets []string
		for _, upTo := range m.Buckets {
			buckets = append(buckets, fmt.Sprintf("%.0f", upTo))
		}
		p.row(quoted(m.Name), m.Kind, "name, "+m.Label, strings.Join(buckets, ", "), m.Help, m.Moves)
	}
}
