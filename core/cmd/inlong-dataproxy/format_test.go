package main

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

func lengthRecord(payload string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(payload)))) + payload
}

// split reads all records of text, handed out in parts of that size.
func split(f format, text string, offset, part int) (list []record, err error) {
	f.longest, f.encoding = 1<<20, cmp.Or(f.encoding, "utf-8")
	s, err := f.open(begin{offset: int64(offset), head: strings.NewReader(text)})
	if err != nil {
		return nil, err
	}
	for size := part; ; size += part {
		end := min(offset+size, len(text))
		s.of([]byte(text[offset:end]), end == len(text))
		for {
			r, found, err := s.next()
			if err != nil {
				return list, err
			}
			if !found {
				break
			}
			size = 0
			offset += r.used
			r.payload = slices.Clone(r.payload)
			list = append(list, r)
		}
		if end == len(text) {
			return list, nil
		}
	}
}

// A reader that resumes must stand exactly where the one before stopped, and one that reads a file in parts must find the same
// records: each place after a record is tried, with parts of every size.
func TestEveryFormatGoesOnFromEveryRecord(t *testing.T) {
	utf16 := func(text string) string {
		var b []byte
		for _, u := range utf16.Encode([]rune(text)) {
			b = binary.BigEndian.AppendUint16(b, u)
		}
		return string(b)
	}
	for name, c := range map[string]struct {
		format format
		input  string
		want   []string // stream and payload
	}{
		"lines":      {format{name: "lines"}, "a\n\nb\r\nc", []string{" a", " b\r", " c"}},
		"mark":       {format{name: "lines"}, "\ufeffa\nb\n", []string{" a", " b"}},
		"json":       {format{name: "json-lines", keyColumn: "k"}, `{"k":"x"}` + "\n\r\n" + `{"k":7}` + "\r\n{}\n", []string{`x {"k":"x"}`, `7 {"k":7}` + "\r", " {}"}},
		"csv":        {format{name: "csv", keyColumn: "k"}, "\ufeffk,v\nx,1\n\n\"y\",\"a\nb\"\r\nz,3", []string{"x x,1", "y \"y\",\"a\nb\"", "z z,3"}},
		"csv quoted": {format{name: "csv", keyColumn: "k"}, "\ufeff\"k\",\"v\n\"\"1\"\"\"\r\nx,1\r\r\n\"y\",2\r\n\r", []string{"x x,1\r", "y \"y\",2"}},
		"csv second": {format{name: "csv", noHeader: true, keyColumn: "2"}, "1,x\n2,\"y\"\"\"\n\"3\",z", []string{"x 1,x", "y\" 2,\"y\"\"\"", "z \"3\",z"}},
		"length":     {format{name: "length"}, lengthRecord("a\n") + lengthRecord("") + lengthRecord("\x00b"), []string{" a\n", " \x00b"}},
		"utf-16":     {format{name: "lines", encoding: "utf-16"}, utf16("\ufeffä\n\n😀b\nc"), []string{" ä", " 😀b", " c"}},
		"utf-16 csv": {format{name: "csv", encoding: "utf-16be", keyColumn: "é"}, utf16("é,v\nx,\"1\n\"\ny,2\n"), []string{"x x,\"1\n\"", "y y,2"}},
	} {
		t.Run(name, func(t *testing.T) {
			for part := 1; part <= len(c.input); part++ {
				whole, err := split(c.format, c.input, 0, part)
				if err != nil {
					t.Fatal(err)
				}
				at, left := 0, c.want
				for i := range len(whole) + 1 {
					records, err := split(c.format, c.input, at, part)
					if err != nil {
						t.Fatal(err)
					}
					var got []string
					for _, r := range records {
						if len(r.payload) > 0 || r.fault != nil {
							got = append(got, r.stream+" "+string(r.payload))
						}
					}
					if !slices.Equal(got, left) {
						t.Fatalf("in parts of %d from byte %d: %q, want %q", part, at, got, left)
					}
					if i < len(whole) {
						at += whole[i].used
						if len(whole[i].payload) > 0 {
							left = left[1:]
						}
					}
				}
				if at != len(c.input) {
					t.Errorf("ended at byte %d of %d", at, len(c.input))
				}
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
		"json":       {format{name: "json-lines"}, "{oops\n{}\n", "not JSON", false},
		"json key":   {format{name: "json-lines", keyColumn: "k"}, `{"k":{}}` + "\n{}\n", "must be a string or a number", false},
		"csv short":  {format{name: "csv", noHeader: true, keyColumn: "3"}, "a,b\na,b,c\n", "the row has 2 columns", false},
		"csv quote":  {format{name: "csv", noHeader: true}, "a\"b,c\na,b\n", "not CSV", false},
		"csv behind": {format{name: "csv", noHeader: true}, "\"a\"b,c\na,b\n", "not CSV", false},
		"csv open":   {format{name: "csv", noHeader: true}, "\"a,c\na,b\n", "not CSV", false},
		"huge":       {format{name: "length"}, "text\n", "is the file in the format length?", true},
		"cut off":    {format{name: "length"}, lengthRecord("abc")[:6], "ends in the middle", true},
		"cut head":   {format{name: "length"}, "\x00\x00", "ends in the middle", true},
		"utf-16":     {format{name: "lines"}, "\xff\xfea\x00\n\x00", "--encoding utf-16", true},
		"no mark":    {format{name: "lines"}, "a\x00b\x00c\x00d\x00e\x00f\x00g\x00h\x00\n\x00", "--encoding utf-16", true},
	} {
		t.Run(name, func(t *testing.T) {
			records, err := split(c.format, c.input, 0, len(c.input))
			if c.fatal {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("error %v should say %q", err, c.says)
				}
				return
			}
			if err != nil || len(records) != 2 || records[0].fault == nil || !strings.Contains(records[0].fault.Error(), c.says) {
				t.Fatalf("error %v, records %+v; the fault should say %q", err, records, c.says)
			}
			if records[1].fault != nil {
				t.Errorf("the one after it: %v", records[1].fault)
			}
		})
	}
}

// A row that goes to another row's stream is lost to anyone who reads its own.
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
