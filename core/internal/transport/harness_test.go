package transport

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/tcptest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// patience bounds what a test waits for; a test that works never waits that long.
const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a raw TCP server: each connection goes to serve on a goroutine of its own and is closed after it.
func server(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	return tcptest.Serve(t, tcptest.Listen(t), serve)
}

// prover answers the first heartbeat and leaves the rest to next.
func prover(next func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		if frame, err := readFrame(conn); err == nil && string(frame) == string(wire.Heartbeat) {
			_, _ = conn.Write(wire.Heartbeat)
			next(conn)
		}
	}
}

// readFrame reads one frame, length word included.
func readFrame(conn net.Conn) ([]byte, error) {
	head := make([]byte, lengthWord)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, err
	}
	frame := append(head, make([]byte, binary.BigEndian.Uint32(head))...)
	_, err := io.ReadFull(conn, frame[lengthWord:])
	return frame, err
}

// answering answers every frame with success until the connection ends.
func answering(conn net.Conn) {
	for {
		frame, err := readFrame(conn)
		if err != nil {
			return
		}
		_, _ = conn.Write(answerTo(frame, answer{}))
	}
}

// silent reads until the connection ends.
func silent(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// answer is what a node says of a frame of ours: success, or an error code with a text.
type answer struct {
	code int
	text string
}

// answerTo makes the bytes that a real node would answer.
func answerTo(frame []byte, a answer) []byte {
	var r wire.Request
	if v := r.Parse(frame); !v.Ok() {
		panic(fmt.Sprintf("the client wrote a bad frame: %+v", v))
	}
	if r.IsHeartbeat() {
		return wire.Heartbeat
	}
	attr := "dpIp=127.0.0.1&"
	if a.code != 0 {
		attr += fmt.Sprintf("errCode=%d&errMsg=%s&", a.code, a.text)
	}
	attr += string(r.Attr)
	if r.IsBinary() {
		b := binary.BigEndian.AppendUint32(nil, uint32(9+len(attr)))
		b = binary.BigEndian.AppendUint32(append(b, wire.TypeBinary), r.Uniq)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(attr))), attr...)
		return binary.BigEndian.AppendUint16(b, wire.BinaryMagic)
	}
	return wire.AppendText(nil, []byte("2"), []byte(attr), false)
}

func config() *Config {
	return &Config{
		Client: ourClient, Type: wire.TypeText, ConnTimeout: patience, AckTimeout: patience, HeartbeatInterval: patience,
		SocketSendBuffer: 1 << 20, SocketRecvBuffer: 1 << 20, MaxAnswer: 1 << 20,
		GetBuffer: func() []byte { return make([]byte, 4096) }, PutBuffer: func([]byte) {}, Guard: func() {},
	}
}

// session is a connection that is being served, with what came of its frames.
type session struct {
	*Conn[string]
	ended  chan struct{}
	left   []Written[string] // with reason: valid once ended is closed
	reason error

	mu        sync.Mutex
	came      chan struct{} // has room for one
	answered  []event       // not yet taken by next
	unmatched []wire.Answer
}

type event struct {
	Written[string]
	code int
	text string
}

func (s *session) Answered(w Written[string], a *wire.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = append(s.answered, event{w, a.Code, string(a.Text)})
	select {
	case s.came <- struct{}{}:
	default:
	}
}

func (s *session) Unmatched(a *wire.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unmatched = append(s.unmatched, *a)
}

// waiting returns how many answered frames and unmatched answers there are.
func (s *session) waiting() (answered, unmatched int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.answered), len(s.unmatched)
}

func connect(t *testing.T, address string, cfg *Config) *session {
	t.Helper()
	conn, err := Dial[string](context.Background(), address, cfg)
	require.NoError(t, err)
	s := &session{Conn: conn, came: make(chan struct{}, 1), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.left, s.reason = conn.Serve(s)
	}()
	t.Cleanup(func() {
		s.Close()
		<-s.ended
	})
	return s
}

// send writes one frame with one message.
func (s *session) send(t *testing.T, seq uint64, payload string) {
	t.Helper()
	back, err := s.Write(frameOf(seq, payload), []Written[string]{{Item: payload, Seq: seq}})
	require.NoError(t, err)
	require.Empty(t, back)
}

func frameOf(seq uint64, payload string) []byte {
	attr := "groupId=test_group&streamId=s&mid=" + wire.BatchID{Client: ourClient, Seq: seq}.String() + "&cnt=1"
	return wire.AppendText(nil, wire.AppendItem(nil, []byte(payload)), []byte(attr), false)
}

// next returns the next answered frame.
func (s *session) next(t *testing.T) event {
	t.Helper()
	for {
		s.mu.Lock()
		if len(s.answered) > 0 {
			e := s.answered[0]
			s.answered = s.answered[1:]
			s.mu.Unlock()
			return e
		}
		s.mu.Unlock()
		select {
		case <-s.came:
		case <-time.After(patience):
			require.Fail(t, "no answer was handed on")
		}
	}
}

// wait returns when the connection has ended.
func (s *session) wait(t *testing.T) ([]Written[string], error) {
	t.Helper()
	select {
	case <-s.ended:
		return s.left, s.reason
	case <-time.After(patience):
		require.Fail(t, "the connection did not end")
		return nil, nil
	}
}
