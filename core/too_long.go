package dataproxy

import "fmt"

// A node closes the connection, without an answer, on a frame that is longer than it takes, and that length may be less than the
// Manager says. Only that frame is at fault, not what was in flight with it. After the second close its length is known to be too
// much: a batch of many messages continues in shorter frames, a single message fails. The node gets no frame of that length any
// more.

// closedOn notes that n closed on b's frame. It reports whether that was the second time, by two nodes if there are two: then
// nothing more is tried with b as it is.
func (c *client) closedOn(b *batch, n *node, size int, reason error) (done bool) {
	b.mu.Lock()
	first := b.frame.closer
	if first != nil && first.TimesAway() != b.frame.away { // the node itself had ended
		first = nil
	}
	b.frame.closer, b.frame.away = n, n.TimesAway()
	b.mu.Unlock()
	if first == nil {
		return false
	}
	for _, closer := range []*node{first, n} {
		if closer.TakesLess(size) {
			c.log.Warnf("node %s closes the connection on frames of %d bytes: it gets shorter ones only", subject(closer.Addr), size)
		}
	}
	if others := c.conns.Takers(size); others.Proven && b.isAlone() || others.Some && first == n {
		return false // with fewer lanes than nodes the batch met the same node again
	}
	c.cutOrFail(b, fmt.Sprintf("nodes closed the connection twice on its frame of %d bytes, the last one %s: they take shorter ones only", size, n.Addr), reason)
	return true
}

// tooLongFor decides what happens to b, which was not written because l's node is known to close on its frame.
func (c *client) tooLongFor(b *batch, l *lane, size int) {
	known := fmt.Errorf("node %s closes the connection on frames of that length", l.Node.Addr)
	takers := c.conns.Takers(size)
	if !takers.Some && !(takers.Proven && b.isAlone()) {
		c.cutOrFail(b, fmt.Sprintf("its frame has %d bytes: no node takes one of that length", size), known)
		return
	}
	if takers.Some && !takers.Connected { // with fewer lanes than nodes
		l.Replace()
	}
	elsewhere := c.conns.Untried(b.avoid, l.Node)
	c.failedAttempt(b, l.Node, CodeLogTooLong, attemptFailure{cause: known}, forFree, c.elsewhereOrLater(elsewhere))
}

// isAlone reports whether b's frame has one message, so that it cannot be cut.
func (b *batch) isAlone() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.frameCount() == 1
}

// cutOrFail sends the messages of b's frame in frames of half its length, or fails the message that is alone in it.
func (c *client) cutOrFail(b *batch, message string, cause error) {
	b.mu.Lock()
	if b.frameCount() > 1 && b.unsettled > 0 && !c.end.swept.Load() {
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
