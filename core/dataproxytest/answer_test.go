package dataproxytest

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

const twoIDs = "groupId=g&streamId=s"

// rawText builds a frame of a type that is laid out as type 5.
func rawText(kind byte, body, attr string) []byte {
	frame := wire.AppendText(nil, []byte(body), []byte(attr), false)
	frame[lengthWord] = kind
	return frame
}

// rawBinary builds a frame of type 7 with one message and these bits in its header.
func rawBinary(ext byte, attr string) []byte {
	frame := wire.AppendBinary(nil, wire.AppendItem(nil, []byte("a")), []byte(attr), 5, 9, 1, false, false)
	frame[10] = ext
	return frame
}

func parsed(t testing.TB, frame []byte) *wire.Request {
	t.Helper()
	r := new(wire.Request)
	if v := r.Parse(frame); !v.Ok() {
		t.Fatalf("%+v", v)
	}
	return r
}

// No capture exists of the answers to these types. A real node returns the body of type 4 as it was sent, and "2" to all others.
func TestAnswerLayouts(t *testing.T) {
	for kind, want := range map[byte]string{
		2: "\x00\x00\x00\x1b\x02\x00\x00\x00\x012\x00\x00\x00\x11dpIp=n&isAck=true",
		3: "\x00\x00\x00\x1b\x03\x00\x00\x00\x012\x00\x00\x00\x11dpIp=n&isAck=true",
		4: "\x00\x00\x00\x1e\x04\x00\x00\x00\x04ab\r\n\x00\x00\x00\x11dpIp=n&isAck=true",
		6: "\x00\x00\x00\x1b\x06\x00\x00\x00\x012\x00\x00\x00\x11dpIp=n&isAck=true",
	} {
		r := parsed(t, rawText(kind, "ab\r\n", "isAck=true"))
		if got := string(appendDataAnswer(nil, r, answerAttr{nodeIP: "n", attr: r.Attr})); got != want {
			t.Errorf("type %d: %q, want %q", kind, got, want)
		}
	}
	r := parsed(t, []byte("\x00\x00\x00\x11\x08\x00\x00\x00\x01\x07\x00\x00\x00\x00\x00\x03abc\xee\x01"))
	want := "\x00\x00\x00\x13\x08\x00\x00\x00\x09\x07\x00\x00\x00\x02\xff\xff\x00\x03abc\xee\x01"
	if got := string(appendHeartbeatAnswer(nil, r, 9)); got != want {
		t.Errorf("binary heartbeat: %q, want %q", got, want)
	}
}

// The heartbeat's answer proves a connection: the client takes the same bytes as its heartbeat for the answer.
func TestHeartbeatIsItsOwnAnswer(t *testing.T) {
	if answer := appendHeartbeatAnswer(nil, parsed(t, wire.Heartbeat), 0); !bytes.Equal(answer, wire.Heartbeat) {
		t.Errorf("% x", answer)
	}
}

// A reader that counts on another order, or on a time that the sender gave itself, passes against a fake that is kinder than a real node.
func TestANodeAddsWhatTheSenderLeftOut(t *testing.T) {
	body := string(wire.AppendItem(nil, []byte("a")))
	for _, test := range []struct {
		frame []byte
		want  string
	}{
		{rawText(5, body, twoIDs), "rt=77&rtms=77"},
		{rawText(5, body, "rt=1"), "rtms=77"},
		{rawText(5, body, "rtms=1"), "rt=77"},
		{rawText(5, body, "rtms= &rt="), "rt=77&rtms=77"},
		{rawText(5, body, "rt=1&rtms=1"), ""},
		{rawBinary(4, twoIDs), "rtms=77"},
		{rawBinary(4, "rtms=1"), ""},
		{rawBinary(6, twoIDs), "rtms=77&node2ip=46801&rtime2=77"},
		{rawBinary(6, "rtms=1"), "node2ip=46801&rtime2=77"},
	} {
		if got := string(appendAdded(nil, parsed(t, test.frame), "77", "46801")); got != test.want {
			t.Errorf("%q: %q, want %q", test.frame, got, test.want)
		}
	}
}

// An answer whose attributes pass 32767 bytes must carry their length as an unsigned number.
func TestLongBinaryAnswer(t *testing.T) {
	r := parsed(t, rawBinary(4, twoIDs+"&k="+strings.Repeat("x", 32740)))
	answer := appendDataAnswer([]byte("before"), r, answerAttr{nodeIP: "127.0.0.1", added: []byte("rtms=1"), attr: r.Attr})[6:]
	if n := int(binary.BigEndian.Uint16(answer[9:])); n <= 32767 || n+13 != len(answer) {
		t.Errorf("attr length %d in %d bytes", n, len(answer))
	}
	if n := int(binary.BigEndian.Uint32(answer)); n+4 != len(answer) {
		t.Errorf("length word %d of %d bytes", n, len(answer))
	}
}

// An allocation in decoding or answering slows the fake, which benchmarks run against.
func TestParseAndAnswerDoNotAllocate(t *testing.T) {
	lines := wire.AppendItem(nil, []byte(strings.Repeat("log line ", 100)))
	for name, frame := range map[string][]byte{
		"text":   wire.AppendText(nil, lines, []byte(twoIDs+"&mid=m&cnt=1"), true),
		"binary": rawBinary(4, twoIDs+"&mid=m"),
	} {
		var r wire.Request
		var out, added []byte
		round := func() {
			if v := r.Parse(frame); !v.Ok() {
				t.Fatalf("%+v", v)
			}
			added = appendAdded(added[:0], &r, "1795408547570", "46801")
			out = appendDataAnswer(out[:0], &r, answerAttr{nodeIP: "127.0.0.1", added: added, attr: r.Attr})
		}
		round()
		if n := testing.AllocsPerRun(200, round); n > 0 {
			t.Errorf("%s: %v allocations a frame", name, n)
		}
	}
}

// A hostile frame that the decoder takes, or answers with a code, must not make the encoder panic, nor name another frame.
func FuzzAnswer(f *testing.F) {
	f.Add(rawText(5, string(wire.AppendItem(nil, []byte("a"))), twoIDs))
	f.Add(rawText(4, "ab\r\n", "isAck=true"))
	f.Add(rawBinary(6, twoIDs))
	f.Fuzz(func(t *testing.T, frame []byte) {
		var r wire.Request
		v := r.Parse(frame)
		if v.Close || r.IsHeartbeat() {
			return
		}
		added := appendAdded(nil, &r, "1", "2")
		if len(added) == 0 && lacks(&r, "rtms") {
			t.Error("nothing added")
		}
		answer := appendDataAnswer(nil, &r, answerAttr{nodeIP: "1.2.3.4", code: v.Code, text: v.Text, added: added, attr: r.Attr})
		if int(binary.BigEndian.Uint32(answer)) != len(answer)-lengthWord || answer[lengthWord] != r.Type {
			t.Errorf("%q", answer)
		}
	})
}
