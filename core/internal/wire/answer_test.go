package wire

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// textAnswer builds an answer of type 5 without its length word.
func textAnswer(attr string) []byte {
	answer := append([]byte{TypeText, 0, 0, 0, 1, okBody[0]}, binary.BigEndian.AppendUint32(nil, uint32(len(attr)))...)
	return append(answer, attr...)
}

// answerTo builds the answer of the request's type, without its length word.
func answerTo(r *Request, attr string) []byte {
	if r.IsBinary() {
		return binaryAnswer(r.Uniq, attr)
	}
	return textAnswer(attr)
}

// binaryAnswer builds an answer of type 7 without its length word.
func binaryAnswer(uniq uint32, attr string) []byte {
	answer := binary.BigEndian.AppendUint32([]byte{TypeBinary}, uniq)
	answer = binary.BigEndian.AppendUint16(answer, uint16(len(attr)))
	return binary.BigEndian.AppendUint16(append(answer, attr...), BinaryMagic)
}

// cutAnswers cuts a stream into frames without their length words.
func cutAnswers(t testing.TB, stream []byte) (frames [][]byte) {
	t.Helper()
	for len(stream) > 0 {
		n := 4 + int(binary.BigEndian.Uint32(stream))
		frames, stream = append(frames, stream[4:n]), stream[n:]
	}
	return frames
}

// outcome is what the client makes of one captured answer.
type outcome struct {
	code int
	text string // the start of errMsg
	mid  bool   // it names a batch
	uniq uint32
}

// Bytes of a real server that are read as another code, as a success, or as the answer to another batch, are messages
// reported as sent that nobody has.
func TestCapturedAnswersMeanWhatTheServerMeant(t *testing.T) {
	ok5, ok7 := outcome{mid: true}, func(uniq uint32) outcome { return outcome{uniq: uniq} }
	want := map[string][]outcome{
		"heartbeat_1_byte": {{}}, "heartbeat_9_bytes": {{}},
		"type5_one": {ok5}, "type5_three": {ok5}, "type5_snappy": {ok5}, "type5_nul_newline": {ok5}, "type5_utf8_attr_value": {ok5},
		"type5_addcolumns": {ok5}, "type5_no_mid_cnt_dt": {{}}, "type5_empty_second_item": {ok5}, "client_errcode_attr": {ok5},
		"type7_one": {ok7(1)}, "type7_three": {ok7(2)}, "type7_snappy": {ok7(3)}, "type7_empty_item_kept": {ok7(4)},
		"type7_uniq_max": {ok7(0xffffffff)}, "type7_client_rtms": {ok7(5)},
		"type5_first_item_empty": {{code: 123, text: "Malformed data len, singleMsgLen(0), buffer remaining(5), attr: (groupId=test_group" +
			"&streamId=test_stream&dt=1700000000123&mid=m-9&cnt=2)", mid: true}},
		"type5_body_empty": {{code: 105}},
		"type7_body_empty": {{code: 105, uniq: 7}},
		"type5_no_group":   {{code: 100, mid: true}},
		"type7_no_group":   {{code: 100, uniq: 8}},
		"type5_duplicate_key": {{code: 109, text: "Parse attr (groupId=test_group&streamId=test_stream&mid=m-12&k=1&k=2) failure",
			mid: true}},
		"type5_two_equals":    {{code: 109, text: "Parse attr (groupId=test_group&streamId=test_stream&mid=m-13&k=a=b) failure", mid: true}},
		"type7_two_equals":    {{code: 109, text: "Parse attr (groupId=test_group&streamId=test_stream&k=a=b) failure", uniq: 9}},
		"type5_unknown_topic": {{code: 115, text: "Topic not configured for groupId=(nope_group), streamId=(sss)", mid: true}},
		"type7_unknown_topic": {{code: 115, text: "Topic not configured for groupId=(nope_group), streamId=(sss)", uniq: 10}},
		"type5_bad_snappy": {{code: 96, text: "Error to uncompress msg, compress type(snappy), attr: (groupId=test_group&streamId=test_stream" +
			"&mid=m-15&cp=snappy), error: (null)", mid: true}},
		"type5_wrong_total_length": {{code: 104, text: "Error msg, totalDataLen(65) + 4 != fixedLength(13) + bodyLen(5) + attrLen(48)"}},
		"type7_bad_magic":          {{code: 94, text: "magicInMsg(60930) != 60929", uniq: 11}},
		"type7_num_ids":            {{code: 3, text: "GroupId-Mapping configuration is null", uniq: 12}},
		"type7_index_message":      {{code: 112, uniq: 13}},
		"type5_sync_and_noack":     {{code: 150, mid: true}},
		"type7_proxy_and_noack":    {{code: 151, uniq: 15}},
		"type5_service_stopped":    {{code: 2, mid: true}},
		"type7_service_stopped":    {{code: 2, uniq: 16}},
		"pipelined_burst":          {ok7(100), ok5, ok7(102), {code: 105}, ok5, {}, ok7(104), ok5},
	}
	raw, err := os.ReadFile("testdata/dataproxy.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name   string
			Answer *string
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, v := range file.Vectors {
		if v.Answer == nil {
			continue
		}
		stream, err := hex.DecodeString(*v.Answer)
		if err != nil {
			t.Fatal(err)
		}
		var got []outcome
		for _, frame := range cutAnswers(t, stream) {
			a, err := ParseAnswer(frame)
			if err != nil {
				t.Fatalf("%s: %v", v.Name, err)
			}
			if a.HasID {
				t.Errorf("%s: names one of our batches", v.Name)
			}
			got = append(got, outcome{a.Code, string(a.Text), a.HasMID, a.Uniq})
		}
		if !slices.Equal(got, want[v.Name]) {
			t.Errorf("%s: %+v, want %+v", v.Name, got, want[v.Name])
		}
		delete(want, v.Name)
	}
	if len(want) > 0 {
		t.Errorf("no such captures: %v", want)
	}
}

// What the server answered the existing SDKs is what it answers us: their ids and the order of their attributes must not
// turn an error into a success, nor a success into ours.
func TestAnswersToExistingSDKsMeanWhatTheServerMeant(t *testing.T) {
	raw, err := os.ReadFile("testdata/existing_sdks.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Frames []struct{ Name, Answer string }
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	codes := map[string]int{"go_only_newline": 123, "go_unknown_group": 115, "java_unknown": 115}
	for _, f := range file.Frames {
		frame, err := hex.DecodeString(f.Answer)
		if err != nil {
			t.Fatal(err)
		}
		a, err := ParseAnswer(frame[4:])
		if f.Name == "java_t3_list3" { // an answer to a frame that this client never sends
			if !errors.Is(err, ErrAnswer) {
				t.Errorf("%s: %+v, %v", f.Name, a, err)
			}
			continue
		}
		if err != nil || a.Code != codes[f.Name] || a.HasID || a.HasMID != strings.HasPrefix(f.Name, "go_") {
			t.Errorf("%s: %+v, %v", f.Name, a, err)
		}
		delete(codes, f.Name)
	}
	if len(codes) > 0 {
		t.Errorf("no such captures: %v", codes)
	}
}

// An answer is matched by what it echoes of our frame. Whatever the server's text quotes, the id, the code and the text must
// come out as they went in.
func TestAnswersToOurFramesNameTheirBatch(t *testing.T) {
	id := BatchID{Client: 0x0123456789abcdef, Seq: 77}
	attr := []byte("groupId=test_group&streamId=s&dt=1&mid=" + id.String() + "&sid=" + id.String() + "&wid=0&cnt=1&k=v")
	body := AppendItem(nil, []byte("payload"))
	for _, c := range []struct {
		name         string
		code         int
		text, before string // before: what the node puts in front of our attributes
	}{
		{"success", 0, "", "&rt=1795408547570&rtms=1795408547570"},
		{"success with nothing added", 0, "", ""},
		{"code alone", 2, "", "&errCode=2"},
		{"text", 115, "Topic not configured for groupId=(x), streamId=(y)",
			"&errCode=115&errMsg=Topic not configured for groupId=(x), streamId=(y)"},
		{"text and receive times", 114, "Put msg event to channel failure: / by zero",
			"&errCode=114&errMsg=Put msg event to channel failure: / by zero&rt=1795408547570&rtms=1795408547570"},
		{"text that quotes our attributes", 109, "Parse attr (" + string(attr) + ") failure",
			"&errCode=109&errMsg=Parse attr (" + string(attr) + ") failure"},
		{"text that quotes another id", 123, "bad&mid=ffffffffffffffff-1&errCode=0&x",
			"&errCode=123&errMsg=bad&mid=ffffffffffffffff-1&errCode=0&x"},
		{"text that ends in an equals sign", 96, "error=", "&errCode=96&errMsg=error="},
	} {
		for kind, frame := range map[string][]byte{
			"text":   AppendText(nil, body, attr, false),
			"binary": AppendBinary(nil, body, attr, uint32(id.Seq), 1, 1, false, false),
		} {
			var r Request
			if v := r.Parse(frame); !v.Ok() {
				t.Fatalf("%+v", v)
			}
			a, err := ParseAnswer(answerTo(&r, "dpIp=::1"+c.before+"&"+string(r.Attr)))
			if err != nil || a.Code != c.code || string(a.Text) != c.text {
				t.Errorf("%s, %s: code %d text %q, %v", kind, c.name, a.Code, a.Text, err)
			}
			if kind == "binary" && a.Uniq != 77 || kind == "text" && (!a.HasID || !a.HasMID || a.ID != id) {
				t.Errorf("%s, %s: %+v", kind, c.name, a)
			}
		}
	}
}

// A server was seen to answer with more attributes than a signed length holds: read as a negative one, that breaks a sound connection.
func TestLengthOfABinaryAnswersAttributesIsUnsigned(t *testing.T) {
	long := "dpIp=127.0.0.1&errCode=115&errMsg=" + strings.Repeat("x", 0x800d)
	a, err := ParseAnswer(binaryAnswer(7, long))
	if err != nil || a.Uniq != 7 || a.Code != 115 || len(a.Text) != 0x800d {
		t.Errorf("uniq %d, code %d, text of %d bytes, %v", a.Uniq, a.Code, len(a.Text), err)
	}
}

// A code that counts although a client's own attribute holds it fails a stored batch; one that does not count although the
// server set it is a false success.
func TestErrCodeCountsOnlyInItsPlace(t *testing.T) {
	for attr, want := range map[string]int{
		"dpIp=":                           0,
		"dpIp=1.2.3.4":                    0,
		"errCode=114":                     114, // the sink's answers have no dpIp
		"errCode=114&errMsg=x&mid=1":      114,
		"dpIp=1.2.3.4&errCode=1":          1,
		"dpIp=1.2.3.4&errCode=0&mid=1":    0,
		"dpIp=1.2.3.4&mid=1&errCode=5":    0,
		"dpIp=1&dpIp=2&errCode=5":         0,
		"dpIp=1.2.3.4&errcode=5":          0,
		"dpIp=1.2.3.4&errCode2=5":         0,
		"dpIp=1.2.3.4&errCode=2147483647": 2147483647,
	} {
		for _, frame := range [][]byte{textAnswer(attr), binaryAnswer(1, attr)} {
			if a, err := ParseAnswer(frame); err != nil || a.Code != want {
				t.Errorf("%q: code %d, %v, want %d", attr, a.Code, err, want)
			}
		}
	}
}

// What a client sent and got back, from an echo or in a body of its own length, passed for a success: the data was lost. A success is a
// node's word: it says of which.
func TestWhatANodeDoesNotSayIsNoSuccess(t *testing.T) {
	for _, attr := range []string{"", "mid=1", "mid=1&errCode=5", "rt=1&dpIp=1.2.3.4&errCode=5", "groupId=g&streamId=s&mid=0123456789abcdef-1", "dpIP=1", "dpIp"} {
		for _, frame := range [][]byte{textAnswer(attr), binaryAnswer(1, attr)} {
			if a, err := ParseAnswer(frame); !errors.Is(err, ErrAnswer) {
				t.Errorf("%q: %+v, %v", attr, a, err)
			}
		}
	}
	attr := []byte("dpIp=1&groupId=g&streamId=s&mid=0123456789abcdef-1")
	for _, body := range []string{"", "\x00\x00\x00\x01x", "22"} {
		if a, err := ParseAnswer(AppendText(nil, []byte(body), attr, false)[4:]); !errors.Is(err, ErrAnswer) {
			t.Errorf("a body of %d bytes: %+v, %v", len(body), a, err)
		}
	}
	for _, format := range [][]byte{AppendText(nil, AppendItem(nil, []byte("x")), attr, false), AppendBinary(nil, AppendItem(nil, []byte("x")), attr, 4, 1, 1, false, false)} {
		if _, err := ParseAnswer(format[4:]); err == nil || !strings.Contains(err.Error(), "no DataProxy") {
			t.Errorf("a frame of ours that comes back: %v", err)
		}
	}
}

// An error that shows "48 54 54 50" leaves its reader to find out what is at the address.
func TestForeignProtocolsAreNamed(t *testing.T) {
	for data, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\nServer: x\r\n": `: an HTTP server answers here: "HTTP/1.1 400 Bad Request"`,
		"HTTP/":                        `: an HTTP server answers here: "HTTP/"`,
		"SSH-2.0-OpenSSH_9.2\r\n":      `: an SSH server answers here: "SSH-2.0-OpenSSH_9.2"`,
		"\x15\x03\x01\x00\x02\x02\x46": ": a TLS server answers here",
		"-ERR unknown command\r\n":     `: no DataProxy answers here: "-ERR unknown command"`,
		"\x7f\xff\xff\xff\x05":         "",
		"\x00\x00\x00\x01\x05":         "",
		"":                             "",
		"\n":                           "",
		strings.Repeat("x", 10000):     `: no DataProxy answers here: "` + strings.Repeat("x", 48) + `"`,
	} {
		if got := Foreign([]byte(data)); got != want {
			t.Errorf("%q: %q, want %q", data, got, want)
		}
	}
}

// A code that is no number must end the connection: read as 0 it would be a false success.
func TestErrCodeThatIsNoNumberIsRefused(t *testing.T) {
	for _, code := range []string{"", "x", "1x", "-1", "-0", "+0", "+7", " 1", "1 ", "0x1", "1_0", "99999999999999999999", "1=2", "\x00",
		"\xd9\xa1", strings.Repeat("9", 1000)} {
		for _, tail := range []string{"", "&errMsg=m&mid=0000000000000000-1"} {
			for _, frame := range [][]byte{textAnswer("dpIp=1.2.3.4&errCode=" + code + tail), binaryAnswer(1, "errCode="+code+tail)} {
				if a, err := ParseAnswer(frame); !errors.Is(err, ErrAnswer) {
					t.Errorf("errCode %q: %+v, %v", code, a, err)
				} else if len(err.Error()) > 300 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
			}
		}
	}
}

// Each is a broken stream: reading on would match answers to the wrong batches.
func TestMalformedAnswersAreRefused(t *testing.T) {
	good5, good7 := string(textAnswer("dpIp=1")), string(binaryAnswer(1, "dpIp=1"))
	for name, frame := range map[string]string{
		"nothing":                         "",
		"type 0":                          "\x00",
		"type 2":                          "\x02" + good5[1:],
		"type 6":                          "\x06" + good5[1:],
		"type 8":                          "\x08\x00\x00\x00\x00\x01\x00\x00\x00\x02\xff\xff\x00\x00\xee\x01",
		"type 5 with flags":               "\x25" + good5[1:],
		"type 7 with flags":               "\x27" + good7[1:],
		"type 5 alone":                    "\x05",
		"type 5, 10 bytes":                "\x05\x00\x00\x00\x01\x32\x00\x00\x00\x01",
		"type 5, negative body":           "\x05\xff\xff\xff\xff\x32" + good5[6:],
		"type 5, body of 2 GiB":           "\x05\x7f\xff\xff\xff\x32" + good5[6:],
		"type 5, body past the end":       "\x05\x00\x00\x00\x08\x32" + good5[6:],
		"type 5, negative attributes":     "\x05\x00\x00\x00\x01\x32\xff\xff\xff\xff",
		"type 5, attributes of 2 GiB":     "\x05\x00\x00\x00\x01\x32\x7f\xff\xff\xffdpIp=1",
		"type 5, attributes one too long": "\x05\x00\x00\x00\x01\x32\x00\x00\x00\x07dpIp=1",
		"type 5, one byte left over":      good5 + "x",
		"type 7 alone":                    "\x07",
		"type 7, 8 bytes":                 "\x07\x00\x00\x00\x01\x00\x00\xee",
		"type 7, attributes too long":     "\x07\x00\x00\x00\x01\x00\x07dpIp=1\xee\x01",
		"type 7, attributes of 65535":     "\x07\x00\x00\x00\x01\xff\xffdpIp=1\xee\x01",
		"type 7, one byte left over":      good7 + "x",
		"type 7, bad magic":               good7[:len(good7)-1] + "\x02",
	} {
		if a, err := ParseAnswer([]byte(frame)); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	for name, frame := range map[string]string{"5": good5, "7": good7} {
		for n := range len(frame) {
			if a, err := ParseAnswer([]byte(frame[:n])); !errors.Is(err, ErrAnswer) {
				t.Errorf("type %s cut to %d bytes: %+v, %v", name, n, a, err)
			}
		}
	}
}

// A mid that is not exactly ours must not name a batch of ours.
func TestForeignBatchIDsAreNotOurs(t *testing.T) {
	for mid, want := range map[string]bool{
		"0123456789abcdef-1":                 true,
		"0123456789abcdef-ffffffffffffffff":  true,
		"0123456789abcdef-":                  false,
		"0123456789abcdef":                   false,
		"0123456789abcdef_1":                 false,
		"0123456789abcdef-1ffffffffffffffff": false,
		"0123456789ABCDEF-1":                 false,
		"0123456789abcdeg-1":                 false,
		"0123456789abcdef-g":                 false,
		"0123456789abcdef--1":                false,
		"0123456789abcdef-1 ":                false,
		"123456789abcdef-1":                  false,
		"":                                   false,
	} {
		if _, ok := ParseBatchID([]byte(mid)); ok != want {
			t.Errorf("%q: %v", mid, ok)
		}
		a, err := ParseAnswer(textAnswer("dpIp=1&mid=" + mid + "&cnt=1"))
		if err != nil || a.HasID != want || !a.HasMID {
			t.Errorf("%q: %+v, %v", mid, a, err)
		}
	}
	for _, attr := range []string{"dpIp=1&xmid=0123456789abcdef-1", "dpIp=1&mid2=0123456789abcdef-1", "dpIp=1&sid=0123456789abcdef-1"} {
		if a, _ := ParseAnswer(textAnswer(attr)); a.HasMID || a.HasID {
			t.Errorf("%q names a batch", attr)
		}
	}
}

// The id is what a batch is found by: two that share a text would complete each other's messages.
func TestBatchIDTextIsReadBack(t *testing.T) {
	for _, id := range []BatchID{{}, {1, 1}, {0xffffffffffffffff, 0xffffffffffffffff}, {0x0102030405060708, 1 << 32}, {0, 16}} {
		if got, ok := ParseBatchID(id.Append(nil)); !ok || got != id {
			t.Errorf("%v: %v %v", id, got, ok)
		}
		if got := string(id.Append([]byte("x"))); got != "x"+id.String() || len(id.String()) > batchIDPrefix+16 {
			t.Errorf("%v: %q", id, got)
		}
	}
}

// An allocation in the parser is one a batch on the reader, for every success.
func TestGoodAnswersDoNotAllocate(t *testing.T) {
	frame := textAnswer("dpIp=127.0.0.1&rt=1&rtms=1&groupId=g&streamId=s&dt=1&mid=" + BatchID{1, 2}.String() + "&cnt=1")
	if n := testing.AllocsPerRun(100, func() {
		if a, err := ParseAnswer(frame); err != nil || !a.HasID {
			t.Fatal(a, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
