package inlongmsg

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
)

// record is what a request left in Kafka behind a real DataProxy, with what the consumer's own library read in it.
type record struct {
	Value   string
	Version int
	Attr    string
	Items   []string
}

func records(t testing.TB) (list []record) {
	t.Helper()
	raw, err := os.ReadFile("../internal/wire/testdata/kafka.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Records []record }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Records) != 24 {
		t.Fatalf("%d records, 24 were captured", len(file.Records))
	}
	return file.Records
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A decoder that reads other bytes than a consumer does calls sound data altered, or altered data sound.
func TestCapturedRecordsDecodeToWhatAConsumerGets(t *testing.T) {
	for i, r := range records(t) {
		m, err := Decode(unhex(t, r.Value))
		if err != nil || m.Version != r.Version || len(m.Blocks) != 1 {
			t.Fatalf("record %d: %+v, %v", i, m, err)
		}
		b := m.Blocks[0]
		if b.Attr != r.Attr {
			t.Errorf("record %d: attributes %q, want %q", i, b.Attr, r.Attr)
		}
		var items []string
		for _, item := range b.Items {
			items = append(items, hex.EncodeToString(item))
		}
		if !slices.Equal(items, r.Items) {
			t.Errorf("record %d: items %q, want %q", i, items, r.Items)
		}
		want := time.Unix(1700000000, 0) // of every binary frame that was sent
		if r.Version == VersionText {
			ms, err := strconv.ParseInt(Attributes(r.Attr)["dt"], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			want = time.UnixMilli(ms)
		} else if b.Count != len(r.Items) {
			t.Errorf("record %d: a count of %d items, want %d", i, b.Count, len(r.Items))
		}
		if !b.Time.Equal(want) {
			t.Errorf("record %d: time %v, want %v", i, b.Time, want)
		}
		if !b.Compressed {
			t.Errorf("record %d: not compressed: the real server compresses all", i)
		}
	}
}

// text builds a value of version 1.
func text(blocks ...string) string {
	value := binary.BigEndian.AppendUint32([]byte("\x0f\x01\x00\x00\x00\x00\x00\x00\x00\x00"), uint32(len(blocks)))
	return string(value) + strings.Join(blocks, "") + "\x0f\x01"
}

func block(attr string, compressed byte, body string) string {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(attr)))
	b = binary.BigEndian.AppendUint32(append(b, attr...), uint32(len(body)+1))
	return string(append(b, compressed)) + body
}

// Forms that the format allows and no capture shows.
func TestUncapturedForms(t *testing.T) {
	snappy := string(s2.EncodeSnappy(nil, []byte("\x00\x00\x00\x01a")))
	for name, c := range map[string]struct {
		value string
		attrs []string
		items string
	}{
		"not compressed":       {text(block("k=v", 0, "\x00\x00\x00\x02ab\x00\x00\x00\x00")), []string{"k=v"}, "ab|"},
		"no block":             {text(), nil, ""},
		"no item":              {text(block("k=v", 0, "")), []string{"k=v"}, ""},
		"two blocks":           {text(block("k=v", 1, snappy), block("k=w", 0, "\x00\x00\x00\x01b")), []string{"k=v", "k=w"}, "a|b"},
		"text outside the BMP": {text(block("k=\xed\xa0\xbd\xed\xb8\x80", 1, snappy)), []string{"k=\U0001F600"}, "a"},
		"NUL in text":          {text(block("k=\xc0\x80", 1, snappy)), []string{"k=\x00"}, "a"},
	} {
		m, err := Decode([]byte(c.value))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var attrs, items []string
		for _, b := range m.Blocks {
			attrs = append(attrs, b.Attr)
			for _, item := range b.Items {
				items = append(items, string(item))
			}
		}
		if !slices.Equal(attrs, c.attrs) || strings.Join(items, "|") != c.items {
			t.Errorf("%s: attributes %q, items %q", name, attrs, items)
		}
	}
}

// A value that is cut, or holds something else, must not pass as a shorter one: a lost message would not be missed.
func TestMalformedValuesAreRefused(t *testing.T) {
	good := "\x00\x00\x00\x01a"
	for name, value := range map[string]string{
		"nothing":                 "",
		"marks alone":             "\x0f\x01",
		"no head":                 "\x0f\x01\x0f\x01",
		"other first byte":        "\x0e" + text()[1:],
		"another end":             strings.TrimSuffix(text(), "\x01") + "\x04",
		"version 2":               "\x0f\x02" + text()[2:12] + "\x00\x00\x0f\x02",
		"version 3":               "\x0f\x03" + text()[2:12] + "\x00\x00\x0f\x03",
		"a block too few":         strings.Replace(text(block("k=v", 0, good)), "\x00\x01\x00\x03k", "\x00\x02\x00\x03k", 1),
		"a block too many":        strings.Replace(text(block("k=v", 0, good)), "\x00\x01\x00\x03k", "\x00\x00\x00\x03k", 1),
		"attributes past the end": text("\xff\xffk=v\x00\x00\x00\x06\x00" + good),
		"body past the end":       text("\x00\x03k=v\x00\x00\x00\x07\x00" + good),
		"body of nothing":         text("\x00\x03k=v\x00\x00\x00\x00"),
		"negative body":           text("\x00\x03k=v\xff\xff\xff\xff\x00" + good),
		"unknown compression":     text(block("k=v", 2, good)),
		"no Snappy":               text(block("k=v", 1, "\xff\xff\xff\xff")),
		"item past the end":       text(block("k=v", 0, "\x00\x00\x00\x02a")),
		"half a length":           text(block("k=v", 0, good+"\x00\x00")),
		"half a character":        text(block("k=\xc3", 0, good)),
		"plain NUL in attributes": text(block("k=\x00", 0, good)),
		"four bytes a character":  text(block("k=\xf0\x9f\x98\x80", 0, good)),
		"a text frame in binary":  "\x0f\x04\x00\x00\x00\x0e\x05\x00\x00\x00\x05\x00\x00\x00\x01a\x00\x00\x00\x00\x0f\x04",
		"a heartbeat in binary":   "\x0f\x04\x00\x00\x00\x01\x01\x0f\x04",
	} {
		if m, err := Decode([]byte(value)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	for i, r := range records(t) {
		value := unhex(t, r.Value)
		for n := range value {
			if m, err := Decode(value[:n]); err == nil {
				t.Errorf("record %d cut to %d bytes: %+v", i, n, m)
			}
		}
	}
}

// A hostile value of a topic must not crash the reader, nor make it take more memory than the value's size allows.
func FuzzDecode(f *testing.F) {
	for _, r := range records(f) {
		f.Add(unhex(f, r.Value))
	}
	f.Add([]byte(text(block("k=v", 0, "\x00\x00\x00\x01a"), block("", 0, ""))))
	f.Fuzz(func(t *testing.T, value []byte) {
		m, err := Decode(value)
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
		size := 0
		for _, b := range m.Blocks {
			for _, item := range b.Items {
				size += len(item)
			}
		}
		if size > 64*len(value) {
			t.Fatalf("%d bytes of messages in a value of %d", size, len(value))
		}
	})
}
