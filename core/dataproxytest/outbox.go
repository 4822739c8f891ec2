package dataproxytest

import (
	"sync"
	"time"
)

// holdLimit bounds how long a reorder_answers fault waits for its full number.
const holdLimit = 100 * time.Millisecond

// parcel is a run of answers that leaves in one write.
type parcel struct {
	due     time.Time // zero: at once
	answers []byte
	acks    []*Record
}

// outbox sends a connection's answers in order. While none is late the caller writes them. A late one starts a goroutine, and later
// ones queue for it.
type outbox struct {
	conn *conn

	mu      sync.Mutex
	queue   []parcel
	working bool
	done    chan struct{} // closed when the goroutine ends
	holding int           // answers that a reorder still waits for
	held    []parcel
}

// send writes answers, or queues a copy of them after what is late. Only the connection's goroutine calls it.
func (b *outbox) send(answers []byte, acks []*Record) bool {
	b.mu.Lock()
	if b.working {
		b.queue = append(b.queue, copyParcel(answers, acks))
		b.mu.Unlock()
		return true
	}
	b.mu.Unlock()
	return b.conn.write(answers, acks)
}

// sendLater queues answers that are due after d.
func (b *outbox) sendLater(d time.Duration, answers []byte, acks []*Record) {
	p := copyParcel(answers, acks)
	p.due = time.Now().Add(d)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.push(p)
}

// push queues and makes sure that somebody works. The caller holds mu.
func (b *outbox) push(parcels ...parcel) {
	b.queue = append(b.queue, parcels...)
	if !b.working && len(b.queue) > 0 {
		b.working = true
		b.done = make(chan struct{})
		go b.work(b.done)
	}
}

func (b *outbox) work(done chan struct{}) {
	defer close(done)
	for {
		b.mu.Lock()
		if len(b.queue) == 0 {
			b.working = false
			b.mu.Unlock()
			return
		}
		p := b.queue[0]
		b.queue = b.queue[1:]
		b.mu.Unlock()
		if !b.sleep(time.Until(p.due)) || !b.conn.write(p.answers, p.acks) {
			b.conn.reset()
			b.drop()
		}
	}
}

func (b *outbox) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-b.conn.gone:
		return false
	}
}

func (b *outbox) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = nil
}

// hold starts to collect the next n answers.
func (b *outbox) hold(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holding += n
	if len(b.held) == 0 {
		// The timer may fire after the answers left: it then finds nothing held.
		time.AfterFunc(holdLimit, b.release)
	}
}

// take keeps an answer back if a reorder collects, and lets all go when it has its number.
func (b *outbox) take(answer []byte, acks []*Record) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holding == 0 {
		return false
	}
	b.held = append(b.held, copyParcel(answer, acks))
	if b.holding--; b.holding == 0 {
		b.releaseLocked()
	}
	return true
}

func (b *outbox) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.releaseLocked()
}

func (b *outbox) releaseLocked() {
	var all parcel
	for i := len(b.held) - 1; i >= 0; i-- {
		all.answers = append(all.answers, b.held[i].answers...)
		all.acks = append(all.acks, b.held[i].acks...)
	}
	b.held, b.holding = nil, 0
	if len(all.answers) > 0 {
		b.push(all)
	}
}

// wait returns when everything late was sent or dropped.
func (b *outbox) wait() {
	b.release()
	b.mu.Lock()
	done := b.done
	b.mu.Unlock()
	if done != nil {
		<-done
	}
}

func copyParcel(answers []byte, acks []*Record) parcel {
	return parcel{answers: append([]byte(nil), answers...), acks: append([]*Record(nil), acks...)}
}
