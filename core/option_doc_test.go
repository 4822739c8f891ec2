package dataproxy_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

var update = flag.Bool("update", false, "write OPTIONS.md anew")

// The reference page is made from the tables that the code runs on; a page that was not made anew tells lies.
//
// To make it: go test ./core -run TestReferencePageIsCurrent -update
func TestReferencePageIsCurrent(t *testing.T) {
	want := referencePage()
	if *update {
		if err := os.WriteFile("OPTIONS.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("OPTIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("OPTIONS.md is stale: go test ./core -run TestReferencePageIsCurrent -update")
	}
}

func referencePage() string {
	var page strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&page, format+"\n", args...) }
	line(`# Options and codes

Made from the tables in the code; do not edit. To make it anew: ` + "`go test ./core -run TestReferencePageIsCurrent -update`" + `.

## Options

The key is the option's name in C (` + "`inlong_options_set`" + `), in Python (keyword argument), and for ` + "`dataproxy.WithOption`" + `. As
text, a duration carries its unit ("20ms", "30s", "5m"; Python takes seconds or a timedelta too), a size is a number of bytes or
ends in K, M or G (KiB, MiB, GiB), a map is "name=value&name2=value2", a list is separated by commas.

| Key | Go | Kind | Default | Range | Meaning |
|---|---|---|---|---|---|`)
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
		line("| `%s` | `%s` | %s | %s | %s | %s |", o.Key, o.Name, o.Kind, o.Default, span, cell(o.Doc))
	}
	line(`
These take Go values and have no key: ` + "`WithBufferPool`, `WithBytePool`, `WithLogger`, `WithSlog`, `WithMetricsRegistry`, `WithAuth`,\n`WithTLSConfig`, `WithResultHandler`." + `

## Result codes

The number in ` + "`Error.Code`" + ` (Go), of ` + "`inlong_result`" + ` (C) and ` + "`SendError.code`" + ` (Python). Retriable: sending the message again may
succeed. For server_error that depends on the server's code: 1, 2, 114, 115 and 116 to 119 are retriable.

| Code | Name | Text | Retriable | When |
|---|---|---|---|---|`)
	for _, c := range dataproxy.Codes() {
		retriable := "no"
		if c.Retriable {
			retriable = "yes"
		}
		if c.Code == dataproxy.CodeServerError {
			retriable = "see above"
		}
		line("| %d | `%s` | %s | %s | %s |", c.Code, c.Name, cell(c.Text), retriable, cell(c.Meaning))
	}
	return page.String()
}

// cell keeps a text from ending its cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
