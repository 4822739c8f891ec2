package dataproxy

import (
	"cmp"
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// registry holds every batch from its opening until its last receiver was called. Flush waits for its batches, and Shutdown sweeps
// it.
type registry struct {
	client      uint64        // wire.BatchID.Client of its batches
	sendTimeout time.Duration // of the messages in them
	bodies      buffers
	budget      *budget      // what a batch was charged goes back to it
	woken       func(*batch) // called when a batch's timer ends
	closing     *atomic.Bool // the client's
	pool        sync.Pool    // of *batch

	mu    sync.Mutex
	taken batchList // of messages that somebody waits for
	back  batchList // read back from a spool: nobody waits for them, and they may stay for ever
	count int
	seq   uint64
}

// batchList lists some batches of a registry in the order of opening. The registry's mu guards it.
type batchList struct {
	first, last *batch
	flushes     list.List // of flush; those that wait for the oldest batches come first
}

type flush struct {
	upTo uint64 // batch.order
	done chan struct{}
}

// get opens a batch for st. Its first message was taken `ago` before, or was read back. The caller holds st.mu, or replays.
func (r *registry) get(st *stream, ago time.Duration, replayed bool) *batch {
	now := time.Now().Add(-ago)
	due := now.Add(r.sendTimeout)
	var b *batch
	if !r.closing.Load() { // otherwise the sweep of the close may hold a batch that was put back
		b, _ = r.pool.Get().(*batch)
	}
	if b == nil {
		b = new(batch)
	}
	b.mu.Lock() // a caller that gave up may still read the id that b had before
	b.st, b.opened, b.due, b.replayed = st, now, due, replayed
	b.body = r.bodies.get()
	b.undelivered.Store(1)
	r.mu.Lock()
	r.seq++
	r.count++
	b.id = wire.BatchID{Client: r.client, Seq: r.seq}
	b.order = r.seq
	l := r.listOf(b)
	b.prev, l.last = l.last, b
	if b.prev != nil {
		b.prev.next = b
	} else {
		l.first = b
	}
	r.mu.Unlock()
	if b.timer == nil {
		b.timer = time.AfterFunc(time.Hour, func() { r.woken(b) })
		b.timer.Stop()
	}
	b.timer.Reset(r.sendTimeout - ago)
	b.mu.Unlock()
	return b
}

// nextID returns the id of one more frame.
func (r *registry) nextID() wire.BatchID {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	return wire.BatchID{Client: r.client, Seq: r.seq}
}

// remove removes a batch whose last receiver was called, and reuses it if nobody else can hold it.
func (r *registry) remove(b *batch, reuse bool) {
	r.budget.release(b.st, 0, b.charged) // before a flush returns: its caller may look at Stats
	r.mu.Lock()
	l := r.listOf(b)
	if b.prev != nil {
		b.prev.next = b.next
	} else {
		l.first = b.next
	}
	if b.next != nil {
		b.next.prev = b.prev
	} else {
		l.last = b.prev
	}
	r.count--
	b.prev, b.next = nil, nil
	for e := l.flushes.Front(); e != nil; e = l.flushes.Front() {
		f := e.Value.(flush)
		if l.first != nil && l.first.order <= f.upTo {
			break
		}
		close(f.done)
		l.flushes.Remove(e)
	}
	r.mu.Unlock()
	r.recycle(b, reuse)
}

// recycle releases b's memory. After a failure the payloads belong to the callback that received them. A batch that is not reused
// may be held for a while by a lane or by a caller that gave up, so it lets go of all that its messages brought.
func (r *registry) recycle(b *batch, reuse bool) {
	b.mu.Lock()
	body := b.body
	b.body, b.charged = buffer{}, 0
	if b.kept != nil && b.kept.block != nil {
		giveBlock(b.kept.block)
		b.kept.block = nil
	}
	if !reuse {
		b.ends, b.receivers, b.tags, b.details, b.ofItems, b.tokens, b.failure, b.frame = nil, nil, nil, nil, nil, nil, attemptFailure{}, frame{more: b.frame.more}
	} else {
		clear(b.receivers)
		clear(b.details)
		clear(b.ofItems)
		clear(b.tokens)
		b.ends, b.receivers, b.tags, b.tokens = b.ends[:0], b.receivers[:0], b.tags[:0], b.tokens[:0]
		b.details, b.ofItems = b.details[:0], b.ofItems[:0]
		b.unused, b.hooked = cmp.Or(b.hooked, b.unused), nil
		b.soon, b.userCode, b.callers, b.lost, b.beside = false, false, false, false, 0
		b.lostAt, b.room = time.Time{}, 0
		b.kept, b.ownTail, b.replayed, b.storing, b.place = nil, false, false, false, position{}
		b.startAnew()
	}
	b.mu.Unlock()
	if !reuse {
		r.bodies.forget(body)
		return
	}
	r.bodies.put(body)
	r.pool.Put(b)
}

func (r *registry) listOf(b *batch) *batchList {
	if b.replayed {
		return &r.back
	}
	return &r.taken
}

// upToNow returns a channel that is closed when all batches of l that are open now are gone, and a function that ends the wait
// before.
func (r *registry) upToNow(l *batchList) (done chan struct{}, forget func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	done = make(chan struct{})
	if l.first == nil {
		close(done)
		return done, func() {}
	}
	e := l.flushes.PushBack(flush{r.seq, done})
	return done, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		l.flushes.Remove(e) // no effect if it is out already
	}
}

// all returns the batches, oldest first, and those that were read back after the others.
func (r *registry) all() []*batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*batch, 0, r.count)
	for _, first := range []*batch{r.taken.first, r.back.first} {
		for b := first; b != nil; b = b.next {
			list = append(list, b)
		}
	}
	return list
}
