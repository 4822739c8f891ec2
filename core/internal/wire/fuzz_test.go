package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

// A hostile answer must not panic, be read beyond its end, or pass as a success of a batch that it does not name.
func FuzzParseAnswer(f *testing.F) {
	raw, err := os.ReadFile("testdata/dataproxy.json")
	if err != nil {
		f.Fatal(err)
	}
	var file struct{ Vectors []struct{ Answer string } }
	if err := json.Unmarshal(raw, &file); err != nil {
		f.Fatal(err)
	}
	for _, v := range file.Vectors {
		stream, err := hex.DecodeString(v.Answer)
		if err != nil {
			f.Fatal(err)
		}
		for _, frame := range cutAnswers(f, stream) {
			f.Add(frame)
		}
	}
	f.Add(textAnswer("dpIp=1&errCode=109&errMsg=a&b=c&groupId=g&mid=0123456789abcdef-1"))
	f.Add(binaryAnswer(1, strings.Repeat("x", 40000)))
	f.Fuzz(func(t *testing.T, frame []byte) {
		before := bytes.Clone(frame)
		a, err := ParseAnswer(frame)
		if !bytes.Equal(before, frame) {
			t.Fatal("the frame was changed")
		}
		switch {
		case err != nil:
			if !errors.Is(err, ErrAnswer) || len(err.Error()) > 1000 {
				t.Fatalf("error of %d bytes", len(err.Error()))
			}
			return
		case a.Code < 0, a.HasID && !a.HasMID, a.Code == 0 && len(a.Text) > 0 && !bytes.Contains(frame, []byte("errCode=0")):
			t.Fatalf("%+v", a)
		}
		if a.HasID && !bytes.Contains(frame, []byte("&mid=")) {
			t.Fatal("an id from nowhere")
		}
		if bytes.HasPrefix(attrOf(frame), []byte("errCode=")) && a.Code == 0 && !bytes.HasPrefix(attrOf(frame), []byte("errCode=0")) {
			t.Fatalf("a false success: %q", frame)
		}
	})
}

// attrOf returns the attributes of a well-formed data answer.
func attrOf(frame []byte) []byte {
	switch {
	case len(frame) > 10 && frame[0] == TypeText:
		attr, _ := textAttr(frame)
		return attr
	case len(frame) > 9 && frame[0] == TypeBinary:
		return frame[7 : len(frame)-2]
	}
	return nil
}

// Every frame that the client can build must come out of the server's decoder with the same messages and attributes.
func FuzzFrameRoundTrip(f *testing.F) {
	f.Add([]byte("hello"), []byte("\n"), uint8(3), "k", "v", uint64(1), true)
	f.Add([]byte{0}, []byte(strings.Repeat("abc", 20)), uint8(50), "__addcol1__worldid", "7", uint64(1)<<63, false)
	f.Add(noise(30), noise(300), uint8(2), "", "", uint64(0xffffffff), true)
	f.Fuzz(func(t *testing.T, first, second []byte, repeat uint8, key, value string, seq uint64, compress bool) {
		if len(first) == 0 || len(second) == 0 || len(first)+len(second)*int(repeat) > 1<<13 {
			return // no message is empty
		}
		id := BatchID{Client: ^seq, Seq: seq}
		attr := []byte("groupId=g&streamId=s&mid=" + id.String())
		if plainText(key) && key != "" && plainText(value) && !strings.Contains("groupId streamId mid cp syncSend proxySend isAck", key) {
			attr = append(attr, "&"+key+"="+value...)
		}
		payloads := [][]byte{first}
		body := AppendItem(nil, first)
		for range repeat {
			payloads, body = append(payloads, second), AppendItem(body, second)
		}
		for _, frame := range [][]byte{
			AppendText(nil, body, attr, compress),
			AppendBinary(nil, body, attr, uint32(seq), 1, uint16(len(payloads)), compress, false),
		} {
			var r Request
			if !equalAll(decodedItems(t, &r, frame), payloads) || !bytes.HasPrefix(r.Attr, attr) {
				t.Fatal("the frame holds something else")
			}
			a, err := ParseAnswer(answerTo(&r, "dpIp=1.2.3.4&rtms=1&"+string(r.Attr)))
			if err != nil || a.Code != 0 || a.Type == TypeText && a.ID != id || a.Type == TypeBinary && a.Uniq != uint32(seq) {
				t.Fatalf("%+v, %v", a, err)
			}
		}
	})
}

// plainText is what the client lets through as an attribute.
func plainText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '&' || s[i] == '=' {
			return false
		}
	}
	return strings.TrimSpace(s) == s && len(s) < 4096
}

// Only one text names an id: two would let an answer complete a batch it does not mean.
func FuzzBatchID(f *testing.F) {
	f.Add([]byte("0123456789abcdef-1"))
	f.Add([]byte("ffffffffffffffff-ffffffffffffffff"))
	f.Add([]byte("0000000000000000-0"))
	f.Fuzz(func(t *testing.T, text []byte) {
		id, ok := ParseBatchID(text)
		if !ok {
			return
		}
		if back, ok := ParseBatchID(id.Append(nil)); !ok || back != id {
			t.Fatalf("%q: %v, then %v", text, id, back)
		}
		if canonical := id.String(); canonical != string(text) && !bytes.HasPrefix(text[batchIDPrefix:], []byte("0")) {
			t.Fatalf("%q is also %q", text, canonical)
		}
	})
}

// A spool's record may hold any block.
func FuzzDecompress(f *testing.F) {
	block, _ := Compress(nil, bytes.Repeat([]byte("some text "), 100))
	f.Add(block)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, block []byte) {
		const most = 1 << 16
		body, err := Decompress([]byte("x"), block, most)
		if body[0] != 'x' || len(body) > 1+most {
			t.Fatalf("%d bytes", len(body))
		}
		if err != nil && len(body) != 1 {
			t.Fatal("a part of what cannot be read")
		}
	})
}
