package dataproxy

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
)

// A node closes the connection, without an answer, on a frame that is longer than it takes, and it may take less than anybody says. Only
// that frame is at fault, not what was in flight beside it. Once closed on twice, its length is known to be too much: many messages
// continue in shorter frames, one message alone fails. The node gets no frame of that length any more.

const (
	// leastLimit is what every node takes: its max-msg-length is 64 KiB where nobody sets it. Who closes on less has another reason.
	leastLimit = 8 * kib
	// limitMemory is how long it is remembered what a node did not take. One that was away may have another configuration, and is
	// asked anew.
	limitMemory = 10 * time.Minute
)

// lengths is what a node's connections have shown of the frames it takes.
type lengths struct {
	taken   atomic.Int64               // the longest that it acked
	tooLong atomic.Pointer[knownLimit] // nil: nothing is known
	away    atomic.Int64               // how often all this was forgotten
}

// knownLimit is the length of a frame that a node closed on.
type knownLimit struct {
	size  int
	until time.Time
}

// took notes a frame that the node acked.
func (n *node) took(size int) {
	if int64(size) <= n.taken.Load() {
		return
	}
	n.taken.Store(int64(size))
	if limit := n.tooLong.Load(); limit != nil && size >= limit.size {
		n.tooLong.Store(nil)
	}
}

// closesOn reports whether the node is known to close on a frame of that length.
func (n *node) closesOn(size int, now time.Time) bool {
	limit := n.tooLong.Load()
	return limit != nil && size >= limit.size && now.Before(limit.until)
}

// forgetLengths is for a node that was away.
func (n *node) forgetLengths() {
	n.away.Add(1)
	n.taken.Store(0)
	n.tooLong.Store(nil)
}

// culprit returns which of the frames without an answer, oldest first, the node closed on. It answers in order, so that is the oldest;
// but a reset may take answers with it that were on their way, so one that is longer than all that the node ever took is it before
// that.
func (n *node) culprit(unanswered []transport.Written[*batch], reason error) (culprit int, tooLong bool) {
	if !errors.Is(reason, transport.ErrPeerClosed) && !errors.Is(reason, transport.ErrWrite) {
		return 0, false
	}
	longest := max(int(n.taken.Load()), leastLimit)
	for i, w := range unanswered {
		if w.Size > longest {
			culprit, tooLong, longest = i, true, w.Size
		}
	}
	return culprit, tooLong
}

// closedOn notes that n closed on b's frame, and reports whether that was the second time, of two nodes if there are two: b is done with
// then.
func (c *client) closedOn(b *batch, n *node, size int, reason error) (done bool) {
	b.mu.Lock()
	first := b.frame.closer
	if first != nil && first.away.Load() != b.frame.away { // it was its own end
		first = nil
	}
	b.frame.closer, b.frame.away = n, n.away.Load()
	b.mu.Unlock()
	if first == nil {
		return false
	}
	for _, closer := range []*node{first, n} {
		if now := time.Now(); !closer.closesOn(size, now) {
			closer.tooLong.Store(&knownLimit{size, now.Add(limitMemory)})
			c.log.Warnf("node %s closes the connection on frames of %d bytes: it gets shorter ones only", subject(closer.addr), size)
		}
	}
	if others, _ := c.nodes.takers(size); others && first == n {
		return false // with fewer lanes than nodes it met the same one again
	}
	c.cutOrFail(b, fmt.Sprintf("nodes closed the connection twice on its frame of %d bytes, the last one %s: they take shorter ones only", size, n.addr), reason)
	return true
}

// tooLongFor decides what becomes of b, which was not written because l's node is known to close on its frame.
func (c *client) tooLongFor(b *batch, l *lane, size int) {
	known := fmt.Errorf("node %s closes the connection on frames of that length", l.node.addr)
	takers, connected := c.nodes.takers(size)
	if !takers {
		c.cutOrFail(b, fmt.Sprintf("its frame has %d bytes: no node takes one of that length", size), known)
		return
	}
	if !connected { // with fewer lanes than nodes
		l.replace()
	}
	elsewhere := c.dispatcher.untried(b.avoid, l.node)
	c.failedAttempt(b, l.node, CodeLogTooLong, attemptFailure{cause: known}, forFree, c.elsewhereOrLater(elsewhere))
}

// cutOrFail lets the messages of b's frame continue in frames of half its length, or fails the one that is in it alone.
func (c *client) cutOrFail(b *batch, message string, cause error) {
	b.mu.Lock()
	if b.frameCount() > 1 && b.unsettled > 0 && !c.swept.Load() {
		b.room = b.frameSize() / 2
		b.startAnew()
		b.id = c.batches.nextID()
		b.mu.Unlock()
		c.goOn(b)
		return
	}
	b.mu.Unlock()
	if c.finish(b, func() *Error { return b.fault(CodeLogTooLong, message, cause) }) > 0 {
		c.metrics.failed(CodeLogTooLong)
	}
}

// takers reports whether a node that did not fail may take a frame of that length, and whether one of those has a lane.
func (s *nodes) takers(size int) (some, connected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, n := range s.list {
		if n.cause == nil && !n.closesOn(size, now) {
			some, connected = true, connected || n.lanes > 0
		}
	}
	return some, connected
}
