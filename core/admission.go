package dataproxy

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// budget bounds what the client holds, in messages and in bytes of memory. A message is charged when it joins a batch and released
// after its callback has returned, so that a slow consumer slows the sender and does not fill the memory. The bytes belong to the
// batch, and are released with it (batch.pay).
//
// It is divided so that a stuck or greedy stream takes as little as possible from others. The streams of a worker have a share:
// max_pending_messages, bytes that only it may use (reserve), and what it can get of the rest (common). If a share has several
// streams, none of them may take its last eighth.
//
// A caller without room waits in the line of its stream, the stream in the line of its share, and the share, if its first waiter
// lacks common bytes, in the line for those. Each line is served from its front, and what was served goes to the end. So a release
// never looks beyond the first one that must continue to wait.
type budget struct {
	maxMessages     int64 // of a share
	reserve, common int64 // bytes
	block           bool
	shares          []share

	_       [64]byte     // in a cache line apart from what does not change
	taken   atomic.Int64 // of common
	waiting atomic.Int32 // callers that wait for room
	queued  atomic.Int32 // len(line), readable without the lock

	mu      sync.Mutex
	line    list.List             // of *share, those whose first waiter lacks common bytes
	crowded map[*stream]struct{}  // in which somebody waits
	stopped atomic.Pointer[Error] // why no wait is left

	relief  *time.Timer // nil if no linger is longer than mostWait
	short   atomic.Bool // somebody found no common bytes since it last fired
	asked   bool        // somebody found no room since then
	running bool        // it has been set
}

// share is the part of the budget that the streams of one worker have together.
type share struct {
	index   int // of its worker
	used    charges
	streams atomic.Int32 // number of streams in it
	queued  atomic.Int32 // len(line), readable without the lock
	short   atomic.Bool  // somebody found no room in it since the last relief

	line list.List     // of *stream with waiters, except those at their own bound; guarded by budget.mu
	turn *list.Element // in budget.line; guarded by budget.mu
	_    [64]byte      // not in the next one's cache line
}

// budgetWaiter is a caller in its stream's line.
type budgetWaiter struct {
	bytes int64
	ended <-chan struct{} // its context's
	woken chan struct{}   // gets a value when its time is over, and one when it is served or the client ends

	served, out atomic.Bool // its room is charged; somebody else took it out of the line; written under budget.mu
}

func newWaiter(ctx context.Context, bytes int64) *budgetWaiter {
	return &budgetWaiter{bytes: bytes, ended: ctx.Done(), woken: make(chan struct{}, 2)}
}

func (w *budgetWaiter) wake() { w.woken <- struct{}{} }

// streamLine is the budget's part of a stream.
type streamLine struct {
	held    charges       // its part of the share's charges
	waiters atomic.Int32  // len(line), readable without the lock
	short   atomic.Bool   // it found no room because of its own bound since the last relief
	line    list.List     // of *budgetWaiter; guarded by budget.mu
	turn    *list.Element // in share.line; nil while the stream is at its bound; guarded by budget.mu
}

// charges holds the bytes in its low 40 bits and the messages above them, so that one atomic add changes both. The bounds leave
// room for what concurrent attempts add before they take it back.
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

// init divides the bounds. A quarter of the bytes is reserved, in equal parts.
func (b *budget) init(c *client) {
	o := &c.opts
	b.maxMessages, b.reserve = int64(o.MaxPendingMessages), int64(o.MaxPendingBytes/o.WorkerNum/4)
	b.common = int64(o.MaxPendingBytes) - b.reserve*int64(o.WorkerNum)
	b.block = o.BlockIfQueueIsFull
	b.crowded = make(map[*stream]struct{})
	b.shares = make([]share, o.WorkerNum)
	for i := range b.shares {
		b.shares[i].index = i
	}
	if c.linger > mostWait {
		b.relief = time.AfterFunc(time.Hour, func() { b.relieve(c) })
		b.relief.Stop()
	}
}

// most is the most bytes that one share can hold.
func (b *budget) most() int64 { return b.reserve + b.common }

// pending returns the sum of all charges.
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
	commonIsAsked          // no shortage, but it takes common bytes, for which somebody may be waiting
)

// needs returns for how many bytes there must be room before msg may join b, which may have to be opened. append pays for what the
// message really takes. beside is what its receiver holds. A message that needs more than there can ever be needs only that much,
// because nothing else is held then.
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

// add charges st, or releases with negative numbers. It says whether more is charged now than may be.
func (b *budget) add(st *stream, messages, bytes int64) shortage {
	s := st.share
	m, n := s.used.add(messages, bytes)
	held, heldBytes := st.held.add(messages, bytes)
	// Each add moves the share's bytes from one value to the next. The sum of these moves is what all shares take of common, in
	// whatever order they come.
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

// release releases the room of some messages.
func (b *budget) release(st *stream, messages, bytes int64) {
	b.add(st, -messages, -bytes)
	if b.waiting.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue(st) // it may have been at its own bound
	b.serve(st.share)
}

// queue puts st into its share's line, unless it is there, if somebody waits in it. The caller holds mu.
func (b *budget) queue(st *stream) {
	if st.turn == nil && st.line.Len() > 0 {
		st.turn = st.share.line.PushBack(st)
	}
}

// wait takes room for one message of st and n bytes: at once if there is some, otherwise within patience if the client blocks or
// the caller can wait.
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
	st.flush() // the open batch may have the room, and would keep it until its linger ends
	w := newWaiter(ctx, n)
	b.mu.Lock()
	if stopped := b.stopped.Load(); stopped != nil {
		b.mu.Unlock()
		return stopped
	}
	e := b.join(st, w)
	full := shareIsFull
	switch {
	case w.served.Load():
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

	// Thousands may be woken together, and each channel of a select takes a part of that: so there are two.
	timer := time.AfterFunc(patience, w.wake)
	defer timer.Stop()
	select {
	case <-w.woken:
		if w.served.Load() {
			return nil
		}
		if stopped := b.stopped.Load(); stopped != nil {
			return b.giveUp(st, e, stopped)
		}
		return b.giveUp(st, e, &Error{Code: CodeSendTimeout, Message: "while waiting for room in the queue"})
	case <-w.ended:
		return b.giveUp(st, e, &Error{Code: CodeContextExpired, Message: "while waiting for room in the queue", cause: whyEnded{ctx},
			GroupID: st.key.group, StreamID: st.key.stream})
	}
}

// join puts a caller into the line of st, and serves it if a release came between its failed attempt and this. The caller holds mu.
func (b *budget) join(st *stream, w *budgetWaiter) *list.Element {
	e := st.line.PushBack(w)
	b.crowded[st] = struct{}{}
	b.waiting.Add(1)
	st.waiters.Add(1)
	b.queue(st)
	b.serve(st.share)
	return e
}

// giveUp takes a waiter out of its stream's line, with those after it whose contexts have ended too: there may be thousands, and each
// would wait for the lock. A waiter that was served at the same moment has its room.
func (b *budget) giveUp(st *stream, e *list.Element, reason *Error) *Error {
	w := e.Value.(*budgetWaiter)
	if w.out.Load() {
		return reason
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case w.served.Load():
		return nil
	case w.out.Load():
		return reason
	}
	first := st.line.Front() == e
	for next := e.Next(); next != nil && next.Value.(*budgetWaiter).hasEnded(); next = e.Next() {
		next.Value.(*budgetWaiter).out.Store(true)
		b.leave(st, next)
	}
	b.leave(st, e)
	if first { // a smaller one after it may fit
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
	if st.line.Len() > 0 {
		return
	}
	delete(b.crowded, st)
	if st.turn != nil {
		st.share.line.Remove(st.turn)
		st.turn = nil
	}
}

// serve charges those who wait in s, and in other shares for common bytes, while there is room. The caller holds mu.
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

// serveShare charges those who wait in s until one must continue to wait. The caller holds mu.
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
			w.served.Store(true)
			w.wake()
			if s.turn != nil {
				b.line.MoveToBack(s.turn)
			}
			continue
		}
		b.add(st, -1, -w.bytes)
		if full == shareIsFull {
			break
		}
		if lacksCommon = full != streamIsFull; !lacksCommon { // its next release puts it back into the line
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

// stop ends all waits, present and future, with err.
func (b *budget) stop(err *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped.Store(err)
	for st := range b.crowded {
		for e := st.line.Front(); e != nil; e = st.line.Front() {
			w := e.Value.(*budgetWaiter)
			w.out.Store(true)
			b.leave(st, e)
			w.wake()
		}
	}
}
