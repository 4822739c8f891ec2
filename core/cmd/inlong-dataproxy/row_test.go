package main

import (
	"strings"
	"testing"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

func rowCluster(t *testing.T, data map[string]any) (c *dataproxytest.Cluster, args []string) {
	t.Helper()
	c = dataproxytest.Start(t)
	c.Manager().SetStream("test_group", "test_stream", data)
	return c, []string{"--url", c.URL(), "--group", "test_group", "--stream", "test_stream"}
}

func fieldsOf(names ...string) (list []any) {
	for _, name := range names {
		name, kind, _ := strings.Cut(name, " ")
		list = append(list, map[string]any{"fieldName": name, "fieldType": kind})
	}
	return list
}

func payloadLines(c *dataproxytest.Cluster) string {
	var all []string
	for _, m := range c.Received() {
		for _, item := range m.Items {
			all = append(all, string(item))
		}
	}
	return strings.Join(all, "\n")
}

// A file whose rows are sent as they stand there is read as other fields: its separator, quotes and order are not the stream's.
func TestRecordsBecomeRowsOfTheStream(t *testing.T) {
	csv := map[string]any{"dataSeparator": "124", "dataEscapeChar": "\\", "fieldList": fieldsOf("name", "n", "note")}
	kv := map[string]any{"dataType": "KV", "dataSeparator": "38", "dataEscapeChar": "\\", "fieldList": fieldsOf("name", "n", "note")}
	for name, test := range map[string]struct {
		stream       map[string]any
		args         []string
		input, wants string
	}{
		"CSV by the names of its header": {csv, []string{"--row", "--format", "csv"},
			"\ufeffn,name\n1,\"a|b, \"\"c\"\"\"\r\n2,\"two\nlines\"\n", "a\\|b, \"c\"|1\ntwo\\\nlines|2"},
		"CSV without a header": {csv, []string{"--row", "--format", "csv", "--no-header"}, "a,1,\nb,2,x\n", "a|1|\nb|2|x"},
		"JSON objects": {csv, []string{"--row", "--format", "json-lines"},
			`{"note":null,"n":1.50,"name":"a|b"}` + "\n" + `{"name":"x","note":{"k": [1, 2]}}` + "\n" + `["a", 2, true]` + "\n",
			"a\\|b|1.50\nx||{\"k\":[1,2]}\na|2|true"},
		"KV":         {kv, []string{"--row", "--format", "json-lines"}, `{"n":1,"name":"a&b","note":null}` + "\n", "n=1&name=a\\&b"},
		"by hand":    {csv, []string{"--row=csv", "--row-separator", `\t`, "--row-escape", `\`, "--format", "csv"}, "a,b\nx\ty,2\n", "x\\\ty\t2"},
		"by hand KV": {csv, []string{"--row=kv", "--row-separator", "&", "--row-kv-separator", ":", "--format", "csv"}, "a,b\nx,2\n", "a:x&b:2"},
	} {
		t.Run(name, func(t *testing.T) {
			c, args := rowCluster(t, test.stream)
			status, _, stderr := program(test.input, append(append([]string{"send"}, args...), test.args...)...)
			if got := payloadLines(c); status != 0 || got != test.wants {
				t.Errorf("status %d, arrived %q, want %q\n%s", status, got, test.wants, stderr)
			}
		})
	}
}

// A record that makes no row must be named and must not keep the others.
func TestRecordThatMakesNoRowIsNamed(t *testing.T) {
	c, args := rowCluster(t, map[string]any{"fieldList": fieldsOf("name", "n")})
	input := `{"name":"a|b"}` + "\n" + `{"name":"x","n":1}` + "\n" + `{"nome":"x"}` + "\n7\n[1]\n" + `{"name":null,"n":2}` + "\n" + `{"name":"y"} {}` + "\n"
	status, _, stderr := program(input, append(append([]string{"send"}, args...), "--row", "--format", "json-lines")...)
	if got := payloadLines(c); status != exitFailure || got != "x|1\n|2" {
		t.Errorf("status %d, arrived %q: %s", status, got, stderr)
	}
	for _, want := range []string{
		"line 1: input log is invalid: field 1 (\"name\"): holds the separator", "field 1 (\"nome\"): the stream has no such column",
		"must be a JSON object, or an array", "the row has 1 fields and the stream 2 columns", "deleteHeadDelimiter", "no escape character",
	} {
		if !strings.Contains(strings.ReplaceAll(stderr, `\"`, `"`), want) {
			t.Errorf("%q is not in %s", want, stderr)
		}
	}
}

// Values came as other ones, with status 0: what is no character as U+FFFD, "\r\n" in a field as "\n", and at the end of a file with one
// carriage return too many a row with none.
func TestNoValueOfARowIsAltered(t *testing.T) {
	stream := map[string]any{"dataSeparator": "124", "dataEscapeChar": "\\", "fieldList": fieldsOf("a", "b")}
	for name, test := range map[string]struct {
		format, input, wants, fault string
		status                      int
	}{
		"half a pair":      {"json-lines", `{"a":"x\ud800y","b":1}` + "\n" + `{"a":"1","b":2}` + "\n", "1|2", "surrogate pair", exitFailure},
		"half in a name":   {"json-lines", `{"a\udfff":"x","b":1}` + "\n", "", "surrogate pair", exitFailure},
		"not UTF-8":        {"json-lines", "{\"a\":\"\xff\",\"b\":1}\n{\"a\":\"1\",\"b\":2}\n", "1|2", "not valid UTF-8", exitFailure},
		"U+FFFD itself":    {"json-lines", `{"a":"\ufffd\uFFFD` + "\ufffd" + `","b":"\ud83d\ude00"}` + "\n", "\ufffd\ufffd\ufffd|\U0001F600", "", 0},
		"long numbers":     {"json-lines", `{"a":9007199254740993,"b":1e400}` + "\n", "9007199254740993|1e400", "", 0},
		"a key twice":      {"json-lines", `{"a":1,"a":2}` + "\n", "", "another one of that name", exitFailure},
		"CRLF in a field":  {"csv", "a,b\r\n\"x\r\ny\",\"\"\"\"\r\n", "x\r\\\ny|\"", "", 0},
		"not UTF-8 in CSV": {"csv", "a,b\n\xff,1\nx,2\n", "x|2", "not valid UTF-8", exitFailure},
		"a CR too many":    {"csv", "a,b\nx,y\r\r\n", "x|y\r", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			c, args := rowCluster(t, stream)
			status, _, stderr := program(test.input, append(append([]string{"send"}, args...), "--row", "--format", test.format)...)
			if got := payloadLines(c); status != test.status || got != test.wants || !strings.Contains(stderr, test.fault) {
				t.Errorf("status %d, arrived %q, want %q\n%s", status, got, test.wants, stderr)
			}
		})
	}
}

// A flag without effect lets a user believe that rows are made.
func TestRowFlagsAreChecked(t *testing.T) {
	_, args := rowCluster(t, nil)
	for want, flags := range map[string][]string{
		"needs --row=csv or --row=kv":       {"--row-escape", "x", "--format", "csv"},
		"must be one of manager, csv, kv":   {"--row=tsv", "--format", "csv"},
		"csv or json-lines, not of lines":   {"--row"},
		"cannot be given together with":     {"--row", "--format", "csv", "--failed", t.TempDir() + "/failed"},
		"the Manager says these":            {"--row", "--row-escape", "x", "--format", "csv"},
		"must be one character":             {"--row=csv", "--row-escape", "xy", "--format", "csv"},
		"--row-encoding \"latin-1\"":        {"--row=csv", "--row-encoding", "latin-1", "--format", "csv"},
		"is used for something else":        {"--row=csv", "--row-escape", "|", "--format", "csv"},
		"there is another one of that name": {"--row=csv", "--row-columns", "a,a", "--format", "csv"},
	} {
		status, _, stderr := program("", append(append([]string{"send"}, args...), flags...)...)
		if status != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: status %d: %s", flags, status, stderr)
		}
	}
	c, args := rowCluster(t, map[string]any{"dataType": "JSON"})
	status, _, stderr := program("{}\n", append(append([]string{"send"}, args...), "--row", "--format", "json-lines")...)
	if status != exitUnreachable || !strings.Contains(stderr, "JSON") || c.Count() != 0 {
		t.Errorf("status %d: %s", status, stderr)
	}
}

// Anyone who looks why columns are null has to count separators by eye.
func TestDoctorComparesARowWithTheStream(t *testing.T) {
	csv := map[string]any{"dataEscapeChar": "\\", "fieldList": fieldsOf("name string", "n int", "price double", "ok boolean")}
	kv := map[string]any{"dataType": "KV", "dataSeparator": "38", "fieldList": fieldsOf("name string", "n int")}
	fields := fieldsOf("at timestamp", "day date", "hour time", "seconds timestamp")
	fields[3].(map[string]any)["fieldFormat"] = "SECONDS"
	dates := map[string]any{"fieldList": fields}
	for name, test := range map[string]struct {
		stream map[string]any
		row    string
		fails  bool
		wants  []string
	}{
		"fits":           {csv, `a\|b|7|2.5|true`, false, []string{"CSV in UTF-8, separator '|', escape character '\\\\', 4 fields: name, n, price, ok", "reads this row as 4 fields"}},
		"too many":       {csv, "a|7|2.5|true|x", true, []string{"the row has 5 fields and the stream 4"}},
		"too few":        {csv, "a|7", false, []string{"the row has no price, ok"}},
		"other types":    {csv, "a|7.5|x|1", true, []string{`"7.5" is no whole number of 32 bits`, `"x" is no number`, `"1" is neither`}},
		"empty first":    {csv, "|7|2.5|true", false, []string{"deleteHeadDelimiter"}},
		"a newline":      {csv, "a\nb|7|2.5|true", true, []string{"not every reader reads this row"}},
		"KV":             {kv, "name=a&n=7", false, []string{"KV in UTF-8, separator '&', kv separator '='", "no escape character", "reads this row as 2 fields"}},
		"KV, other keys": {kv, "nome=a", true, []string{"the stream has no field nome", "the row has no name, n"}},
		"other dates": {dates, "2026-01-02T03:04:05|02.01.2026|noon|1767323045", false, []string{
			`field 1 ("at", timestamp): "2026-01-02T03:04:05" is not written like "2006-01-02 15:04:05"`,
			`"02.01.2026" is not written like "2006-01-02"`, `"noon" is not written like "15:04:05"`, "4 fields: at, day, hour, seconds"}},
		"dates":              {dates, "2026-01-02 03:04:05.678|2026-1-2|3:04:05|1767323045", false, []string{"reads this row as 4 fields"}},
		"no rows":            {map[string]any{"dataType": "JSON"}, "a", true, []string{"JSON"}},
		"settings that vary": {map[string]any{"dataSeparator": "|"}, "a", true, []string{"dataSeparator"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, args := rowCluster(t, test.stream)
			status, stdout, _ := program("", append(append([]string{"doctor"}, args...), "--row", test.row)...)
			if (status != 0) != test.fails {
				t.Errorf("status %d: %s", status, stdout)
			}
			for _, want := range test.wants {
				if !strings.Contains(stdout, want) {
					t.Errorf("%q is not in %s", want, stdout)
				}
			}
		})
	}
	_, args := rowCluster(t, map[string]any{"dataType": "JSON"})
	if status, stdout, _ := program("", append([]string{"doctor"}, args...)...); status != 0 || strings.Contains(stdout, levelWarn) {
		t.Errorf("a stream without rows: %s", stdout)
	}
}
