package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Scenario D5: a node that reads and never answers must not keep its frames longer than the ack time-out.
func TestD5_UnansweredFrameEndsTheConnection(t *testing.T) {
	cfg := config()
	cfg.AckTimeout = 60 * time.Millisecond
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	cluster.Node(0).Standing(dataproxytest.Silence())
	s := connect(t, cluster.Node(0).Addr(), cfg)
	start := time.Now()
	s.send(t, 1, "x")
	s.send(t, 2, "y")
	left, reason := s.wait(t)
	require.ErrorIs(t, reason, ErrAckTimeout)
	require.Equal(t, []uint64{1, 2}, seqs(left))
	require.GreaterOrEqual(t, time.Since(start), cfg.AckTimeout)
	require.Less(t, time.Since(start), patience/2)
}

// A heartbeat that leaves while a frame waits for its answer must not put off the look at that frame: a silent node used to keep its
// frames for nearly twice the ack time-out.
func TestHeartbeatDoesNotPutOffTheAckTimeout(t *testing.T) {
	cfg := config()
	cfg.AckTimeout, cfg.HeartbeatInterval = time.Second, 900*time.Millisecond
	for name, node := range map[string]func(net.Conn){"silent": silent, "answers heartbeats": func(conn net.Conn) {
		for {
			frame, err := readFrame(conn)
			if err != nil {
				return
			}
			if string(frame) == string(wire.Heartbeat) {
				_, _ = conn.Write(frame)
			}
		}
	}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := connect(t, server(t, prover(node)), cfg)
			start := time.Now()
			s.send(t, 1, "x")
			_, reason := s.wait(t)
			require.ErrorIs(t, reason, ErrAckTimeout)
			require.Less(t, time.Since(start), cfg.AckTimeout+cfg.HeartbeatInterval*2/3)
		})
	}
}

// One frame without an answer among many that are answered must not be forgotten: answers to others do not stand for it.
func TestOneFrameWithoutAnswerAmongOthersIsNoticed(t *testing.T) {
	cfg := config()
	cfg.AckTimeout = 100 * time.Millisecond
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	s := connect(t, cluster.Node(0).Addr(), cfg)
	cluster.Node(0).Fault(dataproxytest.DropAnswer())
	for seq := uint64(1); ; seq++ {
		back, err := s.Write(frameOf(seq, "x"), []Written[string]{{Seq: seq}})
		if err != nil && len(back) > 0 {
			break
		}
		if seq > 1 { // the first has none
			select {
			case <-s.came:
			case <-s.ended:
			}
		}
	}
	left, reason := s.wait(t)
	require.ErrorIs(t, reason, ErrAckTimeout)
	require.Equal(t, uint64(1), left[0].Seq)
}

// A node that keeps answering heartbeats and lost one answer: the heartbeats must not pass for progress.
func TestHeartbeatsDoNotStandForALostAnswer(t *testing.T) {
	cfg := config()
	cfg.AckTimeout, cfg.HeartbeatInterval = 200*time.Millisecond, 20*time.Millisecond
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	s := connect(t, cluster.Node(0).Addr(), cfg)
	cluster.Node(0).Fault(dataproxytest.DropAnswer())
	s.send(t, 1, "x")
	left, reason := s.wait(t)
	require.ErrorIs(t, reason, ErrAckTimeout)
	require.Equal(t, []uint64{1}, seqs(left))
}

// The other side of it: a connection whose frames are all answered in time must live, however long it is busy.
func TestBusyConnectionOutlivesTheAckTimeout(t *testing.T) {
	cfg := config()
	cfg.AckTimeout, cfg.HeartbeatInterval = 500*time.Millisecond, 20*time.Millisecond // more than a busy machine keeps a goroutine waiting
	s := connect(t, server(t, prover(answering)), cfg)
	seq := uint64(0)
	for start := time.Now(); time.Since(start) < 3*cfg.AckTimeout; {
		seq++
		s.send(t, seq, "x")
		require.Equal(t, seq, s.next(t).Seq)
	}
	require.Zero(t, s.InFlight())
}

// A peer that does not read blocks the write for ever; the caller of Write holds up everything behind it.
func TestHangingWriteEndsWithTheAckTimeout(t *testing.T) {
	cfg := config()
	cfg.AckTimeout, cfg.HeartbeatInterval, cfg.SocketSendBuffer = 100*time.Millisecond, 30*time.Millisecond, 4096
	hold, frame := make(chan struct{}), frameOf(1, string(make([]byte, 24<<20)))
	defer close(hold)
	s := connect(t, server(t, prover(func(net.Conn) { <-hold })), cfg)
	done := make(chan error, 1)
	go func() {
		back, err := s.Write(frame, []Written[string]{{Seq: 1}})
		if len(back) > 0 {
			err = errors.Join(errors.New("not taken"), err)
		}
		done <- err
	}()
	left, reason := s.wait(t)
	require.ErrorIs(t, reason, ErrAckTimeout)
	require.Equal(t, []uint64{1}, seqs(left))
	select {
	case err := <-done:
		require.Error(t, err)
		require.NotContains(t, err.Error(), "not taken")
	case <-time.After(patience):
		require.Fail(t, "the write still hangs")
	}
}

// Scenario N9: a heartbeat without an answer means a dead node, although nothing is in flight.
func TestN9_UnansweredHeartbeatEndsTheConnection(t *testing.T) {
	cfg := config()
	cfg.HeartbeatInterval, cfg.AckTimeout = 20*time.Millisecond, 50*time.Millisecond
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	s := connect(t, cluster.Node(0).Addr(), cfg)
	cluster.Node(0).Standing(dataproxytest.DropHeartbeat())
	left, reason := s.wait(t)
	require.Empty(t, left)
	require.ErrorIs(t, reason, ErrAckTimeout)
}

// A heartbeat that lands inside a frame makes garbage of both: the node closes, or takes the wrong bytes for a batch.
func TestHeartbeatsStayOutsideFrames(t *testing.T) {
	const frames = 6
	cfg := config()
	cfg.HeartbeatInterval, cfg.SocketSendBuffer = time.Millisecond, 128<<10
	var beats atomic.Int64
	s := connect(t, server(t, prover(func(c net.Conn) {
		slow := &slowConn{Conn: c}
		for {
			frame, err := readFrame(slow)
			if err != nil {
				return
			}
			if bytes.Equal(frame, wire.Heartbeat) {
				beats.Add(1)
			}
			_, _ = c.Write(answerTo(frame, answer{})) // panics on a broken frame
		}
	})), cfg)
	payload := string(bytes.Repeat([]byte("0123456789abcdef"), 512<<10))
	for seq := uint64(1); seq <= frames; seq++ {
		s.send(t, seq, payload)
		require.Equal(t, seq, s.next(t).Seq)
		want := beats.Load() + 1
		require.Eventually(t, func() bool { return beats.Load() >= want }, patience, 100*time.Microsecond)
	}
}

// slowConn reads little at a time, so that the writer blocks inside a frame.
type slowConn struct{ net.Conn }

func (c *slowConn) Read(b []byte) (int, error) {
	time.Sleep(50 * time.Microsecond)
	return c.Conn.Read(b[:min(len(b), 64<<10)])
}

// A forked child may hold the socket open: the node must see the end all the same, so closing shuts the connection down first.
func TestCloseIsSeenByTheNode(t *testing.T) {
	ended := make(chan error, 1)
	s := connect(t, server(t, prover(func(c net.Conn) {
		_, err := io.Copy(io.Discard, c)
		ended <- err
	})), config())
	child, err := s.conn.socket.(*net.TCPConn).File() // the same socket, open a second time
	require.NoError(t, err)
	defer child.Close()
	s.Close()
	left, reason := s.wait(t)
	require.Empty(t, left)
	require.ErrorIs(t, reason, ErrClosedByUs)
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "the node does not see the end")
	}
	s.Close()
	s.Fail(ErrRead)
	_, reason = s.wait(t)
	require.ErrorIs(t, reason, ErrClosedByUs, "the first reason counts")
}

// Scenario D4: frames on a connection that the node ended come back at once, whichever way it ended.
func TestD4_LostConnectionGivesItsFramesBack(t *testing.T) {
	for name, lose := range map[string]func(*dataproxytest.Node){
		"close after read": func(n *dataproxytest.Node) { n.Fault(dataproxytest.CloseAfterRead()) },
		"reset after read": func(n *dataproxytest.Node) { n.Fault(dataproxytest.ResetAfterRead()) },
		"reset mid frame":  func(n *dataproxytest.Node) { n.Fault(dataproxytest.ResetMidFrame(20)) },
	} {
		cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
		s := connect(t, cluster.Node(0).Addr(), config())
		lose(cluster.Node(0))
		s.send(t, 1, "x")
		left, reason := s.wait(t)
		require.Equal(t, []uint64{1}, seqs(left), name)
		if !errors.Is(reason, ErrPeerClosed) && !errors.Is(reason, ErrWrite) {
			t.Errorf("%s: %v", name, reason)
		}
	}
}

// However Write, answers and the end of a connection interleave, a frame that was taken comes back exactly once: answered, or
// handed back. One that was not taken never does.
func TestEveryTakenFrameComesBackOnce(t *testing.T) {
	for round := range 90 {
		killed := make(chan struct{})
		address := server(t, prover(func(c net.Conn) {
			if round%3 == 0 { // the node ends it
				go func() {
					<-killed
					_ = c.(*net.TCPConn).SetLinger(round % 2)
					c.Close()
				}()
			}
			answering(c)
		}))
		s := connect(t, address, config())
		taken := map[uint64]bool{}
		var writing sync.WaitGroup
		writing.Go(func() {
			for seq := uint64(1); ; seq++ {
				back, err := s.Write(frameOf(seq, "x"), []Written[string]{{Seq: seq}})
				if len(back) == 0 {
					taken[seq] = true
				}
				if err != nil {
					return
				}
			}
		})
		for range round {
			s.next(t)
		}
		close(killed)
		switch round % 3 {
		case 1:
			s.Close()
		case 2:
			go s.Fail(errors.New("drained"))
			go s.Close()
		}
		left, reason := s.wait(t)
		writing.Wait()
		require.Error(t, reason)
		back := round // those that next took
		answered, _ := s.waiting()
		back += answered
		require.Equal(t, len(taken), back+len(left), "round %d: %v", round, reason)
		require.Zero(t, s.InFlight())
	}
}

// A write that the kernel refuses leaves its frames untouched: they used to count as perhaps written, and cost an attempt. What
// is given back must not come out of Serve too.
func TestFramesThatWereNotWrittenAreGivenBack(t *testing.T) {
	const n = 200
	back := 0
	for range n {
		reset := make(chan struct{})
		s := connect(t, server(t, prover(func(c net.Conn) {
			<-reset
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		})), config())
		first, second := frameOf(1, "x"), frameOf(2, "y")
		close(reset)
		for err := error(nil); err == nil; { // until the reset is there
			var left []Written[string]
			left, err = s.Write(append(first[:len(first):len(first)], second...), []Written[string]{{Seq: 1}, {Seq: 2, Start: len(first)}})
			if err != nil {
				back += len(left)
				require.Contains(t, []int{0, 1, 2}, len(left))
			}
		}
		left, _ := s.wait(t)
		require.Zero(t, len(left)%2, "a pair was torn apart, or one of it came twice")
		require.Zero(t, s.InFlight())
	}
	require.Equal(t, 2*n, back, "frames of which no byte was written")
}

// A write that was cut short: what begins after the cut was not written, the frame that it goes through perhaps.
func TestWriteThatIsCutShort(t *testing.T) {
	cfg := config()
	cfg.AckTimeout, cfg.SocketSendBuffer = 200*time.Millisecond, 4096
	hold := make(chan struct{})
	defer close(hold)
	s := connect(t, server(t, prover(func(net.Conn) { <-hold })), cfg)
	large := frameOf(2, string(make([]byte, 24<<20)))
	var frames []byte
	var written []Written[string]
	for seq, f := range [][]byte{frameOf(0, "x"), frameOf(1, "y"), large, frameOf(3, "z"), frameOf(4, "z")} {
		written = append(written, Written[string]{Seq: uint64(seq), Start: len(frames)})
		frames = append(frames, f...)
	}
	back, err := s.Write(frames, written)
	require.Error(t, err)
	require.Equal(t, []uint64{3, 4}, seqs(back))
	left, reason := s.wait(t)
	require.ErrorIs(t, reason, ErrAckTimeout)
	require.Equal(t, []uint64{0, 1, 2}, seqs(left))
}

// Over a slow link a burst takes longer than the ack time-out. While one answer comes after the other nothing is wrong; the lane
// used to be declared dead, and the burst was written again from its beginning until its attempts were used up.
func TestAnswersInTurnKeepASlowConnectionAlive(t *testing.T) {
	cfg := config()
	cfg.AckTimeout = 300 * time.Millisecond
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	s := connect(t, cluster.Node(0).Addr(), cfg)
	for range 10 {
		cluster.Node(0).Fault(dataproxytest.Delay(100 * time.Millisecond)) // one after the other: 1 s
	}
	for seq := range uint64(10) {
		s.send(t, seq, "x")
	}
	for seq := range uint64(10) {
		require.Equal(t, seq, s.next(t).Seq)
	}
	cluster.Node(0).Standing(dataproxytest.Silence())
	s.send(t, 10, "x")
	left, reason := s.wait(t)
	require.ErrorIs(t, reason, ErrAckTimeout)
	require.Equal(t, []uint64{10}, seqs(left))
}
