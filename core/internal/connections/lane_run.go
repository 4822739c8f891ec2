package connections

import (
	"context"
	"errors"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
)

const (
	firstReconnect = 50 * time.Millisecond
	maxReconnect   = 500 * time.Millisecond
	// steady is how long a connection must last for the next one to be opened without a pause.
	steady = 5 * time.Second
	// HeadStart is how long a node has to answer a heartbeat before another one is tried at the same time, if nothing else is
	// usable.
	HeadStart = 250 * time.Millisecond
)

// keepLane fills a lane's place: it connects, first to n if there is one, serves the connection until it ends, and connects again.
// It ends when the set is closed, or when the lane is replaced and another goroutine has the place. The lane that it replaces, old,
// continues until the first connection is open.
func (s *Set[T]) keepLane(index int, n *Node, old *Lane[T]) {
	defer s.cfg.Lasting.Done()
	defer s.cfg.Transport.Guard()
	pause := firstReconnect
	for {
		if n == nil {
			var ok bool
			if n, ok = s.assign(s.ctx); !ok {
				return
			}
		}
		conn, on := s.connect(n)
		n = nil
		if conn == nil {
			if !s.nodes.pause(s.ctx, jitter(pause)) {
				return
			}
			pause = min(2*pause, maxReconnect)
			continue
		}
		l := &Lane[T]{s: s, Index: index, Node: on, Opened: time.Now(), conn: conn, usable: true}
		l.writer = l.write
		if replaced := l.serve(old); replaced {
			return
		}
		old = nil
		lasted := time.Since(l.Opened) > steady
		if lasted || l.acked {
			pause = firstReconnect
		}
		if lasted {
			continue
		}
		// The connection answered a heartbeat and ended, perhaps at once or after one ack. The next one may do the same.
		if !sleep(s.ctx, jitter(pause)) { // not nodes.pause, because each such connection looks like the end of an outage
			return
		}
		pause = min(2*pause, maxReconnect)
	}
}

// connect opens a connection to n. While no lane is usable it does not wait for one node, which may be a black hole: others are
// tried at the same time, and the first that answers a heartbeat is taken. It returns nil if all that were tried have failed.
func (s *Set[T]) connect(n *Node) (*transport.Conn[T], *Node) {
	type outcome struct {
		conn *transport.Conn[T]
		on   *Node
	}
	results, over := make(chan outcome), make(chan struct{})
	defer close(over)
	dial := func(n *Node) {
		defer s.cfg.Lasting.Done()
		defer s.cfg.Transport.Guard()
		conn, err := transport.Dial[T](s.ctx, n.Addr, &s.cfg.Transport)
		if err != nil {
			s.release(n)
			if s.ctx.Err() == nil {
				n.forgetLengths()
				s.owner.Dialled(err)
				n.errors.Add(1)
				s.Suspect(n, err)
			}
		} else {
			s.owner.Dialled(nil)
		}
		select {
		case results <- outcome{conn, n}:
		case <-over:
			if conn != nil { // another one was faster, although this one is good, too
				conn.Close()
				s.connected(n)
				s.release(n)
			}
		}
	}
	ahead := min(HeadStart, s.cfg.Transport.ConnTimeout/4)
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	tried := []*Node{n}
	s.cfg.Lasting.Add(1)
	go dial(n)
	for pending := 1; pending > 0; {
		select {
		case r := <-results:
			if r.conn != nil {
				return r.conn, r.on
			}
			pending--
		case <-timer.C:
			if len(s.usable()) == 0 {
				if other := s.beside(tried); other != nil {
					tried = append(tried, other)
					pending++
					s.cfg.Lasting.Add(1)
					go dial(other)
				}
			}
			timer.Reset(ahead)
		}
	}
	return nil, nil
}

// serve reads answers until the connection ends. Then everything without an answer moves to other lanes at once. It reports whether
// another lane has taken the place.
func (l *Lane[T]) serve(old *Lane[T]) (replaced bool) {
	s := l.s
	s.lanes[l.Index].Store(l)
	stop := context.AfterFunc(s.ctx, l.conn.Close)
	defer stop()
	if d := s.cfg.MaxLifetime; d > 0 {
		lifetime := time.AfterFunc(jitter(min(d, never)), func() {
			defer s.cfg.Transport.Guard()
			l.Replace()
		})
		defer lifetime.Stop()
	}
	s.connected(l.Node)
	s.unpark()
	if old != nil {
		old.retire()
	}
	if s.isGone(l.Node) { // the list changed while this lane was connecting
		l.Replace()
	}
	s.balance()

	unanswered, reason := l.conn.Serve(l)

	l.mu.Lock()
	l.usable, replaced = false, l.replaced
	queue, soon := l.takeQueue(), l.soon
	l.outstanding -= len(unanswered) + l.conn.Forgotten()
	l.soon = nil
	l.mu.Unlock()
	if !replaced {
		s.release(l.Node)
	}
	blamed, tooLong := culprit(l.Node, unanswered, reason)
	if !errors.Is(reason, errDrained) && !errors.Is(reason, transport.ErrClosedByUs) {
		l.Node.errors.Add(1)
		switch {
		case errors.Is(reason, transport.ErrAckTimeout):
			s.relapse(l.Node, l.Opened, reason)
			s.Leave(l.Node)
		case !tooLong: // then nothing is wrong with the node
			s.Suspect(l.Node, reason)
		}
	}
	for i, w := range unanswered {
		size := 0
		if tooLong && i == blamed {
			size = w.Size
		}
		s.owner.Lost(w.Item, l, reason, i == blamed, size)
	}
	l.handBack(queue, soon)
	return replaced
}

// never is a lifetime that no process reaches. A longer one could overflow a duration when jitter varies it.
const never = 365 * 24 * time.Hour
