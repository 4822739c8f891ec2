package dataproxy

import (
	"context"
	"time"

	"go.uber.org/multierr"
)

// acked ends a batch that a node answered without an error code.
func (c *client) acked(b *batch) { c.finish(b, nil) }

// finish settles all messages of a sealed batch that are not settled yet, and returns their number. If others wait for another
// frame, it settles only those in this frame, and the others continue. fault makes the error, nil means acked. It is called under
// b.mu, so that no frame can be written after an error that says "not written".
func (c *client) finish(b *batch, fault func() *Error) (messages int) {
	b.mu.Lock()
	return c.finishHeld(b, fault)
}

// finishHeld is finish for a caller that holds b.mu. It unlocks b.mu.
func (c *client) finishHeld(b *batch, fault func() *Error) (messages int) {
	var err *Error
	if fault != nil && b.unsettled > 0 {
		err = fault()
	}
	messages = b.unsettled
	switch {
	case messages == 0: // its deadline came first
		b.written = false
		all := !b.frame.more // otherwise the caller was told that the rest is stored
		b.mu.Unlock()
		c.spooler.ended(b, fault == nil && all, nil)
		b.st.settled(b)
		return 0
	case b.frame.more && (fault == nil || !c.end.swept.Load() && err.Code != CodeStored):
		done := c.settleFrame(b, err)
		b.mu.Unlock()
		c.completeAll([]completion{done})
		c.goOn(b)
		return done.messages
	}
	b.unsettled, b.written = 0, false
	b.leaveBulk(err == nil)
	// If the timer cannot be stopped, it may be looking at b now.
	reuse := b.timer.Stop() && err == nil && !b.expired
	replayed := b.replayed // counted when it was left to the store
	if !replayed {
		c.metrics.batch(err, b)
	}
	b.mu.Unlock()
	done := completion{b: b, err: err, messages: messages, reuse: reuse}
	if !replayed {
		c.count(&done)
	}
	c.spooler.ended(b, err == nil, err)
	b.st.settled(b)
	c.complete(done)
	return messages
}

// goOn sends the messages that did not fit into b's last frame.
func (c *client) goOn(b *batch) {
	switch {
	case b.dead():
		c.spooler.ended(b, false, nil)
		b.st.settled(b)
	case !c.end.swept.Load(): // a closed client writes nothing
		c.conns.Dispatch(b)
	}
}

// woken is called by a batch's timer: a deadline passed, or a back-off has ended.
func (c *client) woken(b *batch) {
	defer c.guard()
	now := time.Now()
	retry := false
	c.settleSome(b.st, b, func() []completion {
		due := b.settleDue(c, now)
		if b.unsettled > 0 {
			if retry = !b.retryAt.IsZero() && !now.Before(b.retryAt); retry {
				b.retryAt = time.Time{}
			}
			b.wake(now)
		}
		return due
	})
	if retry {
		c.conns.Dispatch(b)
	}
}

// withdraw settles messages of one batch whose caller gave up, and returns the number of those that had no result.
func (c *client) withdraw(ctx context.Context, places ...place) (withdrawn int) {
	at := places[0]
	b := at.b
	c.settleSome(at.st, b, func() []completion {
		if b.order != at.order || b.unsettled == 0 {
			return nil
		}
		var indexes []int32
		for _, at := range places {
			if !b.settledAlone(at.index) {
				indexes = append(indexes, int32(at.index))
			}
		}
		if withdrawn = len(indexes); withdrawn == 0 {
			return nil
		}
		return []completion{b.settle(indexes, c.contextOver(b, whyEnded{ctx}))}
	})
	return withdrawn
}

// contextOver is the error of messages whose context ended first. cause says how it ended. The caller holds the lock that guards b.
func (c *client) contextOver(b *batch, cause error) *Error {
	return b.fault(CodeContextExpired, "no ack before the context ended", multierr.Append(cause, c.outage(b)))
}

// settleSome runs pick under the lock that guards b, and completes what it settled. It seals an open batch first: results are
// delivered without the stream's lock, so no message may be added meanwhile.
func (c *client) settleSome(st *stream, b *batch, pick func() []completion) {
	st.mu.Lock()
	if st.open == b {
		done := pick()
		switch {
		case len(done) == 0:
		case b.unsettled == 0:
			st.takeOpen()
		default:
			st.seal()
		}
		st.mu.Unlock()
		c.completeAll(done)
		return
	}
	st.mu.Unlock()
	b.mu.Lock()
	done := pick()
	dead := len(done) > 0 && b.unsettled == 0 && !b.written // a frame in flight holds up its ordered stream until its answer comes
	b.mu.Unlock()
	if dead {
		c.spooler.ended(b, false, nil)
		st.settled(b)
		c.conns.Died()
	}
	c.completeAll(done)
}

// count counts results before their receivers are called, so that anyone who has a result finds it in Stats.
func (c *client) count(done *completion) {
	c.counts.results(done.err, int64(done.messages))
	c.metrics.messages(done.err, done.messages)
	done.b.st.series.completed(done)
}

// completeAll completes messages that were settled alone.
func (c *client) completeAll(done []completion) {
	for _, d := range done {
		if d.messages == 0 {
			continue
		}
		if d.b.replayed { // counted when it was left to the store
			c.complete(d)
			continue
		}
		c.count(&d)
		if d.err != nil {
			c.metrics.failed(d.err.Code)
			if d.err.Code == CodeSendTimeout {
				c.metrics.timeout(d.b.st.share.index)
			}
		}
		if d.last {
			c.metrics.batch(d.err, d.b)
		}
		c.complete(d)
	}
}

// complete passes a result to its receivers: on the stream's completer, or at once if no user code runs.
func (c *client) complete(done completion) {
	c.hooks.result(&done)
	if done.b.userCode {
		if done.b.callers {
			done.answerCallers()
		}
		done.b.st.completer.push(done)
		return
	}
	c.deliver(&delivery{completion: done})
}

// giveRoom releases the room of messages that are no longer pending. If their receivers only wait, what the batch holds is released
// with the last one.
func (c *client) giveRoom(d *delivery) {
	bytes := int64(0)
	if !d.b.userCode && (d.indexes == nil || d.last) {
		if bytes = d.b.uncharge(); bytes == 0 && d.b.replayed { // it still waited for room when the client closed
			return
		}
	}
	c.metrics.addPending(d.b.st, -d.messages)
	c.budget.release(d.b.st, int64(d.messages), bytes)
}

// delivered drops the batch after its last receiver was called.
func (c *client) delivered(d *delivery) {
	if d.b.undelivered.Add(int32(-d.messages)) == 0 {
		c.counts.batches.Add(1)
		c.batches.remove(d.b, d.reuse)
	}
}
