package dataproxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// budget bounds what the client holds, in messages and in bytes. A message is charged before it is put into a batch and
// released after its callback has returned, so that a slow consumer slows the sender and not the memory.
//
// It is cut so that whoever is stuck or greedy holds up no more than it must. The streams of a lane have a share:
// max_pending_messages, a part of the bytes that is theirs alone (reserve), and what they can get of the rest (common). Where a
// share has several streams, none of them may take its last eighth.
type budget struct {
	maxMessages     int64 // of a share
	reserve, common int64 // bytes
	block           bool
	shares          []share

	_       [64]byte     // apart from what does not change
	taken   atomic.Int64 // of common
	waiting atomic.Int32 // len(waiters), readable without the lock

	mu      sync.Mutex
	waiters []*budgetWaiter // first come, first served
	scans   uint64          // looks through them so far
	stopped *Error
	relief  *time.Timer // nil where no linger is longer than mostWait
	asked   bool        // somebody found no room since it fired last
	running bool        // it has been set
}

// mostWait is how long somebody who finds no room may have to wait for the linger of others' batches, which hold it.
const mostWait = 10 * time.Millisecond

// share is what the streams of one lane hold together.
type share struct {
	index   int // of its lane
	used    charges
	streams atomic.Int32 // that have it
	waiting atomic.Int32 // of the budget's waiters
	blocked uint64       // the last scan that found it full; guarded by budget.mu
	_       [64]byte     // apart from the next one
}

type budgetWaiter struct {
	st    *stream
	bytes int64
	ready chan *Error // gets nil when charged
}

// charges holds the bytes in its low 40 bits and the messages above them: one atomic add for both. The bounds leave room for
// what concurrent tries add before they take it back.
type charges struct{ word atomic.Uint64 }

const (
	byteBits        = 40
	mostBudgetBytes = 1 << (byteBits - 1)
	mostBudget      = 1 << (64 - byteBits - 1) // messages
)

func (c *charges) add(messages, bytes int64) (m, n int64) {
	return splitCharges(c.word.Add(uint64(messages)<<byteBits + uint64(bytes)))
}

func splitCharges(word uint64) (messages, bytes int64) {
	return int64(word >> byteBits), int64(word & (1<<byteBits - 1))
}

// init deals out the bounds. A quarter of the bytes is reserved, in equal parts.
func (b *budget) init(c *client) {
	o := &c.opts
	b.maxMessages, b.reserve = int64(o.MaxPendingMessages), int64(o.MaxPendingBytes/o.WorkerNum/4)
	b.common = int64(o.MaxPendingBytes) - b.reserve*int64(o.WorkerNum)
	b.block = o.BlockIfQueueIsFull
	b.shares = make([]share, o.WorkerNum)
	for i := range b.shares {
		b.shares[i].index = i
	}
	if c.linger > mostWait {
		b.relief = time.AfterFunc(time.Hour, func() { b.relieve(c) })
		b.relief.Stop()
	}
}

// pending returns what is charged in all.
func (b *budget) pending() (messages, bytes int64) {
	for i := range b.shares {
		m, n := splitCharges(b.shares[i].used.word.Load())
		messages, bytes = messages+m, bytes+n
	}
	return messages, bytes
}

// shortage says why there is no room.
type shortage int

const (
	noShortage    shortage = iota
	shareIsFull            // of messages
	commonIsFull           // beyond the share's own bytes
	streamIsFull           // the stream has its seven eighths of the share
	commonIsAsked          // none: but it takes common bytes, for which somebody may be waiting
)

// charge takes room for one message of n bytes for st, waiting for it in block mode, for patience at the longest.
func (b *budget) charge(ctx context.Context, n int64, st *stream, patience time.Duration) *Error {
	if n > b.reserve+b.common {
		return &Error{Code: CodeLogTooLong, Message: "payload: is alone larger than what max_pending_bytes leaves to one lane"}
	}
	if st.share.waiting.Load() == 0 {
		if b.tryCharge(st, 1, n) {
			return nil
		}
	} else if b.tryInTurn(st, n) {
		return nil
	}
	if !b.block {
		b.ask()
		return &Error{Code: CodeQueueFull, Message: "the bound of max_pending_messages or max_pending_bytes is reached"}
	}
	if insideCallback() {
		return &Error{Code: CodeQueueFull, Message: "a callback cannot wait for room, which it may hold itself"}
	}
	st.flush() // what takes the room may lie in its open batch, whose linger would be waited for
	return b.wait(ctx, n, st, patience)
}

// tryCharge takes room for some messages of st and their bytes if there is enough. Nobody waits for room in st's share.
func (b *budget) tryCharge(st *stream, messages, bytes int64) bool {
	switch b.add(st, messages, bytes) {
	case noShortage:
		return true
	case commonIsAsked:
		if b.waiting.Load() == 0 {
			return true
		}
	}
	b.release(st, messages, bytes)
	return false
}

// add charges st, or takes back with negative numbers, and says whether more is charged now than may be.
func (b *budget) add(st *stream, messages, bytes int64) shortage {
	s := st.share
	m, n := s.used.add(messages, bytes)
	held, heldBytes := st.held.add(messages, bytes)
	// Each add moves the share's bytes from one value to the next: the sum of these differences is what all shares take of
	// common, in whatever order they come.
	over, common := max(0, n-b.reserve)-max(0, n-bytes-b.reserve), int64(0)
	if over != 0 {
		common = b.taken.Add(over)
	}
	most := b.reserve + b.common
	switch {
	case m > b.maxMessages:
		return shareIsFull
	case over > 0 && common > b.common:
		return commonIsFull
	case held > 1 && (held > b.maxMessages-b.maxMessages/8 || heldBytes > most-most/8) && s.streams.Load() > 1:
		return streamIsFull
	case over > 0:
		return commonIsAsked
	}
	return noShortage
}

func (b *budget) wait(ctx context.Context, n int64, st *stream, patience time.Duration) *Error {
	w := &budgetWaiter{st: st, bytes: n, ready: make(chan *Error, 1)}
	b.mu.Lock()
	if b.stopped != nil {
		defer b.mu.Unlock()
		return b.stopped
	}
	b.waiters = append(b.waiters, w)
	b.count(w, 1)
	b.grant() // a release may have come between the failed try and the entry in the list
	b.mu.Unlock()
	b.ask()

	timer := time.NewTimer(patience)
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

// ask has room made for somebody who finds none.
func (b *budget) ask() {
	if b.relief == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = true
	if !b.running {
		b.running = true
		b.relief.Reset(mostWait)
	}
}

// relieve seals all open batches, again and again while somebody waits or comes back every now and then to ask for room.
func (b *budget) relieve(c *client) {
	defer c.guard()
	b.mu.Lock()
	b.running = b.asked || len(b.waiters) > 0
	again := b.running
	b.asked = false
	b.mu.Unlock()
	if again {
		c.flushStreams()
		b.relief.Reset(mostWait)
	}
}

func (b *budget) count(w *budgetWaiter, delta int32) {
	b.waiting.Add(delta)
	w.st.share.waiting.Add(delta)
}

func (b *budget) giveUp(w *budgetWaiter, reason *Error) *Error {
	b.mu.Lock()
	for i, other := range b.waiters {
		if other == w {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			b.count(w, -1)
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
func (b *budget) release(st *stream, messages, bytes int64) {
	b.add(st, -messages, -bytes)
	if b.waiting.Load() == 0 {
		return
	}
	b.mu.Lock()
	b.grant()
	b.mu.Unlock()
}

// grant charges the waiters for whom there is room, in the order of their coming. One that has to wait holds up whoever behind
// it wants the same: its stream's room, its share's, or common bytes. The caller holds mu.
func (b *budget) grant() (commonBlocked bool) {
	b.scans++
	left := b.waiters[:0]
	for _, w := range b.waiters {
		if b.tryFor(w.st, w.bytes, &commonBlocked) {
			b.count(w, -1)
			w.ready <- nil
		} else {
			left = append(left, w)
		}
	}
	clear(b.waiters[len(left):])
	b.waiters = left
	return commonBlocked
}

// tryInTurn charges a message for which there is room beside those who wait: they may wait for something else.
func (b *budget) tryInTurn(st *stream, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	commonBlocked := b.grant()
	return b.stopped == nil && b.tryFor(st, n, &commonBlocked)
}

// tryFor charges a message unless somebody before it in this scan waits for the same. The caller holds mu.
func (b *budget) tryFor(st *stream, n int64, commonBlocked *bool) bool {
	s := st.share
	if s.blocked == b.scans || st.blocked == b.scans {
		return false
	}
	full := b.add(st, 1, n)
	if full == noShortage || full == commonIsAsked && !*commonBlocked {
		return true
	}
	b.add(st, -1, -n)
	switch full {
	case streamIsFull:
		st.blocked = b.scans
	case commonIsFull, commonIsAsked:
		*commonBlocked = true
		s.blocked = b.scans
	default:
		s.blocked = b.scans
	}
	return false
}

// stop makes every wait, present and future, end with err.
func (b *budget) stop(err *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = err
	for _, w := range b.waiters {
		b.count(w, -1)
		w.ready <- err
	}
	b.waiters = nil
}
