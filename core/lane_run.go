package dataproxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
)

const (
	firstReconnect = 50 * time.Millisecond
	maxReconnect   = 500 * time.Millisecond
	// steady is how long a connection has to last for the next one to be opened without a pause.
	steady = 5 * time.Second
	// headStart is how long a node has to prove itself before another one is tried beside it, while nothing else is usable.
	headStart = 250 * time.Millisecond
)

// keepLane fills a lane's place: it connects, to n first if there is one, serves the connection until it ends, and connects
// again, until the client is closed or the lane is replaced and another goroutine has the place. The lane that it replaces, old,
// continues until the first connection stands.
func (c *client) keepLane(index int, n *node, old *lane) {
	defer c.lanesDone.Done()
	defer c.guard()
	pause := firstReconnect
	for {
		if n == nil {
			var ok bool
			if n, ok = c.nodes.assign(c.ctx); !ok {
				return
			}
		}
		conn, on := c.connect(n)
		n = nil
		if conn == nil {
			if !c.nodes.pause(c.ctx, jitter(pause)) {
				return
			}
			pause = min(2*pause, maxReconnect)
			continue
		}
		l := &lane{c: c, index: index, conn: conn, node: on, usable: true, opened: time.Now()}
		l.writer = l.write
		if replaced := l.serve(old); replaced {
			return
		}
		old = nil
		lasted := time.Since(l.opened) > steady
		if lasted || l.acked {
			pause = firstReconnect
		}
		if lasted {
			continue
		}
		// It proved itself and ended, perhaps at once or behind one ack: so may the next one.
		if !sleep(c.ctx, jitter(pause)) { // not nodes.pause: each such connection looks like the end of an outage
			return
		}
		pause = min(2*pause, maxReconnect)
	}
}

// connect opens a connection to n. While no lane is usable it does not wait for one node, which may be a black hole: others are
// tried beside it, and the first that proves itself is taken. It returns nil when all that were tried have failed.
func (c *client) connect(n *node) (*transport.Conn[*batch], *node) {
	type outcome struct {
		conn *transport.Conn[*batch]
		on   *node
	}
	results, over := make(chan outcome), make(chan struct{})
	defer close(over)
	dial := func(n *node) {
		defer c.lanesDone.Done()
		defer c.guard()
		conn, err := transport.Dial[*batch](c.ctx, n.addr, &c.connConfig)
		if err != nil {
			c.nodes.release(n)
			if c.ctx.Err() == nil {
				n.forgetLengths()
				c.metrics.connected(CodeNewConnFailed)
				n.errors.Add(1)
				c.nodes.suspect(n, err)
			}
		} else {
			c.metrics.connected(CodeOK)
		}
		select {
		case results <- outcome{conn, n}:
		case <-over:
			if conn != nil { // another one was faster; this one is good all the same
				conn.Close()
				c.nodes.connected(n)
				c.nodes.release(n)
			}
		}
	}
	ahead := min(headStart, c.opts.ConnTimeout/4)
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	tried := []*node{n}
	c.lanesDone.Add(1)
	go dial(n)
	for pending := 1; pending > 0; {
		select {
		case r := <-results:
			if r.conn != nil {
				return r.conn, r.on
			}
			pending--
		case <-timer.C:
			if len(c.dispatcher.usable()) == 0 {
				if other := c.nodes.beside(tried); other != nil {
					tried = append(tried, other)
					pending++
					c.lanesDone.Add(1)
					go dial(other)
				}
			}
			timer.Reset(ahead)
		}
	}
	return nil, nil
}

// serve reads answers until the connection ends; then everything un-acked moves to other lanes at once. It reports whether
// another lane has taken the place.
func (l *lane) serve(old *lane) (replaced bool) {
	c := l.c
	c.dispatcher.lanes[l.index].Store(l)
	stop := context.AfterFunc(c.ctx, l.conn.Close)
	defer stop()
	if d := c.opts.MaxConnLifetime; d > 0 {
		lifetime := time.AfterFunc(jitter(min(d, never)), func() {
			defer c.guard()
			l.replace()
		})
		defer lifetime.Stop()
	}
	c.nodes.connected(l.node)
	c.dispatcher.unpark()
	if old != nil {
		old.retire()
	}
	if c.nodes.isGone(l.node) { // the list changed while this lane connected
		l.replace()
	}
	c.nodes.balance()

	unanswered, reason := l.conn.Serve(l)

	l.mu.Lock()
	l.usable, replaced = false, l.replaced
	queue, soon := l.takeQueue(), l.soon
	l.outstanding -= len(unanswered) + l.conn.Forgotten()
	l.soon = nil
	l.mu.Unlock()
	if !replaced {
		c.nodes.release(l.node)
	}
	culprit, tooLong := l.node.culprit(unanswered, reason)
	if !errors.Is(reason, errDrained) && !errors.Is(reason, transport.ErrClosedByUs) {
		l.node.errors.Add(1)
		switch {
		case errors.Is(reason, transport.ErrAckTimeout):
			c.nodes.relapse(l.node, reason)
		case !tooLong: // then nothing is wrong with the node
			c.nodes.suspect(l.node, reason)
		}
		if errors.Is(reason, transport.ErrAckTimeout) {
			c.metrics.timeouts(l.index, len(unanswered))
			c.nodes.leave(l.node)
		}
	}
	for i, w := range unanswered {
		size := 0
		if tooLong && i == culprit {
			size = w.Size
		}
		c.hooks.answered(w.Item, AttemptEnd{Persisted: MaybeWritten, Cause: reason})
		c.connectionLost(w.Item, l, reason, i == culprit, size)
	}
	l.handBack(queue, soon)
	return replaced
}

// never is a lifetime that no process has; more of it would not be a duration any more once it is varied.
const never = 365 * 24 * time.Hour

// jitter varies d by 10 % to either side, so that many clients do not act in step.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}
