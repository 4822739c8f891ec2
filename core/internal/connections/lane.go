package connections

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/fifo"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// joinBytes is how many bytes of frames a lane puts into one write if it can. More would cost memory and gain nothing.
const joinBytes = 64 << 10

// YieldAfter is the number of items waiting to be written from which a sender lets other goroutines run first. A sender that keeps
// its processor fills memory faster than the lane, on the same processors, can empty it, and all of it goes through cold memory.
const YieldAfter = 16

// lateFrom is the number of items on a lane from which its answers are checked for being late.
const lateFrom = 4

var errDrained = errors.New("drained")

// Lane is one connection to a node and what is in flight on it. One goroutine reads from it (lane_run.go). Another one writes, and
// exists while there is something to write.
type Lane[T comparable] struct {
	Index  int
	Node   *Node     // nil, like conn, in the placeholder for a lane until the first connection
	Opened time.Time // when the node answered the first heartbeat

	s        *Set[T]
	conn     *transport.Conn[T]
	acked    bool         // something; only the lane's goroutine uses it
	lastTrip atomic.Int64 // ns that the last answer took

	mu          sync.Mutex
	usable      bool // takes items: it neither drains nor has ended
	replaced    bool // another lane takes its place
	queue       fifo.Mortal[T]
	writing     bool
	writer      func()                // write, kept here so that a start does not allocate
	outstanding int                   // items taken, and neither answered nor given back
	soon        map[*Home[T]]struct{} // the homes whose waiters want the lane to make progress
}

// scratch is what a writer needs beside its buffer.
type scratch[T any] struct {
	written []transport.Written[T]
	spare   []byte
}

// enqueue takes an item unless the lane is not usable, has limit items waiting, or its node is put aside and this is no scout.
// behind asks the sender to let other goroutines run.
func (l *Lane[T]) enqueue(item T, limit int, scout bool) (taken, behind bool) {
	l.mu.Lock()
	if !l.usable || l.queue.Len() >= limit || l.Node.aside.Load() && !scout || limit == spreadAfter && l.late() {
		l.mu.Unlock()
		return false, false
	}
	l.outstanding -= l.queue.Push(item, l.s.dead)
	behind = l.queue.Len() > YieldAfter
	l.outstanding++
	start := !l.writing
	l.writing = true
	l.mu.Unlock()
	if start {
		l.s.cfg.Writers.Add(1)
		go l.writer()
	}
	l.s.watch()
	return true, behind
}

// load returns how much the lane has to do.
func (l *Lane[T]) load() (outstanding int, usable bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outstanding, l.usable
}

// isBusy reports whether the lane has so much to do that parked items should wait for another one.
func (l *Lane[T]) isBusy() bool {
	outstanding, _ := l.load()
	return outstanding >= parkedWindow
}

// late reports whether the node's answers take so long that its streams should go elsewhere. The bound is lower if senders wait for
// them. The caller holds mu.
func (l *Lane[T]) late() bool {
	after := LateAfter
	if l.s.owner.Tight() {
		after = min(after, AnswersTake+2*l.Node.roundTrips.shortest())
	}
	if time.Duration(l.lastTrip.Load()) > after {
		return true
	}
	if l.outstanding < lateFrom {
		return false
	}
	since := l.conn.Waits()
	return !since.IsZero() && time.Since(since) > min(l.s.cfg.Transport.AckTimeout/4, after)
}

// idleOr reports whether the lane has nothing to do. Otherwise home's waiter is called when the next item leaves the lane, since it
// may never be idle with other streams on it.
func (l *Lane[T]) idleOr(home *Home[T]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.usable || l.outstanding == 0 {
		return true
	}
	if l.soon == nil {
		l.soon = make(map[*Home[T]]struct{})
	}
	l.soon[home] = struct{}{}
	return false
}

// write frames what is queued and sends it, many frames in one write, until the queue is empty.
func (l *Lane[T]) write() {
	s := l.s
	defer s.cfg.Writers.Done()
	defer s.cfg.Transport.Guard()
	buf, lent := s.owner.Lend()
	most := 0 // most bytes in buf, from which the pool learns how large its buffers have to be
	defer func() { s.owner.GiveBack(buf[:most], lent) }()
	scratch := s.scratches.Get().(*scratch[T])
	defer s.scratches.Put(scratch)
	limit := min(joinBytes, s.cfg.WriteBuffer)
	for {
		buf, scratch.written = buf[:0], scratch.written[:0]
		now := time.Now()
		for len(buf) < limit {
			item, ok := l.dequeue(len(scratch.written) == 0)
			if !ok {
				break
			}
			buf = l.frame(buf, scratch, item, now)
		}
		if len(scratch.written) == 0 { // the queue is empty; the next item starts another writer
			return
		}
		most = max(most, len(buf))
		if s.cfg.Forget {
			l.conn.Forget(s.dead)
		}
		s.owner.Writing(l, scratch.written)
		if left, err := l.conn.Write(buf, scratch.written); err != nil {
			l.mu.Lock()
			l.usable = false // before they are dispatched, so that they do not come back here
			l.mu.Unlock()
			for _, w := range left {
				l.leave()
				s.owner.Unwritten(w.Item, err)
			}
		}
		clear(scratch.written)
	}
}

// dequeue returns the next item. With last it ends the writer when there is none.
func (l *Lane[T]) dequeue(last bool) (item T, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if item, ok = l.queue.Pop(); !ok {
		l.writing = l.writing && !last
	}
	return item, ok
}

// frame appends the item's frame unless it is dead, or too long for the node. From here on it may have reached the node.
func (l *Lane[T]) frame(buf []byte, scratch *scratch[T], item T, now time.Time) []byte {
	start := len(buf)
	all, seq, other := l.s.owner.Frame(buf, &scratch.spare, item, l, now)
	switch size := len(all) - start; {
	case size == 0:
	case l.Node.closesOn(size, now):
		l.s.owner.TooLong(item, l, size)
	default:
		scratch.written = append(scratch.written, transport.Written[T]{Item: item, Seq: seq, Other: other, Start: start, Size: size})
		return all
	}
	l.leave()
	return buf
}

// leave ends the count of an item on this lane.
func (l *Lane[T]) leave() {
	l.mu.Lock()
	l.outstanding--
	soon := l.soon
	l.soon = nil
	drained := l.outstanding == 0 && !l.usable
	room := l.usable && l.outstanding < parkedWindow
	l.mu.Unlock()
	for home := range soon {
		home.Waiter.Progressed()
	}
	if room {
		l.s.unpark()
	}
	if drained {
		l.conn.Fail(errDrained)
	}
}

// Answered is called by the connection for each answer, on the lane's goroutine.
func (l *Lane[T]) Answered(w transport.Written[T], a *wire.Answer) {
	l.leave()
	if a.Code == 0 {
		l.acked = true
		l.Node.took(w.Size)
		if l.Node.aside.Load() {
			l.s.resume(l.Node)
		}
	}
	var forgotten T // its messages have their results
	if w.Item == forgotten {
		return
	}
	if a.Code != 0 {
		l.Node.errors.Add(1)
		l.s.owner.Refused(w, l, a)
		return
	}
	l.Node.batches.Add(1)
	trip := time.Since(w.At)
	l.lastTrip.Store(int64(trip))
	l.Node.roundTrips.add(trip)
	l.s.owner.Acked(w.Item, l)
}

// Unmatched is called by the connection for an answer that matches nothing in flight.
func (l *Lane[T]) Unmatched(*wire.Answer) { l.s.owner.Unmatched() }

// Replace starts another lane in this one's place. This one continues until that one is connected, unless its node owes it an
// answer and may hang. It returns false if there is nothing to replace, or a replacement is on its way.
func (l *Lane[T]) Replace() bool {
	l.mu.Lock()
	if !l.usable || l.replaced {
		l.mu.Unlock()
		return false
	}
	l.replaced = true
	l.s.cfg.Lasting.Add(1) // under mu, so the goroutine that serves this lane has not ended
	since := l.conn.Waits()
	l.mu.Unlock()
	go l.s.keepLane(l.Index, l.s.reassign(l.Node), l)
	if !since.IsZero() && time.Since(since) > HeadStart {
		l.retire()
	}
	return true
}

// retire drains the lane: what waits goes to other lanes, what is in flight still gets its answers, then the connection ends.
func (l *Lane[T]) retire() {
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

// giveBack gives what waits to be written to other lanes.
func (l *Lane[T]) giveBack() {
	l.mu.Lock()
	queue, soon := l.takeQueue(), l.soon
	l.soon = nil
	l.mu.Unlock()
	l.handBack(queue, soon)
}

// takeLate does the same for a lane that is late, if another one has no more than least to do.
func (l *Lane[T]) takeLate(least int) (queue []T, soon map[*Home[T]]struct{}) {
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
func (l *Lane[T]) takeQueue() []T {
	queue := l.queue.TakeAll()
	l.outstanding -= len(queue)
	return queue
}

// handBack gives what the lane leaves to other lanes.
func (l *Lane[T]) handBack(queue []T, soon map[*Home[T]]struct{}) {
	for _, item := range queue {
		l.s.Dispatch(item)
	}
	for home := range soon {
		home.Waiter.Progressed()
	}
}

// stats returns a snapshot.
func (l *Lane[T]) stats() LaneStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := LaneStats{Usable: l.usable, Queued: l.queue.Len()}
	if l.usable {
		s.Node, s.InFlight = l.Node.Addr, l.conn.InFlight()
	}
	return s
}
