package dataproxytest

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Node is one fake DataProxy.
type Node struct {
	cluster  *Cluster
	index    int
	port     int
	portText string
	hold     *portHold
	listed   atomic.Bool
	faults   faultQueue
	handler  atomic.Pointer[Handler]
	counts   nodeCounts
	gate     atomic.Pointer[chan struct{}] // while the node is paused; closed when it continues

	mu       sync.Mutex
	state    nodeState
	listener net.Listener // nil while the port is closed
	conns    map[*conn]struct{}
}

type nodeState int

const (
	running nodeState = iota
	stopped
	killed
	gone // the cluster is closed
)

type nodeCounts struct {
	heartbeats, frames, messages, forgotten, bytes, acked, refused, conns atomic.Int64
}

// Handler decides what happens to one data frame. It runs on the goroutine of the frame's connection, before anything
// is recorded; a slow handler delays that connection. The zero Fault lets the queued and standing faults decide.
type Handler func(Record) Fault

func startNode(c *Cluster, index, port int) (*Node, error) {
	hold, port, err := holdPort(c.opts.host, port)
	if err != nil {
		return nil, err
	}
	n := &Node{cluster: c, index: index, port: port, portText: strconv.Itoa(port), hold: hold, conns: make(map[*conn]struct{})}
	n.listed.Store(true)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.settleListener(); err != nil {
		hold.release()
		return nil, err
	}
	return n, nil
}

// Index returns the node's number, counted from 0 in the order of creation.
func (n *Node) Index() int { return n.index }

// Addr returns host:port as the Manager lists it.
func (n *Node) Addr() string {
	return net.JoinHostPort(n.cluster.opts.advertised, strconv.Itoa(n.port))
}

// Kill resets every connection and closes the port, as a killed process or machine does: a frame that was read and is not recorded yet
// is gone. The port stays the node's.
func (n *Node) Kill() { n.enter(killed) }

// Stop does what a real node does after SIGTERM: live connections are closed, new ones are accepted and never read,
// answered or closed.
func (n *Node) Stop() { n.enter(stopped) }

// Revive makes a killed or stopped node serve again on its port. Connections from the time of Stop are reset.
func (n *Node) Revive() { n.enter(running) }

// Pause does what SIGSTOP does: connections stay and new ones are accepted, but nothing is read or answered until Resume, Kill, Stop or
// Revive. Then the node continues with all that came meanwhile.
func (n *Node) Pause() {
	gate := make(chan struct{})
	n.gate.CompareAndSwap(nil, &gate)
}

// Resume ends a Pause.
func (n *Node) Resume() {
	if gate := n.gate.Swap(nil); gate != nil {
		close(*gate)
	}
}

// pass waits while the node is paused.
func (n *Node) pass(gone <-chan struct{}) {
	if gate := n.gate.Load(); gate != nil {
		select {
		case <-*gate:
		case <-gone:
		}
	}
}

// Running reports whether the node is neither killed nor stopped.
func (n *Node) Running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state == running
}

// Fault queues faults, in order, each for one event: the next data frame, heartbeat or connection, as its kind says.
// It panics if a kind is not one of a node's.
func (n *Node) Fault(faults ...Fault) {
	for _, f := range faults {
		mustFit(f, forNode)
	}
	n.faults.push(faults...)
}

// Standing applies a fault to every such event that finds no queued one, till ClearFaults. One fault stands for data,
// one for heartbeats, one for connecting; a new one replaces the old. The zero Fault ends all three.
func (n *Node) Standing(f Fault) {
	if f.Kind == "" {
		n.faults.clearStanding()
	} else {
		mustFit(f, forNode)
		n.faults.stand(f)
	}
	n.settle()
}

// ClearFaults ends all faults, queued and standing. What a fault has done to a connection stays.
func (n *Node) ClearFaults() {
	n.faults.clear()
	n.settle()
}

// PendingFaults returns the number of queued faults that have not met their event.
func (n *Node) PendingFaults() int { return n.faults.pending() }

// Handle sets the function that decides what happens to each data frame; nil removes it.
func (n *Node) Handle(h Handler) {
	if h == nil {
		n.handler.Store(nil)
		return
	}
	n.handler.Store(&h)
}

// Connections returns how many connections are open now, and how many were ever accepted.
func (n *Node) Connections() (live, total int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns), int(n.counts.conns.Load())
}

// Heartbeats returns how many heartbeats came, of both types.
func (n *Node) Heartbeats() int { return int(n.counts.heartbeats.Load()) }

// Frames returns how many data frames came, refused ones included.
func (n *Node) Frames() int { return int(n.counts.frames.Load()) }

// Count returns how many messages the node kept.
func (n *Node) Count() int { return int(n.counts.messages.Load()) }

// Forgotten returns how many messages the node had read, and a Handler seen, when it ended their connection: it did not keep them.
func (n *Node) Forgotten() int { return int(n.counts.forgotten.Load()) }

// Received returns this node's part of Cluster.Received.
func (n *Node) Received() []Record {
	var own []Record
	n.cluster.Each(func(r Record) bool {
		if r.Node == n.index {
			own = append(own, r)
		}
		return true
	})
	return own
}

// ResetConnections resets the node's live connections; the port stays open.
func (n *Node) ResetConnections() {
	for _, c := range n.snapshot() {
		c.reset()
	}
}

func (n *Node) snapshot() []*conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]*conn, 0, len(n.conns))
	for c := range n.conns {
		list = append(list, c)
	}
	return list
}

// enter changes the state; what leaves the old one with it is closed.
func (n *Node) enter(state nodeState) {
	n.mu.Lock()
	old := n.state
	if old == gone || old == state {
		n.mu.Unlock()
		n.Resume()
		return
	}
	n.state = state
	err := n.settleListener()
	n.mu.Unlock()
	defer n.Resume()
	// A connection accepted before the state changed is in the snapshot: join reads the state under the same lock.
	for _, c := range n.snapshot() {
		if state == stopped {
			c.close()
		} else {
			c.reset()
		}
	}
	if err != nil {
		panic("dataproxytest: " + err.Error())
	}
}

func (n *Node) settle() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.settleListener(); err != nil {
		panic("dataproxytest: " + err.Error())
	}
}

// settleListener opens or closes the port as the state and the standing fault want. The caller holds mu.
func (n *Node) settleListener() error {
	open := n.state == running || n.state == stopped
	if open && n.faults.stands(KindRefuseConnect) {
		open = false
	}
	if !open {
		if n.listener != nil {
			_ = n.listener.Close()
			n.listener = nil
		}
		return nil
	}
	if n.listener != nil {
		return nil
	}
	l, err := listen(n.cluster.opts.host, n.port)
	if err != nil {
		return err
	}
	n.listener = l
	n.cluster.wg.Add(1)
	go n.accept(l)
	return nil
}

// listen opens a held port. The kernel keeps a listener that was closed until its Accept has returned, which takes its time on a
// busy machine; nobody else can have the port.
func listen(host string, port int) (l net.Listener, err error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false) // a held port is plain TCP
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		l, err = config.Listen(context.Background(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			return l, err
		}
	}
}

func (n *Node) accept(l net.Listener) {
	defer n.cluster.wg.Done()
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		c := newConn(n, nc.(*net.TCPConn))
		if n.join(c) {
			n.cluster.wg.Add(1)
			go c.serve()
		}
	}
}

// join decides what happens to a new connection; true means that it is served.
func (n *Node) join(c *conn) bool {
	n.counts.conns.Add(1)
	f := n.faults.take(onConnect)
	n.mu.Lock()
	refuse := n.state == killed || n.state == gone || f.Kind == KindRefuseConnect
	full := len(n.conns) >= n.cluster.opts.maxConnections
	serve := n.state == running && f.Kind != KindBlackHole
	if !refuse && !full {
		n.conns[c] = struct{}{}
	}
	n.mu.Unlock()
	switch {
	case refuse:
		c.reset()
	case full:
		c.close()
	}
	return serve && !refuse && !full
}

func (n *Node) leave(c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

func (n *Node) close() {
	n.enter(gone)
	n.hold.release()
}
