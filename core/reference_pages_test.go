package dataproxy_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

var update = flag.Bool("update", false, "write the reference pages anew")

const made = "Made from the tables in the code; do not edit. To update it: `go test ./core -run TestReferencePagesAreCurrent -update`."

// The reference pages are made from the tables that the code runs on; a page that was not made anew tells lies.
//
// To make them: go test ./core -run TestReferencePagesAreCurrent -update
func TestReferencePagesAreCurrent(t *testing.T) {
	for file, write := range map[string]func(*page){"docs/OPTIONS.md": writeOptions, "docs/ERRORS.md": writeErrors, "docs/METRICS.md": writeMetrics} {
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

// optionGroups is the order of the page of options.
var optionGroups = []struct{ heading, keys string }{
	{"The six that matter", "url group_id basic_auth send_timeout block_if_queue_is_full ordered"},
	{"Manager and nodes", "static_nodes node_cache lazy_start update_interval manager_timeout"},
	{"Credentials, TLS and proxies", "basic_auth_file ca_file client_cert_file client_key_file socks socks_auth node_tls node_tls_name"},
	{"Time and retries", "ack_timeout max_retries retry_initial_interval retry_on_server_error"},
	{"Batches", "batching_max_publish_delay batching_max_messages batching_max_size compression message_format max_frame_size add_columns " +
		"trim_trailing_newline"},
	{"Memory", "max_pending_messages max_pending_bytes buffer_pool_size byte_pool_size byte_pool_width"},
	{"Disk", "spool_dir spool_max_bytes spool_after spool_sync spool_sync_interval spool_result spool_max_age"},
	{"Connections", "worker_num conn_timeout max_conn_lifetime heartbeat_interval write_buffer_size read_buffer_size " +
		"socket_send_buffer_size socket_recv_buffer_size"},
	{"Metrics", "metrics_name metrics_streams"},
}

func writeOptions(p *page) {
	p.text(`# Options

` + made + `

Most programs set the first six and leave the rest. The key is the option's name in C (` + "`inlong_options_set`" + `), in Python
(keyword argument), and for ` + "`dataproxy.WithOption`" + `. As text, a duration carries its unit ("20ms", "30s", "5m"; Python takes
seconds or a timedelta too), a size is a number of bytes or ends in K, M or G (KiB, MiB, GiB), a map is "name=value&name2=value2",
a list is separated by commas.`)
	options := map[string]dataproxy.OptionInfo{}
	for _, o := range dataproxy.OptionTable() {
		options[o.Key] = o
	}
	for _, group := range optionGroups {
		p.text("\n## " + group.heading + "\n")
		p.header("Key", "Go", "Kind", "Default", "Range", "Meaning")
		for _, key := range strings.Fields(group.keys) {
			o := options[key]
			delete(options, key)
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
	}
	for key := range options {
		p.text("The option " + key + " is in none of the optionGroups of reference_pages_test.go: add it.") // and the next test fails
	}
	p.text(`
## Of Go alone

These take Go values and have no key: ` + "`WithBufferPool`, `WithBytePool`, `WithLogger`, `WithSlog`, `WithMetricsRegistry`, `WithAuth`,\n`WithTLSConfig`, `WithResultHandler`, `WithHooks`.")
}

// A new option was at the end of a long table, where nobody looks, or was left out.
func TestEachOptionIsOnceInTheGroupsOfItsPage(t *testing.T) {
	var grouped, all []string
	for _, group := range optionGroups {
		grouped = append(grouped, strings.Fields(group.keys)...)
	}
	for _, o := range dataproxy.OptionTable() {
		all = append(all, o.Key)
	}
	slices.Sort(grouped)
	slices.Sort(all)
	if !slices.Equal(grouped, all) {
		t.Errorf("optionGroups has %v, the options are %v", grouped, all)
	}
}

// neverComes are codes of the existing SDK that neither a message nor a call of this client ends with.
var neverComes = []dataproxy.Code{dataproxy.CodeSendFailed, dataproxy.CodeUnknown}

func writeErrors(p *page) {
	p.text(`# Error codes

` + made + `

` + "`inlong-dataproxy errors CODE`" + ` prints a row of these tables.

## Codes of the client

The number in ` + "`Error.Code`" + ` (Go), of ` + "`inlong_result`" + ` (C) and ` + "`SendError.code`" + ` (Python); a text such as "message send timeout" is the
existing SDK's. Each text of an error ends with its code,
` + "`[code 10001, ...]`" + `. *Send again* tells whether that can succeed. *Persisted* is what the error says of the message: after not_written,
sending it again cannot duplicate it; after maybe_written it can. Where the table has both, check the error.
`)
	p.header("Code", "Name", "Text", "Send again", "Persisted", "When", "What to do")
	var never []string
	for _, c := range dataproxy.Codes() {
		if slices.Contains(neverComes, c.Code) {
			never = append(never, fmt.Sprintf("%d %s", c.Code, quoted(c.Name)))
			continue
		}
		var persisted []string
		for _, what := range c.Persisted {
			persisted = append(persisted, what.String())
		}
		again := "no"
		switch {
		case c.Code == dataproxy.CodeServerError:
			again = "see the server's code"
		case c.Code == dataproxy.CodeOK || len(c.Persisted) == 0:
			again = "-"
		case c.Retriable:
			again = "yes"
		}
		p.row(fmt.Sprint(int(c.Code)), quoted(c.Name), c.Text, again, cmp.Or(strings.Join(persisted, " or "), "-"), c.Meaning, c.Advice)
	}
	p.text(`
The existing SDK has two more, which this client never reports: ` + strings.Join(never, " and ") + `.

## Codes of a DataProxy

A message that a DataProxy refused has the client's code 10011 and, beside it, one of these: ` + "`Error.ServerCode`" + ` (Go), ` + "`server_code`" + `
(C and Python). The names are those of the server's class DataProxyErrCode in InLong 2.x; no answer contains them. *The client
retries*: by default, only with ` + "`retry_on_server_error`" + `, or never, because the batch fails on every node. Such an error says
not_written, unless an earlier attempt was lost without an answer. Codes of the node's HTTP interface, and answers to what this client never
asks, are left out; ` + "`inlong-dataproxy errors CODE`" + ` knows them too.
`)
	p.header("Code", "Name", "The client retries", "Send again", "When", "What to do")
	var faulty []string // no user needs to tell these apart: they share a row
	for _, c := range dataproxy.ServerCodes() {
		retries, again := "with retry_on_server_error", "no"
		switch {
		case strings.HasPrefix(c.Advice, "It should not reach this client"):
			continue
		case strings.HasPrefix(c.Advice, "No setting cures it"):
			faulty = append(faulty, fmt.Sprint(c.Code))
			continue
		case c.Retriable:
			retries, again = "by default", "yes"
		case c.Hopeless:
			retries = "never"
		}
		p.row(fmt.Sprint(c.Code), quoted(c.Name), retries, again, c.Meaning, c.Advice)
	}
	p.row(strings.Join(faulty, ", "), "", "", "no", "the node found a fault in the frame", "No setting cures it: report it, with the versions of client and DataProxy.")
}

func writeMetrics(p *page) {
	p.text(`# Metrics

` + made + `

A Go client registers these Prometheus metrics with its ` + "`WithMetricsRegistry`" + `, by default prometheus.DefaultRegisterer. Names, kinds,
labels, buckets and help texts are those of the existing Go SDK, so dashboards and alerts keep working, and clients of both can share a registry. The metrics
of the spool and by stream are new. If a metric of another kind has one of these names, NewClient fails and names it.

Labels: ` + "`name`" + ` is the option metrics_name. ` + "`code`" + ` is the client's result code, 0 for success, see ERRORS.md; the server's own codes
are all in 10011. ` + "`worker`" + ` is a number from 0 to worker_num - 1: that of a lane, or of a worker where the row says
so. ` + "`group`" + ` and ` + "`stream`" + ` come with the option metrics_streams, for as many streams as it says; all others share the stream "other" and an
empty group.

C and Python programs get them as text from ` + "`inlong_client_metrics`" + ` and ` + "`client.metrics()`" + `. For prometheus_client
` + "`inlong_dataproxy.prometheus`" + ` has metrics of its own, the counters of ` + "`client.stats()`" + `: its ` + "`inlong_dataproxy_acked_total`" + ` corresponds to
` + "`data_proxy_msg_count`" + ` with code 0.
`)
	p.header("Name", "Kind", "Labels", "Buckets up to", "Help", "Moves")
	for _, m := range dataproxy.Metrics() {
		var buckets []string
		for _, upTo := range m.Buckets {
			buckets = append(buckets, fmt.Sprintf("%.0f", upTo))
		}
		p.row(quoted(m.Name), m.Kind, strings.TrimSuffix("name, "+m.Label, ", "), strings.Join(buckets, ", "), m.Help, m.Moves)
	}
}
