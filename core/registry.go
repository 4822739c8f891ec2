package dataproxy

import (
	"container/list"
	"sync"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// registry holds every batch from its opening until its last receiver was called, in the order of opening. It is what Flush
// waits on and what Shutdown sweeps.
type registry struct {
	c    *client
	pool sync.Pool // of *batch

	mu          sync.Mutex
	first, last *batch
	count       int
	seq         uint64
	flushes     list.List // of flush, those that wait for the oldest batches first
}

type flush struct {
	upTo uint64 // batch.order
	done chan struct{}
}

// get opens a batch for st. The caller holds st.mu.
func (r *registry) get(st *stream) *batch { return r.add(st, nil) }

// part makes a batch that takes over messages of another one, in the same place. The caller holds the other one's mu, and gets the
// part with its mu held: it is listed, and must not be seen before it is whole.
func (r *registry) part(of *batch) *batch {
	b := r.add(of.st, of)
	b.opened, b.due = of.opened, of.due
	b.eventTime, b.timed, b.attributes = of.eventTime, of.timed, of.attributes
	b.attempts, b.paid, b.refusals = of.attempts, of.paid, of.refusals
	b.lost, b.node, b.avoid, b.failure = of.lost, of.node, append(b.avoid, of.avoid...), of.failure
	b.userCode, b.callers, b.beside = of.userCode, of.callers, of.beside
	return b
}

// add makes a batch and lists it: last, or behind the parts that another one has already.
func (r *registry) add(st *stream, of *batch) *batch {
	now := time.Now()
	due := now.Add(r.c.opts.SendTimeout)
	b, _ := r.pool.Get().(*batch)
	if b == nil {
		b = new(batch)
	}
	b.mu.Lock() // a caller that gave up may still look at the id of what b was before
	b.st, b.opened, b.due = st, now, due
	b.body = r.c.bodies.get()
	b.undelivered.Store(1)
	r.mu.Lock()
	r.seq++
	r.count++
	b.id = wire.BatchID{Client: r.c.connConfig.Client, Seq: r.seq}
	b.order, b.prev = r.seq, r.last
	if of != nil {
		b.order, b.prev = of.order, of
		if n := len(of.parts); n > 0 {
			b.prev = of.parts[n-1].b
		}
	}
	if b.prev != nil {
		b.next, b.prev.next = b.prev.next, b
	} else {
		r.first = b
	}
	if b.next != nil {
		b.next.prev = b
	} else {
		r.last = b
	}
	r.mu.Unlock()
	if b.timer == nil {
		b.timer = time.AfterFunc(time.Hour, func() { r.c.woken(b) })
		b.timer.Stop()
	}
	if of == nil { // a part wakes when it is whole
		b.timer.Reset(r.c.opts.SendTimeout)
		b.mu.Unlock()
	}
	return b
}

// remove takes out a batch whose last receiver was called, and re-uses it if nobody else can hold it any more.
func (r *registry) remove(b *batch, reuse bool) {
	r.c.budget.release(b.st, 0, b.charged) // before a flush returns, whose caller may look at Stats
	r.mu.Lock()
	if b.prev != nil {
		b.prev.next = b.next
	} else {
		r.first = b.next
	}
	if b.next != nil {
		b.next.prev = b.prev
	} else {
		r.last = b.prev
	}
	r.count--
	b.prev, b.next = nil, nil
	for e := r.flushes.Front(); e != nil; e = r.flushes.Front() {
		f := e.Value.(flush)
		if r.first != nil && r.first.order <= f.upTo {
			break
		}
		close(f.done)
		r.flushes.Remove(e)
	}
	r.mu.Unlock()
	r.recycle(b, reuse)
}

// recycle gives back b's memory. After a failure the payloads belong to whoever got them in a callback. A batch that is not used again
// may be kept for a while where it was on its way, or by a caller that gave up: without all that messages have brought.
func (r *registry) recycle(b *batch, reuse bool) {
	b.mu.Lock()
	body := b.body
	b.body, b.charged = buffer{}, 0
	if !reuse {
		b.ends, b.receivers, b.tags, b.failure = nil, nil, nil, attemptFailure{}
		for i := range b.details {
			b.details[i] = detail{settled: b.details[i].settled} // whereabouts looks at that
		}
		if len(b.parts) == 0 {
			b.details = nil
		}
	} else {
		clear(b.receivers)
		clear(b.details)
		b.ends, b.receivers, b.tags, b.details = b.ends[:0], b.receivers[:0], b.tags[:0], b.details[:0]
		b.soon, b.onItsWay, b.userCode, b.callers, b.beside, b.follower = false, false, false, false, 0, nil
		clear(b.avoid)
		b.attempts, b.paid, b.refusals = 0, 0, 0
		b.written, b.lost, b.avoid, b.node, b.retryAt = false, false, b.avoid[:0], "", time.Time{}
		b.failure = attemptFailure{}
	}
	b.mu.Unlock()
	if !reuse {
		r.c.bodies.forget(body)
		return
	}
	r.c.bodies.put(body)
	r.pool.Put(b)
}

// upToNow returns a channel that is closed when every batch opened so far is gone, and what forgets it before.
func (r *registry) upToNow() (done chan struct{}, forget func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	done = make(chan struct{})
	if r.first == nil {
		close(done)
		return done, func() {}
	}
	e := r.flushes.PushBack(flush{r.seq, done})
	return done, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.flushes.Remove(e) // nothing where it is out already
	}
}

// all returns the batches, oldest first.
func (r *registry) all() []*batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*batch, 0, r.count)
	for b := r.first; b != nil; b = b.next {
		list = append(list, b)
	}
	return list
}
