package wire

import (
	"encoding/binary"
	"strings"
	"testing"
)

func parsed(t *testing.T, frame []byte) *Request {
	t.Helper()
	r := new(Request)
	if v := r.Parse(frame); !v.Ok() {
		t.Fatalf("%+v", v)
	}
	return r
}

// Pins: answers to frame types of which no capture exists: the body of type 4 comes back as sent, all others get "2".
func TestAnswerLayouts(t *testing.T) {
	for kind, want := range map[byte]string{
		2: "\x00\x00\x00\x1b\x02\x00\x00\x00\x012\x00\x00\x00\x11dpIp=n&isAck=true",
		3: "\x00\x00\x00\x1b\x03\x00\x00\x00\x012\x00\x00\x00\x11dpIp=n&isAck=true",
		4: "\x00\x00\x00\x1e\x04\x00\x00\x00\x04ab\r\n\x00\x00\x00\x11dpIp=n&isAck=true",
		6: "\x00\x00\x00\x1b\x06\x00\x00\x00\x012\x00\x00\x00\x11dpIp=n&isAck=true",
	} {
		r := parsed(t, rawText(kind, "ab\r\n", "isAck=true"))
		if got := string(AppendAnswer(nil, r, AnswerAttr{NodeIP: "n", Attr: r.Attr})); got != want {
			t.Errorf("type %d: %q, want %q", kind, got, want)
		}
	}
	r := parsed(t, []byte("\x00\x00\x00\x11\x08\x00\x00\x00\x01\x07\x00\x00\x00\x00\x00\x03abc\xee\x01"))
	want := "\x00\x00\x00\x13\x08\x00\x00\x00\x09\x07\x00\x00\x00\x02\xff\xff\x00\x03abc\xee\x01"
	if got := string(AppendHeartbeatAnswer(nil, r, 9)); got != want {
		t.Errorf("binary heartbeat: %q, want %q", got, want)
	}
}

// Pins: the order and the conditions of what a node puts in front of the attributes.
func TestAppendAdded(t *testing.T) {
	for _, test := range []struct {
		frame []byte
		want  string
	}{
		{rawText(5, items("a"), testAttr), "rt=77&rtms=77"},
		{rawText(5, items("a"), "rt=1"), "rtms=77"},
		{rawText(5, items("a"), "rtms=1"), "rt=77"},
		{rawText(5, items("a"), "rtms= &rt="), "rt=77&rtms=77"},
		{rawText(5, items("a"), "rt=1&rtms=1"), ""},
		{rawBinary(4, items("a"), testAttr, 0), "rtms=77"},
		{rawBinary(4, items("a"), "rtms=1", 0), ""},
		{rawBinary(6, items("a"), testAttr, 0), "rtms=77&node2ip=46801&rtime2=77"},
		{rawBinary(6, items("a"), "rtms=1", 0), "node2ip=46801&rtime2=77"},
	} {
		if got := string(AppendAdded(nil, parsed(t, test.frame), "77", "46801")); got != test.want {
			t.Errorf("%q: %q, want %q", test.frame, got, test.want)
		}
	}
}

// Pins: an answer whose attributes pass 32767 bytes must carry the length as an unsigned number.
func TestLongBinaryAnswer(t *testing.T) {
	r := parsed(t, rawBinary(4, items("a"), testAttr+"&k="+strings.Repeat("x", 32740), 0))
	answer := AppendAnswer([]byte("before"), r, AnswerAttr{NodeIP: "127.0.0.1", Added: []byte("rtms=1"), Attr: r.Attr})[6:]
	if n := int(binary.BigEndian.Uint16(answer[9:])); n <= 32767 || n+13 != len(answer) {
		t.Errorf("attr length %d in %d bytes", n, len(answer))
	}
	if n := int(binary.BigEndian.Uint32(answer)); n+4 != len(answer) {
		t.Errorf("length word %d of %d bytes", n, len(answer))
	}
}

// Pins: an allocation in decoding or answering slows the fake, which benchmarks run against.
func TestParseAndAnswerDoNotAllocate(t *testing.T) {
	for name, frame := range map[string][]byte{
		"text":   AppendText(nil, []byte(items(strings.Repeat("log line ", 100))), []byte(testAttr+"&mid=m&cnt=1"), true),
		"binary": rawBinary(4, items("a"), testAttr+"&mid=m", 0),
	} {
		var r Request
		var out, added []byte
		round := func() {
			if v := r.Parse(frame); !v.Ok() {
				t.Fatalf("%+v", v)
			}
			added = AppendAdded(added[:0], &r, "1795408547570", "46801")
			out = AppendAnswer(out[:0], &r, AnswerAttr{NodeIP: "127.0.0.1", Added: added, Attr: r.Attr})
		}
		round()
		if n := testing.AllocsPerRun(200, round); n > 0 {
			t.Errorf("%s: %v allocations a frame", name, n)
		}
	}
}
