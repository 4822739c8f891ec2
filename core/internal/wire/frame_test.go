package wire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// decodedItems parses a frame like a server and returns its messages.
func decodedItems(t testing.TB, r *Request, frame []byte) [][]byte {
	t.Helper()
	if v := r.Parse(frame); !v.Ok() {
		t.Fatalf("the server refuses the frame: %+v", v)
	}
	if r.AcceptCloses(len("rtms=1795408547570&")) {
		t.Fatal("the server dies of the frame")
	}
	list, whole := r.AppendItems(nil)
	if !whole {
		t.Fatal("the server loses a part of the body")
	}
	var payloads [][]byte
	for _, item := range list {
		payloads = append(payloads, item.Data)
	}
	return payloads
}

func noise(n int) []byte {
	source := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(source.Uint32())
	}
	return b
}

// Payloads that come out changed at the server, or a frame whose lengths are off by one, are lost data that was acked.
func TestFramesDecodeToWhatWasPutIn(t *testing.T) {
	for name, payloads := range map[string][][]byte{
		"one byte":          {{0}},
		"newlines and NULs": {[]byte("\n"), []byte("a\n"), []byte("\x00\x01\xff\x00"), []byte("\r\n")},
		"body of 256":       {bytes.Repeat([]byte("a"), 252)},
		"body of 257":       {bytes.Repeat([]byte("a"), 253)},
		"noise":             {noise(40000)},
		"short noise":       {noise(300)},
		"log lines":         bytes.SplitAfter([]byte(strings.Repeat("2026-01-02 INFO request served in 12 ms\n", 50)), []byte("\n"))[:50],
		"half a megabyte":   {bytes.Repeat([]byte("abcdefg"), 70000)},
	} {
		var body []byte
		for _, p := range payloads {
			body = AppendItem(body, p)
		}
		attr := []byte("groupId=test_group&streamId=s&dt=1700000000123&mid=m&cnt=1&k=v")
		for _, compress := range []bool{false, true} {
			for kind, appendTo := range map[string]func(dst []byte) []byte{
				"text": func(dst []byte) []byte { return AppendText(dst, body, attr, compress) },
				"binary": func(dst []byte) []byte {
					return AppendBinary(dst, body, attr, 0xfffffffe, 1700000000, 50, compress, false)
				},
			} {
				t.Run(fmt.Sprintf("%s, %s, compress %v", name, kind, compress), func(t *testing.T) {
					frame := appendTo(nil)
					var r Request
					if got := decodedItems(t, &r, frame); !equalAll(got, payloads) {
						t.Error("payloads differ")
					}
					if overhead := len(frame) - len(r.WireBody) - len(r.Attr); kind == "text" && overhead != TextOverhead || kind == "binary" && overhead != BinaryOverhead {
						t.Errorf("%d bytes beside body and attributes", overhead)
					}
					small := len(body) <= MinCompress || name == "noise" || name == "short noise"
					if r.Compressed() != (compress && !small) {
						t.Errorf("compressed: %v, body of %d bytes", r.Compressed(), len(body))
					}
					wantAttr := string(attr)
					if kind == "text" && r.Compressed() {
						wantAttr += "&cp=snappy"
					}
					if string(r.Attr) != wantAttr {
						t.Errorf("attributes %q", r.Attr)
					}
					if kind == "binary" && (r.Uniq != 0xfffffffe || r.Seconds != 1700000000 || r.Count != 50 || r.Ext != extStringIDs ||
						r.GroupNum != 0 || r.StreamNum != 0 || r.Flags&^flagSnappy != 0) {
						t.Errorf("header %+v", r)
					}
					checkAppends(t, frame, appendTo)
				})
			}
		}
	}
}

// checkAppends sees that a frame is the same whatever it is appended to: frames of a write lie one after the other.
func checkAppends(t *testing.T, frame []byte, appendTo func([]byte) []byte) {
	t.Helper()
	for _, spare := range []int{0, 1, 20, len(frame) - 1, len(frame), 3 * len(frame)} {
		dst := append(make([]byte, 0, 6+spare), "before"...)
		got := appendTo(dst)
		if string(got[:6]) != "before" || !bytes.Equal(got[6:], frame) {
			t.Errorf("with %d spare bytes the frame is another", spare)
		}
	}
}

func equalAll(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// A frame that needs memory of its own for each batch costs more than all else on the way.
func TestFramesDoNotAllocate(t *testing.T) {
	body, attr := AppendItem(nil, bytes.Repeat([]byte("log line "), 100)), []byte("groupId=g&streamId=s&mid=m&cnt=1")
	dst := make([]byte, 0, 64<<10)
	for name, frame := range map[string]func(){
		"text":   func() { dst = AppendText(dst[:0], body, attr, true) },
		"binary": func() { dst = AppendBinary(dst[:0], body, attr, 1, 1, 1, true, false) },
		"item":   func() { dst = AppendItem(dst[:0], body) },
		"id":     func() { dst = BatchID{1, 2}.Append(dst[:0]) },
	} {
		if n := testing.AllocsPerRun(100, frame); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A body that was compressed before gets another frame, or a damaged one as much memory as it asks for.
func TestABlockMakesTheSameFrame(t *testing.T) {
	body := AppendItem(nil, bytes.Repeat([]byte("some text "), 100))
	attr := []byte(testAttr)
	before := []byte("what is there")
	block, ok := Compress(slices.Clone(before), body)
	if !ok || !bytes.HasPrefix(block, before) {
		t.Fatalf("%t, %q", ok, block)
	}
	block = block[len(before):]
	if !bytes.Equal(AppendText(nil, body, attr, true), AppendTextBlock(nil, block, attr)) {
		t.Error("another frame of type 5")
	}
	if !bytes.Equal(AppendBinary(nil, body, attr, 7, 8, 1, true, true), AppendBinaryBlock(nil, block, attr, 7, 8, 1, true)) {
		t.Error("another frame of type 7")
	}
	again, err := Decompress(slices.Clone(before), block, len(body))
	if err != nil || !bytes.Equal(again, append(slices.Clone(before), body...)) {
		t.Errorf("%q, %v", again, err)
	}
	for name, bad := range map[string][]byte{"cut off": block[:len(block)-1], "empty": nil, "no length": {0xff}} {
		if _, err := Decompress(nil, bad, len(body)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Decompress(nil, block, len(body)-1); err == nil {
		t.Error("too long: no error")
	}
	for _, short := range [][]byte{nil, body[:MinCompress]} {
		if dst, ok := Compress(before, short); ok || !bytes.Equal(dst, before) {
			t.Errorf("%d bytes: %t, %q", len(short), ok, dst)
		}
	}
}
