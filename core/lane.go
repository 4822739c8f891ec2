package dataproxy

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/fifo"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// joinBytes is how many bytes of frames a lane likes to put into one write; more costs memory and gains nothing.
const joinBytes = 64 * kib

// yieldAfter is the number of batches waiting to be written from which a sender lets others run first: one that keeps its
// processor fills memory faster than the lane, on the same processors, can empty it, and all of it goes through cold memory.
const yieldAfter = 16

// lateFrom is the number of batches on a lane from which it is looked at whether their answers are late.
const lateFrom = 4

var errDrained = errors.New("drained")

// lane is one connection to a node and what is in flight on it. A goroutine reads from it (lane_run.go); writing is done by
// another one that exists while there is something to write.
type lane struct {
	c        *client
	index    int
	conn     *transport.Conn[*batch] // nil, like node, for what holds the place of a lane until the first connection
	node     *node
	opened   time.Time    // when the connection was proven
	acked    bool         // something; of the lane's goroutine
	lastTrip atomic.Int64 // ns that the last answer took

	mu          sync.Mutex
	usable      bool // takes batches: neither draining nor at its end
	replaced    bool // another one takes its place
	queue       fifo.Mortal[*batch]
	writing     bool
	writer      func()               // write: as a method it would cost each start an allocation
	outstanding int                  // batches taken and neither answered nor handed back
	soon        map[*stream]struct{} // with a sync caller that waits for the lane to make progress
}

// scratch is what a writer needs beside its buffer.
type scratch struct {
	written []transport.Written[*batch]
	attr    []byte
}

var writerScratch = sync.Pool{New: func() any { return new(scratch) }}

// enqueue takes b unless the lane is not usable, has limit batches waiting, or its node is put aside and b is no scout. behind asks
// the sender to let others run.
func (l *lane) enqueue(b *batch, limit int, scout bool) (taken, behind bool) {
	l.mu.Lock()
	if !l.usable || l.queue.Len() >= limit || l.node.aside.Load() && !scout || limit == spreadAfter && l.late() {
		l.mu.Unlock()
		return false, false
	}
	l.outstanding -= l.queue.Push(b, (*batch).dead)
	behind = l.queue.Len() > yieldAfter
	l.outstanding++
	start := !l.writing
	l.writing = true
	l.mu.Unlock()
	if start {
		l.c.working.Add(1)
		go l.writer()
	}
	l.c.dispatcher.watch()
	return true, behind
}

// load returns how much the lane has to do.
func (l *lane) load() (outstanding int, usable bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outstanding, l.usable
}

// isBusy reports whether the lane has so much to do that parked batches had better wait for another one.
func (l *lane) isBusy() bool {
	outstanding, _ := l.load()
	return outstanding >= parkedWindow
}

// late reports whether the node's answers take so long that its streams should go elsewhere: sooner where bulk senders wait for them.
// The caller holds mu.
func (l *lane) late() bool {
	after := lateAfter
	if l.c.bulk.isTight() {
		after = min(after, answersTake+2*l.node.roundTrips.shortest())
	}
	if time.Duration(l.lastTrip.Load()) > after {
		return true
	}
	if l.outstanding < lateFrom {
		return false
	}
	since := l.conn.Waits()
	return !since.IsZero() && time.Since(since) > min(l.c.opts.AckTimeout/4, after)
}

// idleOr reports whether the lane has nothing to do. Otherwise st is sealed when the next batch leaves it: not only when it is
// idle, which it may never be beside other streams.
func (l *lane) idleOr(st *stream) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.usable || l.outstanding == 0 {
		return true
	}
	if l.soon == nil {
		l.soon = make(map[*stream]struct{})
	}
	l.soon[st] = struct{}{}
	return false
}

// write frames what is queued and sends it, many frames in one write, until the queue is empty.
func (l *lane) write() {
	defer l.c.working.Done()
	defer l.c.guard()
	buf := l.c.frames.get()
	most := 0 // of bytes in buf: the pool learns by that how large its buffers have to be
	defer func() {
		buf.b = buf.b[:most]
		l.c.frames.put(buf)
	}()
	scratch := writerScratch.Get().(*scratch)
	defer writerScratch.Put(scratch)
	limit := min(joinBytes, l.c.opts.WriteBufferSize)
	for {
		buf.b, scratch.written = buf.b[:0], scratch.written[:0]
		now := time.Now()
		for len(buf.b) < limit {
			b := l.dequeue(len(scratch.written) == 0)
			if b == nil {
				break
			}
			start := len(buf.b)
			var ok bool
			if buf.b, ok = l.frame(buf.b, scratch, b, now); ok {
				scratch.written = append(scratch.written, l.written(b, start, len(buf.b)-start))
			} else {
				l.leave()
			}
		}
		if len(scratch.written) == 0 { // the queue is empty: the next batch starts another writer
			return
		}
		most = max(most, len(buf.b))
		if !l.c.opts.Ordered && l.c.spooler == nil { // else a stream, or a store, waits for the answer of a dead batch that is in flight
			l.conn.Forget((*batch).dead)
		}
		l.c.hooks.written(l, scratch.written)
		if left, err := l.conn.Write(buf.b, scratch.written); err != nil {
			l.mu.Lock()
			l.usable = false // before they are dispatched: they must not come back here
			l.mu.Unlock()
			for _, w := range left {
				l.leave()
				l.c.hooks.answered(w.Item, AttemptEnd{Persisted: NotWritten, Cause: err})
				w.Item.unwritten()
				l.c.goOn(w.Item)
			}
		}
		clear(scratch.written)
	}
}

// written is b's entry in the in-flight table.
func (l *lane) written(b *batch, start, size int) transport.Written[*batch] {
	w := transport.Written[*batch]{Item: b, Seq: b.id.Seq, Start: start, Size: size}
	if b.replayed {
		if l.c.opts.MessageFormat == Binary {
			w.Seq = b.uniq()
		} else if b.id.Client != l.c.connConfig.Client {
			w.Other = b.id.Client
		}
	}
	return w
}

// dequeue returns the next batch. With last it ends the writer when there is none.
func (l *lane) dequeue(last bool) *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.queue.Pop()
	if !ok {
		l.writing = l.writing && !last
	}
	return b
}

// frame appends b's frame unless b is dead: from here on b may have reached the node.
func (l *lane) frame(dst []byte, scratch *scratch, b *batch, now time.Time) (frames []byte, ok bool) {
	frames, due := l.frameLive(dst, scratch, b, l.node.addr, now)
	l.c.completeAll(due)
	size := len(frames) - len(dst)
	switch {
	case size == 0:
		l.c.spooler.ended(b, false, nil)
		b.st.settled(b)
	case l.node.closesOn(size, now):
		b.unwritten()
		l.c.tooLongFor(b, l, size)
	default:
		return frames, true
	}
	return dst, false
}

func (l *lane) frameLive(dst []byte, scratch *scratch, b *batch, node string, now time.Time) (frames []byte, due []completion) {
	b.mu.Lock()
	defer b.mu.Unlock()
	due = b.settleDue(l.c, now)
	if b.unsettled > 0 {
		due = l.c.choose(b, due)
	}
	if b.unsettled == 0 {
		return dst, due
	}
	body, count := b.frameBody()
	start := len(dst)
	b.attempts++
	b.written, b.node = true, node
	attr := b.st.appendAttr(scratch.attr[:0], b, l.index, count)
	scratch.attr = attr
	compress := l.c.opts.Compression == Snappy
	block := b.block()
	switch binary := l.c.opts.MessageFormat == Binary; {
	case binary && block != nil:
		dst = wire.AppendBinaryBlock(dst, block, attr, uint32(b.uniq()), uint32(b.eventTime/1000), uint16(count), b.itemized)
	case block != nil:
		dst = wire.AppendTextBlock(dst, block, attr)
	case binary:
		dst = wire.AppendBinary(dst, body, attr, uint32(b.uniq()), uint32(b.eventTime/1000), uint16(count), compress, b.itemized)
	default:
		dst = wire.AppendText(dst, body, attr, compress)
	}
	b.framedBulk(len(dst) - start)
	return dst, due
}

// leave takes a batch off the lane's account.
func (l *lane) leave() {
	l.mu.Lock()
	l.outstanding--
	soon := l.soon
	l.soon = nil
	drained := l.outstanding == 0 && !l.usable
	room := l.usable && l.outstanding < parkedWindow
	l.mu.Unlock()
	for st := range soon {
		st.getOn()
	}
	if room {
		l.c.dispatcher.unpark()
	}
	if drained {
		l.conn.Fail(errDrained)
	}
}

// Answered is called by the connection for each answer, on the lane's goroutine.
func (l *lane) Answered(w transport.Written[*batch], a *wire.Answer) {
	l.leave()
	if a.Code == 0 {
		l.acked = true
		l.node.took(w.Size)
		if l.node.aside.Load() {
			l.c.nodes.resume(l.node)
		}
	}
	if w.Item == nil { // forgotten: its messages have their results
		return
	}
	l.countRetry(w.Item)
	if a.Code == 0 {
		l.node.batches.Add(1)
		trip := time.Since(w.At)
		l.lastTrip.Store(int64(trip))
		l.node.roundTrips.add(trip)
		l.c.hooks.answered(w.Item, AttemptEnd{Persisted: Acked})
		l.c.acked(w.Item)
		return
	}
	l.node.errors.Add(1)
	persisted := NotWritten
	if w.Guess {
		persisted = MaybeWritten
	}
	l.c.hooks.answered(w.Item, AttemptEnd{Persisted: persisted, ServerCode: a.Code, ServerMessage: answerText(a)})
	l.c.refused(w.Item, l, w.At, w.Guess, a)
}

// countRetry is for each attempt that has an outcome: one that was not begun, since its connection was gone, is none.
func (l *lane) countRetry(b *batch) {
	if b.attempts > 1 {
		l.c.metrics.retry(l.index)
		l.c.retries.Add(1)
	}
}

// Unmatched counts an answer that belongs to nothing in flight: it is not trusted to mean any batch.
func (l *lane) Unmatched(*wire.Answer) { l.c.metrics.failed(CodeNoMatchRequest) }

// replace lets another lane take this one's place. This one continues until that one is connected, unless its node owes it an answer
// so long that it may hang. It reports false when there is nothing to replace, or it is being done.
func (l *lane) replace() bool {
	l.mu.Lock()
	if !l.usable || l.replaced {
		l.mu.Unlock()
		return false
	}
	l.replaced = true
	l.c.lanesDone.Add(1) // under mu: the goroutine that serves this lane has not ended
	since := l.conn.Waits()
	l.mu.Unlock()
	go l.c.keepLane(l.index, l.c.nodes.reassign(l.node), l)
	if !since.IsZero() && time.Since(since) > headStart {
		l.retire()
	}
	return true
}

// retire drains the lane: what waits goes to other lanes, what is in flight still gets its answers, then the connection ends.
func (l *lane) retire() {
	l.mu.Lock()
	if !l.usable {
		l.mu.Unlock()
		return
	}
	l.usable = false
	queue, soon := l.takeQueue(), l.soon
	l.soon = nil
	idle := l.outstanding == 0
	l.mu.Unlock()
	if idle {
		l.conn.Fail(errDrained)
	}
	l.handBack(queue, soon)
}

// giveBack gives away what waits to be written.
func (l *lane) giveBack() {
	l.mu.Lock()
	queue, soon := l.takeQueue(), l.soon
	l.soon = nil
	l.mu.Unlock()
	l.handBack(queue, soon)
}

// takeLate is giveBack for a lane that is late, where another one has no more than least to do.
func (l *lane) takeLate(least int) (queue []*batch, soon map[*stream]struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.usable || l.queue.Len() < lateFrom || l.outstanding/2 <= least || !l.late() {
		return nil, nil
	}
	queue, soon = l.takeQueue(), l.soon
	l.soon = nil
	return queue, soon
}

// takeQueue empties the queue. The caller holds mu.
func (l *lane) takeQueue() []*batch {
	queue := l.queue.TakeAll()
	l.outstanding -= len(queue)
	return queue
}

// handBack gives away what the lane leaves behind.
func (l *lane) handBack(queue []*batch, soon map[*stream]struct{}) {
	for _, b := range queue {
		l.c.dispatcher.dispatch(b)
	}
	for st := range soon {
		st.getOn()
	}
}

// stats returns a snapshot.
func (l *lane) stats() LaneStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := LaneStats{Usable: l.usable, Queued: l.queue.Len()}
	if l.usable {
		s.Node, s.InFlight = l.node.addr, l.conn.InFlight()
	}
	return s
}
