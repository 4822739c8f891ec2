package main

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

func lengthRecord(payload string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(payload)))) + payload
}

// A reader that resumes must stand exactly where the one before stopped: each place behind a record is tried, and what comes
// from there must be the rest.
func TestEveryFormatGoesOnFromEveryRecord(t *testing.T) {
	for name, c := range map[string]struct {
		format format
		input  string
		want   []string // stream and payload
	}{
		"lines":      {format{name: "lines"}, "a\n\nb\r\nc", []string{" a", " ", " b\r", " c"}},
		"json":       {format{name: "json-lines", keyColumn: "k"}, `{"k":"x"}` + "\n\r\n" + `{"k":7}` + "\r\n{}\n", []string{`x {"k":"x"}`, " ", `7 {"k":7}` + "\r", " {}"}},
		"csv":        {format{name: "csv", keyColumn: "k"}, "\ufeffk,v\nx,1\n\n\"y\",\"a\nb\"\r\nz,3", []string{"x x,1", "y \"y\",\"a\nb\"", "z z,3"}},
		"csv second": {format{name: "csv", noHeader: true, keyColumn: "2"}, "1,x\n2,y\n", []string{"x 1,x", "y 2,y"}},
		"length":     {format{name: "length"}, lengthRecord("a\n") + lengthRecord("") + lengthRecord("\x00b"), []string{" a\n", " ", " \x00b"}},
	} {
		t.Run(name, func(t *testing.T) {
			starts := []position{{}}
			for i := 0; i <= len(c.want); i++ {
				reader, err := c.format.open(strings.NewReader(c.input[starts[i].Offset:]), starts[i], strings.NewReader(c.input))
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for {
					r, err := reader.next()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil || r.fault != nil {
						t.Fatalf("after %q: %v, %v", got, err, r.fault)
					}
					got = append(got, r.stream+" "+string(r.payload))
					if at := c.input[r.start : r.start+int64(len(r.payload))]; at != string(r.payload) {
						t.Errorf("%q is said to stand where %q does", r.payload, at)
					}
					if i == 0 {
						starts = append(starts, behind(&r))
					}
				}
				if !slices.Equal(got, c.want[i:]) {
					t.Errorf("from record %d: %q, want %q", i, got, c.want[i:])
				}
			}
			if last := starts[len(starts)-1].Offset; last != int64(len(c.input)) {
				t.Errorf("ended at byte %d of %d", last, len(c.input))
			}
		})
	}
}

// A record that is wrong must cost itself only, and a file that cannot be understood must say so.
func TestWrongRecordsAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		format format
		input  string
		says   string
		fatal  bool
	}{
		"json":      {format{name: "json-lines"}, "{oops\n{}\n", "not JSON", false},
		"json key":  {format{name: "json-lines", keyColumn: "k"}, `{"k":{}}` + "\n{}\n", "must be a string or a number", false},
		"csv short": {format{name: "csv", noHeader: true, keyColumn: "3"}, "a,b\na,b,c\n", "the row has 2 columns", false},
		"csv quote": {format{name: "csv", noHeader: true}, "a\"b,c\na,b\n", "not CSV", false},
		"huge":      {format{name: "length"}, "text\n", "is the file in the format length?", true},
		"cut off":   {format{name: "length"}, lengthRecord("abc")[:6], "ends in the middle", true},
		"cut head":  {format{name: "length"}, "\x00\x00", "ends in the middle", true},
	} {
		t.Run(name, func(t *testing.T) {
			reader, err := c.format.open(strings.NewReader(c.input), position{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			r, err := reader.next()
			if c.fatal {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("error %v should say %q", err, c.says)
				}
				return
			}
			if err != nil || r.fault == nil || !strings.Contains(r.fault.Error(), c.says) {
				t.Fatalf("error %v, fault %v should say %q", err, r.fault, c.says)
			}
			if r, err = reader.next(); err != nil || r.fault != nil {
				t.Errorf("the one behind it: %v, %v", err, r.fault)
			}
		})
	}
}

// A row that goes to another row's stream is lost to whoever reads its own.
func TestKeyColumnPicksTheStream(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := writeFile(t, "a.json", `{"type":"one"}`+"\n"+`{"type":"two"}`+"\n"+`{}`+"\n"+`{"type":"no stream!"}`+"\n")
	status, _, stderr := program("", "send", "--url", cluster.URL(), "--group", "test_group", "--stream", "other",
		"--format", "json-lines", "--key-column", "type", file)
	if status != exitFailure || !strings.Contains(stderr, "3 acked, 1 failed") || !strings.Contains(stderr, "line 4") {
		t.Errorf("status %d: %s", status, stderr)
	}
	got := map[string]string{}
	for _, record := range cluster.Received() {
		got[record.Stream] = string(record.Items[0])
	}
	if len(got) != 3 || got["one"] != `{"type":"one"}` || got["two"] != `{"type":"two"}` || got["other"] != "{}" {
		t.Errorf("arrived: %q", got)
	}
}
