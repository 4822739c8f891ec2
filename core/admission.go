package dataproxy

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// budget bounds what the client holds, in messages and in bytes of memory. A message is charged when it is put into a batch and
// released after its callback has returned, so that a slow consumer slows the sender and not the memory; the bytes are a batch's, and
// go with it (batch.pay).
//
// It is cut so that anyone who is stuck or greedy holds up no more than it must. The streams of a worker have a share:
// max_pending_messages, a part of the bytes that is theirs alone (reserve), and what they can get of the rest (common). Where a
// share has several streams, none of them may take its last eighth.
//
// Who finds no room waits in the line of its stream, the stream in the line of its share, and the share, when it is common bytes
// that its first waiter lacks, in the line for those. Each line is served from its front, and who has been served goes behind the others:
// whatever happens, nobody looks further than at the first that has to wait on.
type budget struct {
	maxMessages     int64 // of a share
	reserve, common int64 // bytes
	block           bool
	shares          []share

	_       [64]byte     // apart from what does not change
	taken   atomic.Int64 // of common
	waiting atomic.Int32 // callers that wait for room
	queued  atomic.Int32 // len(line), readable without the lock

	mu       sync.Mutex
	line     list.List // of *share, whose first waiter lacks common bytes
	stopping chan struct{}
	stopped  *Error // why; set before stopping is closed

	relief  *time.Timer // nil where no linger is longer than mostWait
	short   atomic.Bool // somebody found no common bytes since it fired last
	asked   bool        // somebody found no room since then
	running bool        // it has been set
}

// share is what the streams of one worker hold together.
type share struct {
	index   int // of its worker
	used    charges
	streams atomic.Int32 // that have it
	queued  atomic.Int32 // len(line), readable without the lock
	short   atomic.Bool  // somebody found no room in it since the last relief

	line list.List     // of *stream with waiters, without those that are at their own bound; guarded by budget.mu
	turn *list.Element // in budget.line; guarded by budget.mu
	_    [64]byte      // apart from the next one
}

// budgetWaiter is a caller in its stream's line.
type budgetWaiter struct {
	bytes int64
	ready chan struct{}   // gets its one value when the room is charged; written under budget.mu
	ended <-chan struct{} // its context's
	out   atomic.Bool     // of the line, since one before it gave up and its context had ended too
}

// streamLine is what the budget keeps of a stream.
type streamLine struct {
	held    charges       // its part of what its share has used
	waiters atomic.Int32  // len(line), readable without the lock
	short   atomic.Bool   // it found no room, being at its own bound, since the last relief
	line    list.List     // of *budgetWaiter; guarded by budget.mu
	turn    *list.Element // in share.line; nil while the stream is at its bound; guarded by budget.mu
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

func (c *charges) load() (m, n int64) { return splitCharges(c.word.Load()) }

func splitCharges(word uint64) (messages, bytes int64) {
	return int64(word >> byteBits), int64(word & (1<<byteBits - 1))
}

// init deals out the bounds. A quarter of the bytes is reserved, in equal parts.
func (b *budget) init(c *client) {
	o := &c.opts
	b.maxMessages, b.reserve = int64(o.MaxPendingMessages), int64(o.MaxPendingBytes/o.WorkerNum/4)
	b.common = int64(o.MaxPendingBytes) - b.reserve*int64(o.WorkerNum)
	b.block = o.BlockIfQueueIsFull
	b.stopping = make(chan struct{})
	b.shares = make([]share, o.WorkerNum)
	for i := range b.shares {
		b.shares[i].index = i
	}
	if c.linger > mostWait {
		b.relief = time.AfterFunc(time.Hour, func() { b.relieve(c) })
		b.relief.Stop()
	}
}

// most is what one share can ever hold.
func (b *budget) most() int64 { return b.reserve + b.common }

// pending returns what is charged in all.
func (b *budget) pending() (messages, bytes int64) {
	for i := range b.shares {
		m, n := b.shares[i].used.load()
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

// needs is for how many bytes there must be room before msg may join b, which may have to be opened; append pays for what it really
// takes. beside is what the message's receiver holds. One that needs more than there can ever be is content with that: nothing else
// is held then.
func (b *budget) needs(open *batch, item int, beside int64) int64 {
	n := int64(item)
	if open == nil {
		return min(batchCost+n+beside, b.most())
	}
	return max(0, int64(len(open.body.b)-cap(open.body.b))+n) + beside
}

// admit takes room for some messages of st and their bytes, unless others wait for the same.
func (b *budget) admit(st *stream, messages, bytes int64) shortage {
	if st.waiters.Load() != 0 {
		return streamIsFull
	}
	if st.share.queued.Load() != 0 {
		return shareIsFull
	}
	full := b.add(st, messages, bytes)
	switch {
	case full == noShortage, full == commonIsAsked && b.queued.Load() == 0:
		return noShortage
	}
	b.release(st, messages, bytes)
	return full
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
	most := b.most()
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

// release gives back the room of some messages.
func (b *budget) release(st *stream, messages, bytes int64) {
	b.add(st, -messages, -bytes)
	if b.waiting.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue(st) // it may have been at its bound
	b.serve(st.share)
}

// queue puts st into its share's line, where it is not already, if somebody waits in it. The caller holds mu.
func (b *budget) queue(st *stream) {
	if st.turn == nil && st.line.Len() > 0 {
		st.turn = st.share.line.PushBack(st)
	}
}

// wait takes room for one message of st and n bytes when there is some: at once, or, in block mode and for somebody who can wait,
// within patience.
func (b *budget) wait(ctx context.Context, n int64, st *stream, patience time.Duration, canWait bool) *Error {
	block := b.block || canWait
	inside := block && insideCallback()
	if inside || !block {
		full := b.admit(st, 1, n)
		if full == noShortage {
			return nil
		}
		b.ask(full, st)
		if inside {
			return &Error{Code: CodeQueueFull, Message: "a callback cannot wait for room, which it may hold itself"}
		}
		return &Error{Code: CodeQueueFull, Message: "the bound of max_pending_messages or max_pending_bytes is reached"}
	}
	st.flush() // what takes the room may lie in its open batch, whose linger would be waited for
	w := &budgetWaiter{bytes: n, ready: make(chan struct{}, 1), ended: ctx.Done()}
	b.mu.Lock()
	e := st.line.PushBack(w)
	b.waiting.Add(1)
	st.waiters.Add(1)
	b.queue(st)
	b.serve(st.share) // a release may have come between the failed try and the entry in the line
	full := shareIsFull
	switch {
	case len(w.ready) > 0:
		full = noShortage
	case st.turn == nil:
		full = streamIsFull
	case st.share.turn != nil:
		full = commonIsFull
	}
	b.mu.Unlock()
	if full == noShortage {
		return nil
	}
	b.ask(full, st)

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.ready:
		return nil
	case <-w.ended:
		return b.giveUp(st, e, &Error{Code: CodeContextExpired, Message: "while waiting for room in the queue", cause: whyEnded{ctx},
			GroupID: st.key.group, StreamID: st.key.stream})
	case <-timer.C:
		return b.giveUp(st, e, &Error{Code: CodeSendTimeout, Message: "while waiting for room in the queue"})
	case <-b.stopping:
		return b.giveUp(st, e, b.stopped)
	}
}

// giveUp takes a waiter out of its stream's line, and with it those behind it whose contexts have ended too, or all of them when the client
// ends: there may be thousands, and each would wait for the lock. One that was served at the same moment has its room.
func (b *budget) giveUp(st *stream, e *list.Element, reason *Error) *Error {
	w := e.Value.(*budgetWaiter)
	if w.out.Load() {
		return reason
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(w.ready) > 0:
		return nil
	case w.out.Load():
		return reason
	}
	first := st.line.Front() == e
	for next := e.Next(); next != nil && (b.stopped != nil || next.Value.(*budgetWaiter).hasEnded()); next = e.Next() {
		next.Value.(*budgetWaiter).out.Store(true)
		b.leave(st, next)
	}
	b.leave(st, e)
	if first { // a smaller one behind it may fit
		b.queue(st)
		b.serve(st.share)
	}
	return reason
}

func (w *budgetWaiter) hasEnded() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// leave ends the wait of a caller of st. The caller holds mu.
func (b *budget) leave(st *stream, e *list.Element) {
	st.line.Remove(e)
	b.waiting.Add(-1)
	st.waiters.Add(-1)
	if st.line.Len() == 0 && st.turn != nil {
		st.share.line.Remove(st.turn)
		st.turn = nil
	}
}

// serve charges those who wait in s, and in other shares for common bytes, as far as there is room. The caller holds mu.
func (b *budget) serve(s *share) {
	b.serveShare(s)
	for first := b.line.Front(); first != nil; first = b.line.Front() {
		b.serveShare(first.Value.(*share))
		if b.line.Front() == first {
			break
		}
	}
	b.queued.Store(int32(b.line.Len()))
}

// serveShare charges those who wait in s until one has to wait on. The caller holds mu.
func (b *budget) serveShare(s *share) {
	lacksCommon := false
	for first := s.line.Front(); first != nil && !lacksCommon; first = s.line.Front() {
		st := first.Value.(*stream)
		e := st.line.Front()
		w := e.Value.(*budgetWaiter)
		full := b.add(st, 1, w.bytes)
		if full == commonIsAsked && (b.line.Len() == 0 || b.line.Front() == s.turn) {
			full = noShortage
		}
		if full == noShortage {
			s.line.MoveToBack(first)
			b.leave(st, e)
			w.ready <- struct{}{}
			if s.turn != nil {
				b.line.MoveToBack(s.turn)
			}
			continue
		}
		b.add(st, -1, -w.bytes)
		if full == shareIsFull {
			break
		}
		if lacksCommon = full != streamIsFull; !lacksCommon { // its next release puts it back
			s.line.Remove(first)
			st.turn = nil
		}
	}
	s.queued.Store(int32(s.line.Len()))
	switch {
	case lacksCommon && s.turn == nil:
		s.turn = b.line.PushBack(s)
	case !lacksCommon && s.turn != nil:
		b.line.Remove(s.turn)
		s.turn = nil
	}
}

// stop makes every wait, present and future, end with err.
func (b *budget) stop(err *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = err
	close(b.stopping)
}
