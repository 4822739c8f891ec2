package dataproxytest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// vector is one request that a real DataProxy 2.4.0 got, with what it did.
type vector struct {
	Name            string  `json:"name"`
	Request         string  `json:"request"`
	Answer          *string `json:"answer"`
	ConnectionAfter string  `json:"connection_after"`
}

func loadVectors(t testing.TB, file, field string) []vector {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "internal", "wire", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(all[field], &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	nodeTimes   = regexp.MustCompile(`^(dpIp=[^&]*)((?:&rt=\d{13})?)((?:&rtms=\d{13})?)`)
	anyTime     = regexp.MustCompile(`\d{13}`)
	dpIPAddress = regexp.MustCompile(`^dpIp=[^&]*`)
)

// masked cuts the stream of answers into frames and blanks what may differ: dpIp's address and the receive times
// right behind it. All else is compared byte by byte, lengths included.
func masked(answers []byte) (string, error) {
	var out strings.Builder
	for len(answers) > 0 {
		if len(answers) < 4 {
			return "", fmt.Errorf("%d bytes are left over", len(answers))
		}
		size := 4 + int(uint32(answers[0])<<24|uint32(answers[1])<<16|uint32(answers[2])<<8|uint32(answers[3]))
		if size > len(answers) {
			return "", fmt.Errorf("a frame of %d bytes in %d", size, len(answers))
		}
		frame := string(answers[:size])
		answers = answers[size:]
		if at := strings.Index(frame, "dpIp="); at >= 0 {
			attr := nodeTimes.ReplaceAllStringFunc(frame[at:], func(head string) string {
				return dpIPAddress.ReplaceAllString(anyTime.ReplaceAllString(head, "TIME"), "dpIp=NODE")
			})
			frame = frame[:at] + attr
		}
		fmt.Fprintf(&out, "%q\n", frame)
	}
	return out.String(), nil
}

// exchange writes a request on a fresh connection, then a heartbeat with a body that marks the end, and returns what
// came before the heartbeat's answer and whether that came.
func exchange(t testing.TB, addr string, request []byte) (answer []byte, open bool) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write(request); err != nil {
		t.Fatal(err)
	}
	_, _ = nc.Write(endMark)
	var got []byte
	buf := make([]byte, 4096)
	for {
		n, err := nc.Read(buf)
		got = append(got, buf[:n]...)
		if len(got) >= len(endMark) && string(got[len(got)-len(endAnswer):]) == endAnswer {
			return got[:len(got)-len(endAnswer)], true
		}
		if err != nil {
			return got, false
		}
	}
}

// endMark is a binary heartbeat: its answer cannot be mistaken for that of another frame.
var endMark = []byte("\x00\x00\x00\x11\x08\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x03end\xee\x01")

// Without the first nine bytes, which hold the clock.
const endAnswer = "\x07\x00\x00\x00\x02\xff\xff\x00\x03end\xee\x01"
const endAnswerHead = 9

// Pins: the fake drifts from the captured server in any byte, in when it closes, or in when it stays silent.
func TestNodeAnswersAsCaptured(t *testing.T) {
	c := Start(t, WithNodes(2), WithTopics("test_group/test_stream"))
	c.Node(1).Standing(ServiceStopped())
	for _, v := range loadVectors(t, "dataproxy.json", "vectors") {
		t.Run(v.Name, func(t *testing.T) {
			node := c.Node(0)
			if strings.HasSuffix(v.Name, "service_stopped") {
				node = c.Node(1)
			}
			got, open := exchange(t, node.Addr(), unhex(t, v.Request))
			if open {
				got = got[:len(got)-endAnswerHead]
			}
			if want := v.ConnectionAfter == "open"; open != want {
				t.Errorf("connection open: %v, want %v", open, want)
			}
			want := ""
			if v.Answer != nil {
				want = *v.Answer
			}
			compareAnswers(t, got, unhex(t, want))
		})
	}
}

// Pins: frames of the existing Go and Java clients get another answer than the real server gave them.
func TestNodeAnswersExistingClients(t *testing.T) {
	c := Start(t, WithNodes(1), WithTopics("test_group/test_stream"))
	for _, v := range loadVectors(t, "existing_sdks.json", "frames") {
		if v.Answer == nil {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			got, open := exchange(t, c.Node(0).Addr(), unhex(t, v.Request))
			if !open {
				t.Fatal("connection closed")
			}
			compareAnswers(t, got[:len(got)-endAnswerHead], unhex(t, *v.Answer))
		})
	}
}

func compareAnswers(t *testing.T, got, want []byte) {
	t.Helper()
	g, err := masked(got)
	if err != nil {
		t.Fatalf("answer %q: %v", got, err)
	}
	w, err := masked(want)
	if err != nil {
		t.Fatalf("captured answer: %v", err)
	}
	if g != w {
		t.Errorf("answer differs\n got %s\nwant %s", g, w)
	}
}

// Pins: a comparison that masks too much would pass anything. Every byte of a captured answer that is not a receive
// time or the address must be noticed when it changes.
func TestComparisonNoticesEveryOtherByte(t *testing.T) {
	for _, v := range loadVectors(t, "dataproxy.json", "vectors") {
		if v.Answer == nil {
			continue
		}
		answer := unhex(t, *v.Answer)
		want, err := masked(answer)
		if err != nil {
			t.Fatal(err)
		}
		free := 0
		for i := range answer {
			answer[i] ^= 1
			if got, err := masked(answer); err == nil && got == want {
				free++
			}
			answer[i] ^= 1
		}
		// 9 bytes of 127.0.0.1 and 13 digits each of rt and rtms, in each answer of the burst.
		frames := strings.Count(want, "\n")
		if limit := frames * (9 + 13 + 13); free > limit {
			t.Errorf("%s: %d bytes of %d may change unnoticed, more than %d", v.Name, free, len(answer), limit)
		}
	}
}
