package dataproxy

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// closeGrace is how long Shutdown waits for callbacks, and then for connections, beyond its context's end: together with a
// quarter more for what waits behind a callback that does not return, less than 100 ms.
const closeGrace = 60 * time.Millisecond

var errInsideCallback = &Error{Code: CodeWorkerBusy, Message: "called inside a callback, where it would wait for itself: begun, not waited for"}

func (c *client) Flush(ctx context.Context) error {
	c.flushStreams()
	if insideCallback() {
		return errInsideCallback
	}
	select {
	case <-c.batches.upToNow():
		return nil
	case <-ctx.Done():
		return &Error{Code: CodeContextExpired, Message: "while waiting for the results of all messages", cause: context.Cause(ctx)}
	}
}

func (c *client) flushStreams() {
	c.streams.mu.RLock()
	all := make([]*stream, 0, len(c.streams.all))
	for _, st := range c.streams.all {
		all = append(all, st)
	}
	c.streams.mu.RUnlock()
	for _, st := range all {
		st.flush()
	}
}

func (c *client) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.SendTimeout)
	defer cancel()
	_, _ = c.Shutdown(ctx)
}

func (c *client) Shutdown(ctx context.Context) (CloseReport, error) {
	if insideCallback() {
		if c.closeBegun.CompareAndSwap(false, true) {
			// The caller's context may end with the callback: the send timeout bounds the close instead.
			bounded, cancel := context.WithTimeout(context.Background(), c.opts.SendTimeout)
			go func() {
				defer cancel()
				c.shut(bounded, nil)
			}()
		}
		return c.reportNow(), errInsideCallback
	}
	if c.closeBegun.CompareAndSwap(false, true) {
		c.shut(ctx, nil)
		return c.result()
	}
	select {
	case <-c.closed:
		return c.result()
	case <-ctx.Done():
		return c.reportNow(), &Error{Code: CodeContextExpired, Message: "while another call closes the client", cause: context.Cause(ctx)}
	}
}

// result is what Shutdown returns once the client is closed.
func (c *client) result() (CloseReport, error) {
	if c.report.Unsent > 0 {
		return c.report, &Error{Code: CodeContextExpired, Message: fmt.Sprintf("%d messages had no result in time", c.report.Unsent)}
	}
	return c.report, nil
}

// abort closes the client after an internal fault: everything fails at once.
func (c *client) abort() {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if c.closeBegun.CompareAndSwap(false, true) {
		c.shut(now, &Error{Code: CodeServerPanic, Message: "internal fault of the client"})
	}
}

// shut ends the client. closing is set before every stream's lock is taken once, and senders look at it under that lock: a
// message is either in a batch that the sweep finds, or refused.
func (c *client) shut(ctx context.Context, fault *Error) {
	c.closing.Store(true)
	if fault == nil {
		c.budget.stop(errClosed)
	} else {
		c.budget.stop(fault)
	}
	c.flushStreams()
	select {
	case <-c.batches.upToNow():
	case <-ctx.Done():
	}
	c.swept.Store(true)
	for _, b := range c.batches.all() {
		c.report.Unsent += int64(c.finish(b, func() *Error {
			if fault != nil {
				return fault
			}
			return b.fault(CodeClosed, "the client was closed before an ack came", nil)
		}))
	}
	c.cancel()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	// Not the completers: a timer that settled a message may be about to start one.
	delivered := c.batches.upToNow()
	select {
	case <-delivered:
		c.waitDone(&c.completing, grace.C)
	case <-grace.C:
		// Some callback does not return: what waits behind it is called beside it.
		for i := range c.completers {
			c.completing.Add(1)
			go c.completers[i].run(nil)
		}
		grace.Reset(closeGrace / 4)
		select {
		case <-delivered:
		case <-grace.C:
		}
		c.muted.Store(true)
	}
	grace.Reset(closeGrace)
	c.waitDone(&c.lanesDone, grace.C)
	c.waitDone(&c.working, grace.C)
	unsent := c.report.Unsent
	c.report = c.reportNow()
	c.report.Unsent = unsent
	close(c.closed)
}

// waitDone waits for the group, until the timer fires at the longest.
func (c *client) waitDone(group *sync.WaitGroup, timer <-chan time.Time) bool {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-timer:
		return false
	}
}

func (c *client) reportNow() CloseReport {
	by := c.failures.snapshot()
	r := CloseReport{Acked: c.ackedCount.Load(), ByCode: by}
	for _, n := range by {
		r.Failed += n
	}
	return r
}
