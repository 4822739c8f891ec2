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
	maxReconnect   = 2 * time.Second
)

// run connects, serves the connection until it ends, and connects again, until the client is closed.
func (l *lane) run() {
	defer l.c.lanesDone.Done()
	defer l.c.guard()
	pause := firstReconnect
	for {
		n, ok := l.c.nodes.assign(l.c.ctx)
		if !ok {
			return
		}
		conn, err := transport.Dial[*batch](l.c.ctx, n.addr, &l.c.connConfig)
		if err != nil {
			l.c.nodes.release(n)
			if l.c.ctx.Err() != nil {
				return
			}
			l.c.metrics.connected(CodeNewConnFailed)
			l.c.nodes.suspect(n, err)
			if !sleep(l.c.ctx, jitter(pause)) {
				return
			}
			pause = min(2*pause, maxReconnect)
			continue
		}
		pause = firstReconnect
		l.c.metrics.connected(CodeOK)
		l.serve(conn, n)
		l.c.nodes.release(n)
	}
}

// serve reads answers until the connection ends; then everything un-acked moves to other lanes at once.
func (l *lane) serve(conn *transport.Conn[*batch], n *node) {
	l.mu.Lock()
	l.conn, l.node, l.usable = conn, n, true
	l.mu.Unlock()
	stop := context.AfterFunc(l.c.ctx, conn.Close)
	defer stop()
	var lifetime *time.Timer
	if d := l.c.opts.MaxConnLifetime; d > 0 {
		lifetime = time.AfterFunc(jitter(d), func() {
			defer l.c.guard()
			l.drain()
		})
		defer lifetime.Stop()
	}
	l.c.nodes.connected(n)
	l.c.dispatcher.unpark()
	if l.c.nodes.isGone(n) { // the list changed while this lane connected
		l.drain()
	}
	l.c.nodes.balance() // while lanes were on their way, the count of them may have misled it

	unanswered, reason := conn.Serve(l)

	l.mu.Lock()
	l.conn, l.usable = nil, false
	queue := l.takeQueue()
	l.outstanding -= len(unanswered)
	soon := l.soon
	l.soon = nil
	l.mu.Unlock()
	if !errors.Is(reason, errDrained) && !errors.Is(reason, transport.ErrClosedByUs) {
		n.errors.Add(1)
		l.c.nodes.suspect(n, reason)
		if errors.Is(reason, transport.ErrAckTimeout) {
			l.c.metrics.timeout(l.index)
		}
	}
	for _, w := range unanswered {
		l.c.metrics.queued(l.index, -w.Item.count())
		l.c.connectionLost(w.Item, n, reason)
	}
	l.handBack(queue)
	for st := range soon {
		st.flush()
	}
}

// jitter varies d by 10 % to either side, so that many clients do not act in step.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}
