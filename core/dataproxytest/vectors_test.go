package dataproxytest

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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
	// What a node puts in front of the attributes of a frame that has no such time of its own.
	receiveTimes = regexp.MustCompile(`dpIp=[^&]*(?:&rt=(\d{13}))?(?:&rtms=(\d{13}))?&`)
)

// masked cuts the stream of answers into frames and blanks what may differ: dpIp's address and the receive times
// right after it. All else is compared byte by byte, lengths included.
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
	// Or the port of each stays taken for a minute, and some runs in a row take all that there are.
	if err := nc.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
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

// captured is the cluster that the vectors were made with: a node that serves, and one that an administrator stopped.
func captured(t *testing.T) (nodeOf func(vector) *Node) {
	t.Helper()
	c := Start(t, WithNodes(2), WithTopics("test_group/test_stream"))
	c.Node(1).Standing(ServiceStopped())
	return func(v vector) *Node {
		if strings.HasSuffix(v.Name, "service_stopped") {
			return c.Node(1)
		}
		return c.Node(0)
	}
}

// differences asks the node at addr what it makes of the captured request, and returns what the real server did otherwise.
func (v vector) differences(t testing.TB, addr string) error {
	t.Helper()
	before := time.Now()
	got, open := exchange(t, addr, unhex(t, v.Request))
	if open {
		got = got[:len(got)-endAnswerHead]
	}
	want := ""
	if v.Answer != nil {
		want = *v.Answer
	}
	err := compareAnswers(got, unhex(t, want), before)
	if wantOpen := v.ConnectionAfter == "open"; open != wantOpen {
		err = errors.Join(err, fmt.Errorf("connection open: %v, want %v", open, wantOpen))
	}
	return err
}

// Pins: the fake drifts from the captured server in any byte, in when it closes, or in when it stays silent.
func TestNodeAnswersAsCaptured(t *testing.T) {
	nodeOf, vectors := captured(t), loadVectors(t, "dataproxy.json", "vectors")
	if len(vectors) != 45 {
		t.Fatalf("%d vectors, 45 were captured", len(vectors))
	}
	for _, v := range vectors {
		if err := v.differences(t, nodeOf(v).Addr()); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}

// Pins: frames of the existing Go and Java clients get another answer than the real server gave them.
func TestNodeAnswersExistingClients(t *testing.T) {
	c := Start(t, WithNodes(1), WithTopics("test_group/test_stream"))
	frames := loadVectors(t, "existing_sdks.json", "frames")
	if len(frames) != 20 {
		t.Fatalf("%d frames, 20 were captured", len(frames))
	}
	for _, v := range frames {
		v.ConnectionAfter = "open"
		if err := v.differences(t, c.Node(0).Addr()); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}

// compareAnswers also sees to it that the times that may differ are of now.
func compareAnswers(got, want []byte, before time.Time) error {
	g, err := masked(got)
	if err != nil {
		return fmt.Errorf("answer %q: %w", got, err)
	}
	w, err := masked(want)
	if err != nil {
		return fmt.Errorf("captured answer: %w", err)
	}
	if g != w {
		return fmt.Errorf("answer differs\n got %s\nwant %s", g, w)
	}
	for _, head := range receiveTimes.FindAllSubmatch(got, -1) {
		for _, text := range head[1:] {
			ms, _ := strconv.ParseInt(string(text), 10, 64)
			if at := time.UnixMilli(ms); len(text) > 0 && (at.Before(before.Truncate(time.Millisecond)) || at.After(time.Now())) {
				return fmt.Errorf("receive time %s, at %d", text, before.UnixMilli())
			}
		}
	}
	return nil
}
