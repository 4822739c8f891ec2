package dataproxy

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/connections"
)

// Bulk ways bring messages faster than a slow network moves them, and they can wait. Their bytes in flight, from acceptance to the
// result, are at most what can be acked in a part of the deadline at the measured rate. Otherwise a slow but healthy link would
// fail messages that waited in the queue for too long. Messages that are sent one by one are neither counted nor delayed.
//
// The window grows by what is acked while the window is what makes the senders wait, and only until the nodes get all that they can
// answer. More than that would only wait in queues, and would fail when a fast link becomes slow.
type bulkWindow struct {
	horizon     time.Duration // time in which what is in flight must be ackable
	sendTimeout time.Duration

	inFlight atomic.Int64 // bytes on the wire; what is not framed yet is estimated by share
	share    atomic.Int64 // sent bytes for each accepted one, in 1/whole
	size     atomic.Int64 // the most that inFlight may be
	enough   atomic.Int64 // the most that size may grow to; and the most that inFlight may be with senders that cannot wait
	acked    atomic.Int64 // bytes so far
	waiting  atomic.Int32 // len(line), readable without the lock
	short    atomic.Bool  // somebody found no room since the budget's last relief

	mu     sync.Mutex
	line   list.List // of chan struct{}
	rate   float64   // acked bytes a second; 0 while unknown
	period bulkPeriod
}

// bulkPeriod is a time over which the rate is measured.
type bulkPeriod struct {
	began time.Time
	acked int64
	full  bool // the window was the bound, not the senders
}

const (
	guessedRate  = 256 * kib // bytes a second, before anything is known
	whole        = 1 << 10   // of share
	plentyRate   = 512 * kib // the same, for senders that cannot wait
	leastWindow  = 160 * kib
	measureEvery = 100 * time.Millisecond
)

func (w *bulkWindow) init(o *Options) {
	w.sendTimeout = o.SendTimeout
	w.share.Store(whole)
	w.horizon = min(o.SendTimeout/4, o.AckTimeout/2)
	w.size.Store(max(leastWindow, int64(guessedRate*w.horizon.Seconds())))
	w.enough.Store(max(leastWindow, int64(plentyRate*w.horizon.Seconds())))
}

func (w *bulkWindow) hasRoom() bool { return w.inFlight.Load() < w.size.Load() }

// room returns how many bytes may be accepted before somebody has to wait.
func (w *bulkWindow) room() int64 {
	if w.waiting.Load() > 0 {
		return 0
	}
	return max(0, w.size.Load()-w.inFlight.Load()) * whole / w.share.Load()
}

// isTight reports whether the window, not the senders, is about to be the bound.
func (w *bulkWindow) isTight() bool { return w.inFlight.Load() >= w.size.Load()/2 }

// charge counts bytes that were accepted.
func (w *bulkWindow) charge(bytes int64) {
	if w.inFlight.Add(bytes) == bytes { // nothing was in flight, so a new measurement begins
		w.mu.Lock()
		w.period = bulkPeriod{began: time.Now()}
		w.mu.Unlock()
	}
}

// giveBack subtracts bytes that turn out not to be on the wire, or have failed.
func (w *bulkWindow) giveBack(bytes int64) {
	w.inFlight.Add(-bytes)
	w.next()
}

// ack counts bytes that a node acked. trip returns the shortest time in which the farthest node answers.
func (w *bulkWindow) ack(bytes int64, trip func() time.Duration) {
	w.acked.Add(bytes)
	w.mu.Lock()
	size := w.size.Load()
	p := &w.period
	p.acked += bytes
	if w.isTight() {
		p.full = true
		if enough := w.enough.Load(); w.rate == 0 || size < enough {
			size += bytes
			w.enough.Store(max(enough, size))
		}
	}
	if now := time.Now(); now.Sub(p.began) >= measureEvery {
		measured := float64(p.acked) / now.Sub(p.began).Seconds()
		switch {
		case w.rate == 0 && p.full:
			w.rate = measured
		case w.rate > 0 && (p.full || measured > w.rate):
			w.rate = (w.rate + measured) / 2
		}
		*p = bulkPeriod{began: now}
		if w.rate > 0 {
			inTime := max(leastWindow, w.acksIn(w.horizon))
			plenty := max(w.acksIn(connections.AnswersTake+2*trip()), int64(plentyRate*w.horizon.Seconds()))
			w.enough.Store(min(inTime, plenty))
			size = min(size, inTime)
		}
	}
	w.size.Store(size)
	w.mu.Unlock()
	w.giveBack(bytes)
}

// acksIn returns how many bytes are acked in d at the measured rate. The caller holds mu.
func (w *bulkWindow) acksIn(d time.Duration) int64 { return int64(w.rate * d.Seconds()) }

// next wakes the next waiter if there is room. A waiter that was woken calls it, too, when it has taken its room or given up. So
// nobody sleeps while there is room.
func (w *bulkWindow) next() {
	if w.waiting.Load() == 0 || !w.hasRoom() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.line.Len() > 0 {
		w.wakeFirst()
	}
}

// stop wakes all, when the budget was stopped.
func (w *bulkWindow) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.line.Len() > 0 {
		w.wakeFirst()
	}
}

// wakeFirst ends the wait of the first in the line. The caller holds mu.
func (w *bulkWindow) wakeFirst() {
	first := w.line.Front()
	w.leave(first)
	close(first.Value.(chan struct{}))
}

// leave takes a waiter out of the line. The caller holds mu.
func (w *bulkWindow) leave(e *list.Element) {
	w.line.Remove(e)
	w.waiting.Add(-1)
}

// enterBulk waits until the window has room for a sender that may wait. A patience below 0 says that nothing was acked for too
// long.
func (c *client) enterBulk(ctx context.Context, kind sendKind, patience time.Duration) *Error {
	w := &c.bulk
	if patience < 0 {
		return errBulkStalls
	}
	if w.waiting.Load() == 0 && w.hasRoom() {
		return nil
	}
	if kind != sendGroup && (kind == sendMany && !c.opts.BlockIfQueueIsFull || insideCallback()) {
		if w.inFlight.Load() < w.enough.Load() {
			return nil
		}
		c.budget.askFor(&w.short)
		return &Error{Code: CodeQueueFull, Message: "as much is in flight as is acked in a part of send_timeout, at the rate of the last acks"}
	}
	ready := make(chan struct{})
	began, acked := time.Now(), w.acked.Load()
	w.mu.Lock()
	if stopped := c.budget.stopped.Load(); stopped != nil {
		w.mu.Unlock()
		return stopped
	}
	e := w.line.PushBack(ready)
	w.waiting.Add(1)
	w.mu.Unlock()
	w.next() // room may have come before the waiter was in the line
	c.budget.askFor(&w.short)

	timer := time.NewTimer(patience)
	defer timer.Stop()
	var reason *Error
	for reason == nil {
		select {
		case <-ready:
			if stopped := c.budget.stopped.Load(); stopped != nil {
				return stopped
			}
			// Room that comes because others ran out of time does not count: the next ones would wait for the same result.
			if time.Since(began) < w.sendTimeout/2 || w.acked.Load() != acked {
				return nil
			}
			return errBulkStalls
		case <-ctx.Done():
			reason = &Error{Code: CodeContextExpired, Message: "while waiting for what is in flight", cause: whyEnded{ctx}}
		case <-timer.C:
			if now := w.acked.Load(); now == acked {
				reason = errBulkStalls
			} else {
				began, acked = time.Now(), now
				timer.Reset(patience)
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-ready: // accept calls next
	default:
		w.leave(e)
	}
	return reason
}

var (
	errNothingAcked = errors.New("no node acked anything for send_timeout")
	errBulkStalls   = &Error{Code: CodeSendTimeout, Message: "while waiting for what is in flight", cause: errNothingAcked}
)

// bulkBytes counts a batch's bytes of bulk ways: as accepted, and as counted in flight.
type bulkBytes struct{ accepted, counted int64 }

// joinBulk counts bytes of b that came in a bulk way as in flight. The caller holds the stream's lock, and b is open.
func (b *batch) joinBulk(bytes int) {
	w := &b.st.c.bulk
	counted := max(1, int64(bytes)*w.share.Load()/whole)
	b.bulk.accepted += int64(bytes)
	b.bulk.counted += counted
	w.charge(counted)
	if !b.st.bulk.Load() {
		b.st.bulk.Store(true)
	}
}

// framedBulk counts the bytes of a frame in place of the bytes that were accepted. The caller holds b.mu.
func (b *batch) framedBulk(size int) {
	if b.bulk.counted == 0 || b.frame.more {
		return
	}
	w := &b.st.c.bulk
	share := min(whole, int64(size)*whole/int64(len(b.body.b)))
	w.share.Store((7*w.share.Load() + share + 7) / 8) // two lanes may overwrite each other's value, which does no harm
	less := b.bulk.counted - max(1, b.bulk.accepted*share/whole)
	b.bulk.counted -= less
	w.giveBack(less)
}

// leaveBulk ends the count for a batch whose messages all have their results. The caller holds the lock that guards b.
func (b *batch) leaveBulk(acked bool) {
	bytes, c := b.bulk.counted, b.st.c
	b.bulk = bulkBytes{}
	switch {
	case bytes == 0:
	case acked:
		c.bulk.ack(bytes, c.conns.Farthest)
	default:
		c.bulk.giveBack(bytes)
	}
}
