package dataproxytest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Pins: a killed node that still accepts, whose port is lost, or that does not come back on it.
func TestKillRefusesUntilRevive(t *testing.T) {
	c, n := one(t)
	p := dial(t, n)
	p.wantHeartbeat()
	addr := n.Addr()
	n.Kill()
	n.Kill()
	p.wantEnd(true)
	if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial of a killed node: %v, want refused", err)
	}
	if live, _ := n.Connections(); live != 0 || n.Running() {
		t.Errorf("%d live connections, running %v", live, n.Running())
	}
	for range 20 {
		n.Revive()
		p := dial(t, n)
		p.wantHeartbeat()
		n.Kill()
	}
	n.Revive()
	if n.Addr() != addr {
		t.Errorf("address %s became %s", addr, n.Addr())
	}
	p = dial(t, n)
	p.send(textFrame("a", "1"))
	p.wantAck("a")
	if c.Count() != 1 {
		t.Errorf("count %d", c.Count())
	}
}

// Pins: a frame that a node has read is recorded after its resending by a client that has seen the end of the connection, which looks
// as if the client had turned an ordered stream around.
func TestEndedConnectionRecordsNothingMore(t *testing.T) {
	for name, end := range map[string]func(*Node){"kill": (*Node).Kill, "stop": (*Node).Stop, "reset": (*Node).ResetConnections} {
		t.Run(name, func(t *testing.T) {
			c, n := one(t)
			n.Handle(func(Record) Fault {
				end(n)
				return Fault{}
			})
			p := dial(t, n)
			p.send(textFrame("a", "1"))
			p.wantEnd(name != "stop")
			n.Handle(nil)
			n.Revive()
			p = dial(t, n)
			p.send(textFrame("b", "1"))
			p.wantAck("b")
			eventually(t, "the first one is forgotten", func() bool { return n.Forgotten() == 1 })
			if got := c.Received(); len(got) != 1 || c.Count() != 1 || n.Count() != 1 {
				t.Errorf("received %v, count %d", got, c.Count())
			}
		})
	}
}

// Pins: the port of a killed node is given to somebody else.
func TestKilledNodeKeepsItsPort(t *testing.T) {
	_, n := one(t)
	n.Kill()
	for range 200 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if l.Addr().(*net.TCPAddr).Port == n.port {
			t.Fatal("the port was given away")
		}
	}
	n.Revive()
	dial(t, n).wantHeartbeat()
}

// Pins: a stopped node that refuses, answers or closes later connections: a real one never does.
func TestStopIsABlackHole(t *testing.T) {
	_, n := one(t)
	p := dial(t, n)
	p.wantHeartbeat()
	n.Stop()
	p.wantEnd(false)
	p = dial(t, n)
	p.send(wire.Heartbeat, textFrame("a", "1"))
	p.wantSilence()
	n.Revive()
	p.wantEnd(true)
	dial(t, n).wantHeartbeat()
}

// Pins: standing connection faults that touch live connections, or do not end.
func TestRefuseAndBlackHoleConnections(t *testing.T) {
	_, n := one(t)
	live := dial(t, n)
	live.wantHeartbeat()
	n.Standing(RefuseConnect())
	if _, err := net.Dial("tcp", n.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: %v, want refused", err)
	}
	live.wantHeartbeat()
	n.Standing(Fault{})
	dial(t, n).wantHeartbeat()

	n.Fault(RefuseConnect(), BlackHole())
	// The reset may come before the dialer has looked, or after.
	nc, err := net.Dial("tcp", n.Addr())
	if err == nil {
		defer nc.Close()
		_, err = io.ReadAll(nc)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the refused connection ended with %v, want a reset", err)
	}
	p := dial(t, n)
	p.send(wire.Heartbeat)
	p.wantSilence()
	dial(t, n).wantHeartbeat()
	live.wantHeartbeat()
	if live, total := n.Connections(); live < 3 || total != 5 {
		t.Errorf("%d live, %d total connections; want 3 or 4, and 5", live, total)
	}
}

// Pins: connections over the limit that are refused or kept; a real node accepts and closes them.
func TestConnectionsOverTheLimitAreClosed(t *testing.T) {
	_, n := one(t, WithMaxConnections(1))
	first := dial(t, n)
	first.wantHeartbeat()
	dial(t, n).wantEnd(false)
	first.wantHeartbeat()
}

// Pins: half a frame keeps a connection alive, or a heartbeat does not.
func TestOnlyWholeFramesKeepAConnectionAlive(t *testing.T) {
	const idle = 200 * time.Millisecond
	_, n := one(t, WithReadIdle(idle))
	p, start := dial(t, n), time.Now()
	for range 3 {
		time.Sleep(idle / 2) // traffic spread over longer than the limit
		p.wantHeartbeat()
	}
	if time.Since(start) < idle {
		t.Fatal("the clock is broken")
	}
	quiet := time.Now()
	half := textFrame("a", "1")
	go func() {
		for i := range half[:len(half)-1] {
			if _, err := p.nc.Write(half[i : i+1]); err != nil {
				return
			}
			time.Sleep(idle / 20)
		}
	}()
	if _, err := io.ReadAll(p.nc); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
	if took := time.Since(quiet); took < idle/2 || took > idle*time.Duration(len(half))/20 {
		t.Errorf("closed after %v of half a frame, want about %v", took, idle)
	}
}

// Pins: a client that never reads its answers ties up the node for ever.
func TestClientThatReadsNoAnswersIsReset(t *testing.T) {
	_, n := one(t)
	p := dial(t, n)
	_ = p.nc.SetDeadline(time.Now().Add(30 * time.Second))
	frame := textFrame("a", "1")
	var burst []byte
	for range 2000 {
		burst = append(burst, frame...)
	}
	var err error
	for err == nil {
		_, err = p.nc.Write(burst)
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("the node neither read on nor closed")
	}
	eventually(t, "connection gone", func() bool { live, _ := n.Connections(); return live == 0 })
}

// Pins: half-closing loses answers; the real node sends them all, then FIN.
func TestHalfCloseStillBringsAnswers(t *testing.T) {
	_, n := one(t)
	n.Fault(Delay(20 * time.Millisecond))
	p := dial(t, n)
	p.send(textFrame("a", "1"), textFrame("b", "2"))
	if err := p.nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	p.wantAck("a")
	p.wantAck("b")
	p.wantEnd(false)
}

// Pins: frames cut at every byte, or many in one write, are decoded differently.
func TestFramesSplitAndJoined(t *testing.T) {
	c, n := one(t)
	p := dial(t, n)
	frame := textFrame("a", "1", "2")
	for i := range frame {
		p.send(frame[i : i+1])
	}
	p.wantAck("a")
	var burst []byte
	const many = 3000
	for i := range many {
		burst = append(burst, textFrame(fmt.Sprint(i), strings.Repeat("x", i%300)+"y")...)
	}
	go p.nc.Write(burst)
	for i := range many {
		p.wantAck(fmt.Sprint(i))
	}
	if c.Count() != many+2 {
		t.Errorf("count %d, want %d", c.Count(), many+2)
	}
}

// Pins: the longest allowed frame is refused, or one byte more is let through.
func TestFrameAtTheLimit(t *testing.T) {
	_, n := one(t, WithMaxMessageLength(4096))
	attr := []byte("groupId=g&streamId=s&mid=a&x=")
	fit := 4096 - wire.TextOverhead - 4 - len(attr)
	p := dial(t, n)
	p.send(wire.AppendText(nil, wire.AppendItem(nil, make([]byte, fit)), attr, false))
	p.wantAck("a")
	p.send(wire.AppendText(nil, wire.AppendItem(nil, make([]byte, fit+1)), attr, false)[:5])
	p.wantEnd(false)
}

// Pins: goroutines or sockets left over by a cluster that is closed in whatever state.
func TestCloseInAnyStateLeavesNothing(t *testing.T) {
	before := 0
	for round := range 20 {
		if round == 1 {
			before = openFiles() // the first round opened what the runtime keeps
		}
		c, err := NewCluster(WithNodes(5))
		if err != nil {
			t.Fatal(err)
		}
		nodes := c.Nodes()
		nodes[1].Kill()
		nodes[2].Stop()
		nodes[3].Fault(Delay(time.Hour), ReorderAnswers(9))
		nodes[4].Standing(BlackHole())
		for _, i := range []int{0, 2, 3, 4} {
			p := dial(t, nodes[i])
			p.send(textFrame("a", "1"), textFrame("b", "2"), wire.Heartbeat)
		}
		c.Manager().Fault(Silence())
		go func() { _, _ = post(c.URL()+byGroup+"/g", nil) }()
		eventually(t, "the Manager has the request", func() bool { return c.Manager().Calls() == 1 })
		c.Close()
		c.Close()
		if _, err := c.addNode(); !errors.Is(err, errClosed) {
			t.Errorf("AddNode after Close: %v", err)
		}
		eventually(t, "only this test's own connections are open", func() bool { return before == 0 || openFiles() <= before+4*round })
	}
}

// openFiles counts the descriptors of this process; 0 where that cannot be known.
func openFiles() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

// Pins: a listen host other than the default one: nodes that cannot be reached by what the Manager lists.
func TestListenHosts(t *testing.T) {
	for name, test := range map[string]struct {
		opts []Option
		addr string
		ip   string
	}{
		"name":      {[]Option{WithListenHost("localhost")}, "localhost:", "dpIp=127.0.0.1&"},
		"every":     {[]Option{WithListenHost("0.0.0.0")}, "127.0.0.1:", "dpIp=127.0.0.1&"},
		"ipv6":      {[]Option{WithListenHost("::1")}, "[::1]:", "dpIp=::1&"},
		"advertise": {[]Option{WithAdvertisedHost("localhost")}, "localhost:", "dpIp=127.0.0.1&"},
	} {
		t.Run(name, func(t *testing.T) {
			if l, err := net.Listen("tcp", "[::1]:0"); name == "ipv6" && err != nil {
				t.Skip("no IPv6 on this machine")
			} else if err == nil {
				l.Close()
			}
			_, n := one(t, test.opts...)
			if !strings.HasPrefix(n.Addr(), test.addr) {
				t.Errorf("address %s", n.Addr())
			}
			n.Kill()
			n.Revive()
			p := dial(t, n)
			p.send(textFrame("a", "1"))
			p.wantAnswer(test.ip)
			if r := mustPost(t, n.cluster.URL()+byGroup+"/g"); !strings.Contains(r.body, strings.Trim(test.addr, "[]:")) {
				t.Errorf("list %s", r.body)
			}
		})
	}
}

// Pins: a paused node that answers, closes or refuses, as a stopped process never does; or one that loses what came meanwhile.
func TestPausedNodeAnswersWhenItGoesOn(t *testing.T) {
	c := Start(t, WithNodes(1))
	n := c.Node(0)
	client, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	beat := []byte{0, 0, 0, 1, 1}
	answer := make([]byte, len(beat))
	exchange := func(within time.Duration) error {
		_ = client.SetDeadline(time.Now().Add(within))
		_, err := io.ReadFull(client, answer)
		return err
	}
	n.Pause()
	if _, err := client.Write(beat); err != nil {
		t.Fatal(err)
	}
	if err := exchange(100 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a paused node: %v", err)
	}
	n.Resume()
	if err := exchange(10 * time.Second); err != nil || string(answer) != string(beat) {
		t.Fatalf("after the pause: %v, % x", err, answer)
	}
	n.Pause()
	n.Kill()
	if err := exchange(10 * time.Second); err == nil {
		t.Fatal("killed while it was paused, and still there")
	}
}
