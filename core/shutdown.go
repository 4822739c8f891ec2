package dataproxy

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// callbackGrace is how long Shutdown waits after the end of its context for callbacks to be called. lastGrace is how long it
	// waits after that for a callback that was about to be called, and for each kind of goroutine to end. All of it is less than
	// 100 ms. Before the context's end it waits callbackGrace for acks of what was read back from the spool.
	callbackGrace = 50 * time.Millisecond
	lastGrace     = 10 * time.Millisecond
	// endGrace is how long it waits for each kind of goroutine to end if there is no hurry.
	endGrace = time.Second
)

// ending is how far the end of a client is. Only this file changes it, except that completers count called.
type ending struct {
	begun   atomic.Bool
	closing atomic.Bool   // no message is accepted any more
	reason  *Error        // error of what has no result when the client ends; set before swept
	swept   atomic.Bool   // nothing is retried any more
	muted   atomic.Bool   // no callback is called any more
	called  atomic.Int64  // callbacks since swept; shows a close that they continue
	grace   time.Duration // callbackGrace, except in tests
	closed  chan struct{} // closed when Shutdown has ended
	report  CloseReport
}

var errInsideCallback = &Error{Code: CodeWorkerBusy, Message: "called inside a callback, where it would wait for itself: begun, not waited for"}

func (c *client) Flush(ctx context.Context) error {
	ctx = given(ctx)
	c.flushStreams(ctx, nil)
	if insideCallback() {
		return errInsideCallback
	}
	done, forget := c.batches.upToNow(&c.batches.taken)
	defer forget()
	if !waitFor(ctx, done) {
		return &Error{Code: CodeContextExpired, Message: "while waiting for the results of all messages", cause: context.Cause(ctx)}
	}
	return nil
}

// waitFor reports whether done came, even if ctx has ended at the same time.
func waitFor(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// flushStreams seals the open batches of the chosen streams; nil chooses all. After ctx has ended it stops within a moment, because
// there may be hundreds of thousands. The linger seals the rest.
func (c *client) flushStreams(ctx context.Context, chosen func(*stream) bool) {
	began := time.Now()
	for i, st := range c.streams.list() {
		if i%256 == 255 && ctx.Err() != nil && time.Since(began) > c.end.grace {
			return
		}
		if chosen == nil || chosen(st) {
			st.flush()
		}
	}
}

func (c *client) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.SendTimeout)
	defer cancel()
	_, _ = c.Shutdown(ctx)
}

func (c *client) Shutdown(ctx context.Context) (CloseReport, error) {
	ctx = given(ctx)
	if insideCallback() {
		if c.end.begun.CompareAndSwap(false, true) {
			// The caller's context may end with the callback: the send timeout bounds the close instead.
			bounded, cancel := context.WithTimeout(context.Background(), c.opts.SendTimeout)
			go func() {
				defer cancel()
				c.shut(bounded, nil)
			}()
		}
		return c.counts.report(), errInsideCallback
	}
	if c.end.begun.CompareAndSwap(false, true) {
		c.shut(ctx, nil)
		return c.result()
	}
	if !waitFor(ctx, c.end.closed) {
		return c.counts.report(), &Error{Code: CodeContextExpired, Message: "while another call closes the client", cause: context.Cause(ctx)}
	}
	return c.result()
}

// result is what Shutdown returns once the client is closed.
func (c *client) result() (CloseReport, error) {
	switch r := c.end.report; {
	case r.Uncalled > 0:
		return r, &Error{Code: CodeContextExpired, Message: fmt.Sprintf("callbacks took too long: that of up to %d messages was not called", r.Uncalled)}
	case r.Unsent > 0:
		return r, &Error{Code: CodeContextExpired, Message: fmt.Sprintf("%d messages had no result in time", r.Unsent)}
	}
	return c.end.report, nil
}

// discard ends what NewClient has started before it failed. No message was accepted.
func (c *client) discard() {
	c.end.closing.Store(true)
	c.cancel()
	<-c.lanesDone.none()
	c.working.wait(context.Background(), endGrace)
	c.log.close(context.Background(), callbackGrace)
	close(c.end.closed)
}

// abort closes the client after a panic of this library: everything fails at once.
func (c *client) abort() {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if c.end.begun.CompareAndSwap(false, true) {
		c.shut(now, &Error{Code: CodeServerPanic, Message: "internal fault of the client"})
	}
}

// shut ends the client. settleRest does what takes longer with more messages on another goroutine, so that shut returns in time. A
// sweep of very many messages continues after that, without calling callbacks.
func (c *client) shut(ctx context.Context, fault *Error) {
	c.end.closing.Store(true)
	refusal := errClosed
	c.end.reason = &Error{Code: CodeClosed, Message: "the client was closed before an ack came"}
	if fault != nil {
		refusal, c.end.reason = fault, fault
	}
	c.budget.stop(refusal)
	c.bulk.stop()
	swept := make(chan struct{})
	c.completing.Add(1)
	go func() {
		defer c.completing.Done()
		defer close(swept)
		defer c.guard()
		c.settleRest(ctx)
	}()
	over, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(c.end.grace, cancel) })()
	inTime := waitFor(over, swept)
	// The completers are not waited for: a timer that settled a message may be about to start one.
	delivered, forget := c.batches.upToNow(&c.batches.taken)
	defer forget()
	pending, _ := c.budget.pending()
	called := c.end.called.Load()
	inTime = inTime && waitFor(over, delivered)
	uncalled := int64(0)
	if inTime {
		c.completing.wait(over, endGrace)
	} else {
		// A callback does not return in time, or there are too many. No other one may start once Shutdown has returned, and no two
		// may run at the same time.
		c.end.swept.Store(true)
		c.end.muted.Store(true)
		c.cancel()
		c.completing.wait(over, endGrace)
		uncalled = max(0, pending-(c.end.called.Load()-called))
	}
	c.lanesDone.wait(over, endGrace)
	c.working.wait(over, endGrace)
	c.end.report = c.counts.report()
	select {
	case <-swept:
	default: // nothing else ends what the sweep has not reached
		if rest := c.streams.accepted() - c.end.report.Acked - c.end.report.Failed; rest > 0 {
			c.end.report.Failed += rest
			c.end.report.ByCode[c.end.reason.Code] += rest
		}
	}
	c.end.report.Unsent, c.end.report.Uncalled = c.end.report.ByCode[c.end.reason.Code], uncalled
	c.log.close(over, endGrace)
	close(c.end.closed)
}

// settleRest waits for all results until ctx ends, and fails what has none by then. closing was set before every stream's lock is
// taken once here, and senders read it under that lock. So each message is either in a batch that the sweep finds, or refused.
func (c *client) settleRest(ctx context.Context) {
	c.flushStreams(context.Background(), nil)
	all, forget := c.batches.upToNow(&c.batches.taken)
	defer forget()
	select {
	case <-all:
	case <-ctx.Done():
	}
	if c.spooler != nil {
		c.waitForReplays(ctx)
		c.spooler.storeRest()
	}
	c.end.swept.Store(true)
	batches := 0
	for _, b := range c.batches.all() {
		if c.sweep(b) > 0 {
			batches++
		}
	}
	if batches > 0 {
		c.metrics.failedTimes(c.end.reason.Code, batches)
	}
	c.cancel()
}

// waitForReplays waits a moment for acks of what was read back. Each ack that comes avoids a duplicate. The next client sends what
// has none then.
func (c *client) waitForReplays(ctx context.Context) {
	done, forget := c.batches.upToNow(&c.batches.back)
	defer forget()
	ctx, cancel := context.WithTimeout(ctx, c.end.grace)
	defer cancel()
	waitFor(ctx, done)
}

// sweep fails the unsettled messages of b.
func (c *client) sweep(b *batch) (messages int) {
	return c.finish(b, func() *Error { return b.fault(c.end.reason.Code, c.end.reason.Message, nil) })
}
