package dataproxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// budget bounds what the client holds, in messages and in bytes. A message is charged before it is put into a batch and
// released after its callback has returned, so that a slow consumer slows the sender and not the memory.
type budget struct {
	maxMessages, maxBytes int64
	block                 bool
	timeout               time.Duration // of a wait whose context has no earlier end

	_       [64]byte      // apart from what does not change
	used    atomic.Uint64 // messages and bytes in one word: one atomic add charges a message
	waiting atomic.Int32  // len(waiters), readable without the lock

	mu      sync.Mutex
	waiters []*budgetWaiter // first come, first served
	stopped *Error
}

type budgetWaiter struct {
	bytes int64
	ready chan *Error // gets nil when charged
}

// used holds the bytes in its low 40 bits and the messages above them. The bounds leave room for what concurrent tries add
// before they take it back.
const (
	byteBits        = 40
	mostBudgetBytes = 1 << (byteBits - 1)
	mostBudget      = 1 << (64 - byteBits - 1) // messages
)

func (b *budget) messages() int64 { return int64(b.used.Load() >> byteBits) }
func (b *budget) bytes() int64    { return int64(b.used.Load() & (1<<byteBits - 1)) }

// charge takes room for one message of n bytes for st, waiting for it in block mode.
func (b *budget) charge(ctx context.Context, n int64, st *stream) *Error {
	if n > b.maxBytes {
		return &Error{Code: CodeQueueFull, Message: "the message alone is larger than max_pending_bytes"}
	}
	if b.waiting.Load() == 0 && b.tryCharge(n) {
		return nil
	}
	if !b.block {
		return &Error{Code: CodeQueueFull, Message: "the bound of max_pending_messages or max_pending_bytes is reached"}
	}
	if insideCallback() {
		return &Error{Code: CodeQueueFull, Message: "a callback cannot wait for room, which it may hold itself"}
	}
	st.flush() // what takes the room may lie in its open batch, whose linger would be waited for
	return b.wait(ctx, n)
}

// tryCharge adds first and takes back what was too much.
func (b *budget) tryCharge(n int64) bool {
	one := uint64(1)<<byteBits | uint64(n)
	used := b.used.Add(one)
	if int64(used>>byteBits) <= b.maxMessages && int64(used&(1<<byteBits-1)) <= b.maxBytes {
		return true
	}
	b.used.Add(-one)
	return false
}

func (b *budget) wait(ctx context.Context, n int64) *Error {
	w := &budgetWaiter{bytes: n, ready: make(chan *Error, 1)}
	b.mu.Lock()
	if b.stopped != nil {
		defer b.mu.Unlock()
		return b.stopped
	}
	b.waiters = append(b.waiters, w)
	b.waiting.Add(1)
	b.grant() // a release may have come between the failed try and the entry in the list
	b.mu.Unlock()

	timer := time.NewTimer(b.timeout)
	defer timer.Stop()
	select {
	case err := <-w.ready:
		return err
	case <-ctx.Done():
		return b.giveUp(w, &Error{Code: CodeContextExpired, Message: "while waiting for room in the queue", cause: context.Cause(ctx)})
	case <-timer.C:
		return b.giveUp(w, &Error{Code: CodeSendTimeout, Message: "while waiting for room in the queue"})
	}
}

func (b *budget) giveUp(w *budgetWaiter, reason *Error) *Error {
	b.mu.Lock()
	for i, other := range b.waiters {
		if other == w {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			b.waiting.Add(-1)
			b.grant() // a smaller one behind it may fit
			b.mu.Unlock()
			return reason
		}
	}
	b.mu.Unlock()
	// Granted or stopped at the same moment: that outcome counts.
	return <-w.ready
}

// release gives back the room of some messages.
func (b *budget) release(messages, bytes int64) {
	b.used.Add(-(uint64(messages)<<byteBits | uint64(bytes)))
	if b.waiting.Load() == 0 {
		return
	}
	b.mu.Lock()
	b.grant()
	b.mu.Unlock()
}

// grant charges the first waiters as far as there is room. The caller holds mu.
func (b *budget) grant() {
	for len(b.waiters) > 0 && b.tryCharge(b.waiters[0].bytes) {
		w := b.waiters[0]
		b.waiters = b.waiters[1:]
		b.waiting.Add(-1)
		w.ready <- nil
	}
}

// stop makes every wait, present and future, end with err.
func (b *budget) stop(err *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = err
	for _, w := range b.waiters {
		b.waiting.Add(-1)
		w.ready <- err
	}
	b.waiters = nil
}
