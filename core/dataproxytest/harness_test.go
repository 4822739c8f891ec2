package dataproxytest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// peer is a bare client: it writes frames and reads answers, nothing else.
type peer struct {
	t  testing.TB
	nc net.Conn
}

func dial(t testing.TB, n *Node) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &peer{t, nc}
}

func textFrame(mid string, payloads ...string) []byte {
	var body []byte
	for _, p := range payloads {
		body = wire.AppendItem(body, []byte(p))
	}
	attr := fmt.Sprintf("groupId=g&streamId=s&dt=1700000000000&mid=%s&cnt=%d", mid, len(payloads))
	return wire.AppendText(nil, body, []byte(attr), true)
}

func (p *peer) send(frames ...[]byte) {
	p.t.Helper()
	for _, f := range frames {
		if _, err := p.nc.Write(f); err != nil {
			p.t.Fatal(err)
		}
	}
}

// answer reads one frame and returns it without its length word.
func (p *peer) answer() (string, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.nc, head[:]); err != nil {
		return "", err
	}
	rest := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(p.nc, rest)
	return string(rest), err
}

func (p *peer) wantAnswer(part string) {
	p.t.Helper()
	got, err := p.answer()
	if err != nil {
		p.t.Fatalf("no answer: %v, want one with %q", err, part)
	}
	if !strings.Contains(got, part) {
		p.t.Fatalf("answer %q, want one with %q", got, part)
	}
}

// wantAck reads a success answer that echoes mid.
func (p *peer) wantAck(mid string) {
	p.t.Helper()
	got, err := p.answer()
	if err != nil || strings.Contains(got, "errCode=") || !strings.Contains(got, "mid="+mid+"&") {
		p.t.Fatalf("answer %q (%v), want the ack of %s", got, err, mid)
	}
}

// wantHeartbeat proves that the connection answers heartbeats, and that no answer came before.
func (p *peer) wantHeartbeat() {
	p.t.Helper()
	p.send(wire.Heartbeat)
	if got, err := p.answer(); err != nil || got != "\x01" {
		p.t.Fatalf("answer %q (%v), want the heartbeat's", got, err)
	}
}

// wantEnd reads to the end of the connection; reset tells whether that must be by RST.
func (p *peer) wantEnd(reset bool) {
	p.t.Helper()
	rest, err := io.ReadAll(p.nc)
	if len(rest) > 0 {
		p.t.Errorf("%q before the end", rest)
	}
	if isReset := err != nil && strings.Contains(err.Error(), "reset by peer"); isReset != reset || !reset && err != nil {
		p.t.Errorf("ended with %v, want a reset: %v", err, reset)
	}
}

// wantSilence proves that nothing comes for a while. It cannot fail wrongly: a slow machine only makes it weaker.
func (p *peer) wantSilence() {
	p.t.Helper()
	_ = p.nc.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	var b [1]byte
	if n, err := p.nc.Read(b[:]); n > 0 || err == io.EOF {
		p.t.Fatalf("read %d bytes (%v), want silence", n, err)
	}
	_ = p.nc.SetReadDeadline(time.Now().Add(patience))
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func text(payloads [][]byte) string {
	list := make([]string, len(payloads))
	for i, p := range payloads {
		list[i] = string(p)
	}
	return strings.Join(list, " ")
}
