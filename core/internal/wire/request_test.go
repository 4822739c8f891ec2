package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
)

const testAttr = "groupId=g&streamId=s"

func rawText(kind byte, body, attr string) []byte {
	frame := binary.BigEndian.AppendUint32(nil, uint32(9+len(body)+len(attr)))
	frame = binary.BigEndian.AppendUint32(append(frame, kind), uint32(len(body)))
	frame = binary.BigEndian.AppendUint32(append(frame, body...), uint32(len(attr)))
	return append(frame, attr...)
}

// rawBinary builds a type 7 frame whose length word is extra bytes too long.
func rawBinary(ext uint16, body, attr string, extra int) []byte {
	frame := binary.BigEndian.AppendUint32(nil, uint32(25+len(body)+len(attr)+extra))
	frame = append(frame, 7, 0, 0, 0, 0)
	frame = binary.BigEndian.AppendUint16(frame, ext)
	frame = append(frame, 0, 0, 0, 9, 0, 1, 0, 0, 0, 5)
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(body)))
	frame = binary.BigEndian.AppendUint16(append(frame, body...), uint16(len(attr)))
	frame = binary.BigEndian.AppendUint16(append(frame, attr...), BinaryMagic)
	return append(frame, make([]byte, extra)...)
}

func items(payloads ...string) string {
	var body []byte
	for _, p := range payloads {
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(p))), p...)
	}
	return string(body)
}

func loadRequests(t testing.TB) map[string][]byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/dataproxy.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct{ Name, Request string }
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	requests := make(map[string][]byte)
	for _, v := range file.Vectors {
		if requests[v.Name], err = hex.DecodeString(v.Request); err != nil {
			t.Fatal(err)
		}
	}
	return requests
}

// Pins: a fault of a frame that is judged otherwise than the server does. Text is a part of errMsg.
func TestParseVerdicts(t *testing.T) {
	good := items("abc")
	snappy := string(s2.EncodeSnappy(nil, []byte(good)))
	many := "k=1"
	for i := range 100 {
		many += fmt.Sprintf("&k%d=1", i)
	}
	for _, test := range []struct {
		name  string
		frame []byte
		want  Verdict
	}{
		{"good", rawText(5, good, testAttr), Verdict{}},
		{"no attributes", rawText(5, good, ""), Verdict{}},
		{"blank attributes", rawText(5, good, "  "), Verdict{}},
		{"empty value", rawText(5, good, "a=1&b="), Verdict{}},
		{"empty key", rawText(5, good, "=1"), Verdict{}},
		{"blanks round an entry", rawText(5, good, " a=1 &  b=2 "), Verdict{}},
		{"newline in a value", rawText(5, good, "a=1\n2"), Verdict{}},
		{"no equals sign", rawText(5, good, "a=1&b"), Verdict{Code: 109, Text: "Parse attr (a=1&b) failure"}},
		{"empty entry", rawText(5, good, "a=1&&b=2"), Verdict{Code: 109, Text: "Parse attr (a=1&&b=2) failure"}},
		{"separator last", rawText(5, good, "a=1&"), Verdict{Code: 109, Text: "Parse attr (a=1&) failure"}},
		{"separator first", rawText(5, good, "&a=1"), Verdict{Code: 109, Text: "Parse attr (&a=1) failure"}},
		{"key twice", rawText(5, good, "a=1&a=2"), Verdict{Code: 109, Text: "Parse attr (a=1&a=2) failure"}},
		{"one of many keys twice", rawText(5, good, many+"&k7=2"), Verdict{Code: 109, Text: "&k7=2) failure"}},
		{"many keys", rawText(5, good, many), Verdict{}},
		{"109 goes before isAck", rawText(5, good, "isAck=false&isAck=false"), Verdict{Code: 109, Text: "Parse attr"}},
		{"sync without ack", rawText(5, good, "syncSend=TRUE&isAck=False"), Verdict{Code: 150}},
		{"proxy without ack", rawText(5, good, "proxySend=true&isAck=false"), Verdict{Code: 151}},

		{"stray byte at the end", rawText(5, good+"x", testAttr), Verdict{Close: true}},
		{"three stray bytes", rawText(5, good+"xyz", testAttr), Verdict{Close: true}},
		{"later item too long", rawText(5, good+"\x00\x00\x00\x09x", testAttr), Verdict{}},
		{"later item negative", rawText(5, good+"\xff\xff\xff\xffx", testAttr), Verdict{}},
		{"body of four bytes", rawText(5, "\x00\x00\x00\x01", testAttr),
			Verdict{Code: 123, Text: "Malformed data len, bodyLen(4), attr: (groupId=g&streamId=s)"}},
		{"first item too long", rawText(5, "\x00\x00\x00\x05abcd", testAttr),
			Verdict{Code: 123, Text: "Malformed data len, singleMsgLen(5), buffer remaining(4), attr: (groupId=g&streamId=s)"}},
		{"first item negative", rawText(5, "\xff\xff\xff\xfeabcd", testAttr), Verdict{Code: 123, Text: "singleMsgLen(-2)"}},

		{"snappy", rawText(5, snappy, testAttr+"&cp=x"), Verdict{}},
		{"snappy of nothing", rawText(5, "\x00", "cp=snappy"),
			Verdict{Code: 96, Text: "Error to uncompress msg, compress type(snappy), attr: (cp=snappy), error: 2"}},
		{"not snappy", rawText(5, good, "cp=snappy"), Verdict{Code: 96, Text: "attr: (cp=snappy), error: (null)"}},
		{"blank cp", rawText(5, good, "cp= "), Verdict{}},
		{"snappy of 2 GiB", rawText(5, "\x80\x80\x80\x80\x08x", "cp=snappy"), Verdict{Close: true}},
		{"snappy of 1 GiB", rawText(5, "\x80\x80\x80\x80\x04x", "cp=snappy"), Verdict{Code: 96}},

		{"negative body", append(rawText(5, "", testAttr)[:5], "\xff\xff\xff\xff\x00\x00\x00\x14"+testAttr...), Verdict{Code: 106}},
		{"body longer than the frame", append(rawText(5, "", testAttr)[:5], "\x00\x00\x00\xff\x00\x00\x00\x14"+testAttr...),
			Verdict{Code: 104, Text: "Error msg, bodyLen(255) + fixedLength(13) > totalDataLen(29) + 4"}},
		{"body length that overflows", append(rawText(5, "", testAttr)[:5], "\x7f\xff\xff\xff\x00\x00\x00\x14"+testAttr...),
			Verdict{Close: true}},
		{"negative attributes", append(rawText(5, good, "abcd")[:9+len(good)], "\xff\xff\xff\xffabcd"...), Verdict{Code: 107}},
		{"text below its minimum", []byte("\x00\x00\x00\x08\x05\x00\x00\x00\x00\x00\x00\x00"), Verdict{Close: true}},

		{"binary", rawBinary(4, good, testAttr, 0), Verdict{}},
		{"binary, length word too long", rawBinary(4, good, testAttr, 3), Verdict{}},
		{"binary below its minimum", []byte("\x00\x00\x00\x02\x07\x00"), Verdict{Close: true}},
		{"binary, attributes over 32767", rawBinary(4, good, strings.Repeat("x", 40000), 0), Verdict{Close: true}},
		{"binary, body length outside", append(rawBinary(4, good, testAttr, 0)[:21], rawBinary(4, good+"1234", testAttr, 0)[25:]...),
			Verdict{Close: true}},
		{"binary heartbeat", []byte("\x00\x00\x00\x0e\x08\x00\x00\x00\x01\x02\x00\x00\x00\x00\x00\x00\xee\x01"), Verdict{}},
		{"binary heartbeat, bad magic", []byte("\x00\x00\x00\x0e\x08\x00\x00\x00\x01\x02\x00\x00\x00\x00\x00\x00\xee\x02"),
			Verdict{Close: true}},
		{"short binary heartbeat", []byte("\x00\x00\x00\x01\x08"), Verdict{Close: true}},
		{"type 0", []byte("\x00\x00\x00\x01\x20"), Verdict{Close: true}},
	} {
		var r Request
		got := r.Parse(test.frame)
		if got.Close != test.want.Close || got.Code != test.want.Code || !strings.Contains(got.Text, test.want.Text) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// Pins: the S2 dialect, which the library reads and no DataProxy does, passes as Snappy.
func TestS2IsNotSnappy(t *testing.T) {
	body := items("abcdabcdabcd")
	// A literal of 8 bytes, a copy of 4 from offset 4, then "4 more from the same offset", which only S2 has.
	block := "\x10\x1c" + body[:8] + "\x01\x04" + "\x01\x00"
	if plain, err := s2.Decode(nil, []byte(block)); err != nil || string(plain) != body {
		t.Fatalf("the block is no S2: %q (%v)", plain, err)
	}
	var r Request
	if v := r.Parse(rawText(5, block, "cp=snappy")); v.Code != 96 {
		t.Errorf("S2: %+v", v)
	}
	snappy := "\x10\x1c" + body[:8] + "\x01\x04" + "\x01\x04"
	if v := r.Parse(rawText(5, snappy, "cp=snappy")); !v.Ok() || string(r.Body) != body {
		t.Errorf("Snappy: %+v, body %q", v, r.Body)
	}
}

// Pins: blocks of every literal and copy form that the encoder writes are read, so that the check for S2 keeps its
// place in them.
func TestSnappyOfAnyShape(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 300_000; n = n*2 + 1 {
		body := make([]byte, n)
		for i := range body {
			if body[i] = byte(random.IntN(256)); i > 100 && i/1000%2 == 1 {
				body[i] = body[i-1-random.IntN(2)*i/2]
			}
		}
		got, err := DecodeSnappy(nil, s2.EncodeSnappy(nil, body))
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// Pins: what a consumer gets of each frame type.
func TestAppendItems(t *testing.T) {
	snappy := rawBinary(4, string(s2.EncodeSnappy(nil, []byte(items("a", "b")))), testAttr, 0)
	snappy[4] |= flagSnappy
	broken := rawBinary(4, "garbage", testAttr, 0)
	broken[4] |= flagSnappy
	for _, test := range []struct {
		name  string
		frame []byte
		want  string
		whole bool
	}{
		{"text", rawText(5, items("a", "b\n"), testAttr), "a|b\n", true},
		{"text, empty item later", rawText(5, items("a", "", "c"), testAttr), "a", false},
		{"text, item too long later", rawText(5, items("a")+"\x00\x00\x00\x09x", testAttr), "a", false},
		{"binary", rawBinary(4, items("a", "b"), testAttr, 0), "a|b", true},
		{"binary, empty items", rawBinary(4, items("a", "", "c"), testAttr, 0), "a||c", true},
		{"binary with item attributes", rawBinary(5, items("a", "k=1", "b", ""), testAttr, 0), "a[k=1]|b", true},
		{"binary, snappy", snappy, "a|b", true},
		{"binary, broken snappy", broken, "", false},
		{"binary, garbage", rawBinary(4, "garbage", testAttr, 0), "", false},
		{"type 2", rawText(2, "line\n", testAttr), "line", true},
		{"type 3", rawText(3, "line\r\n", testAttr), "line", true},
		{"type 4", rawText(4, "line\n\n", testAttr), "line\n", true},
		{"type 3, pb", rawText(3, "line\n", testAttr+"&mt=pb"), "line\n", true},
		{"type 6", rawText(6, "\x00\x00\x00\x0e"+items("a", "k=1", "bc")[:14], testAttr), "", false},
		{"type 6, good", rawText(6, items(items("a", "k=1", "b", "k=2")), testAttr), "a[k=1]|b[k=2]", true},
	} {
		var r Request
		if v := r.Parse(test.frame); !v.Ok() {
			t.Errorf("%s: %+v", test.name, v)
			continue
		}
		list, whole := r.AppendItems(nil)
		parts := make([]string, len(list))
		for i, item := range list {
			parts[i] = string(item.Data)
			if len(item.Attr) > 0 {
				parts[i] += "[" + string(item.Attr) + "]"
			}
		}
		if got := strings.Join(parts, "|"); whole != test.whole || test.whole && got != test.want {
			t.Errorf("%s: %q whole %v, want %q %v", test.name, got, whole, test.want, test.whole)
		}
	}
}

// Pins: accepted frames that kill the real connection.
func TestAcceptCloses(t *testing.T) {
	long := func(n int) string { return testAttr + "&k=" + strings.Repeat("x", n-len(testAttr)-3) }
	for _, test := range []struct {
		name  string
		frame []byte
		added int
		want  bool
	}{
		{"binary", rawBinary(4, items("a"), testAttr, 0), 19, false},
		{"binary, length word too long", rawBinary(4, items("a"), testAttr, 1), 19, true},
		{"binary, not ASCII", rawBinary(4, items("a"), testAttr+"&k=\u00e9", 0), 19, true},
		{"binary, longest", rawBinary(4, items("a"), long(32748), 0), 19, false},
		{"binary, too long with rtms", rawBinary(4, items("a"), long(32749), 0), 19, true},
		{"binary, longest with own rtms", rawBinary(4, items("a"), long(32767), 0), 0, false},
		{"text, not ASCII", rawText(5, items("a"), testAttr+"&k=\u00e9"), 40, false},
		{"text, long", rawText(5, items("a"), long(70000)), 40, false},
		{"type 3, only a newline", rawText(3, "\n", testAttr), 40, true},
		{"type 3, only a newline, pb", rawText(3, "\n", testAttr+"&mt=pb"), 40, false},
		{"type 6, only a newline", rawText(6, "\n", testAttr), 40, false},
	} {
		var r Request
		if v := r.Parse(test.frame); !v.Ok() {
			t.Errorf("%s: %+v", test.name, v)
		} else if got := r.AcceptCloses(test.added); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// Pins: a hostile frame that makes the decoder panic or read outside the frame.
func FuzzRequestParse(f *testing.F) {
	for _, frame := range loadRequests(f) {
		f.Add(frame)
	}
	f.Add(rawText(6, items(items("a", "k=1")), testAttr))
	f.Fuzz(func(t *testing.T, frame []byte) {
		var r Request
		if v := r.Parse(frame); v.Ok() && !r.IsHeartbeat() {
			r.AcceptCloses(19)
			r.AppendItems(nil)
		}
	})
}
