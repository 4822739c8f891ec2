package transport

import (
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Written is a frame that was passed to a connection and has no answer yet.
type Written[T any] struct {
	Item  T
	Seq   uint64 // wire.BatchID.Seq; its low 32 bits are a binary frame's uniq
	Other uint64 // wire.BatchID.Client of a text frame that has another one than the connection's; else 0
	Start int    // where it begins in the bytes of one write
	Size  int    // of the frame
	At    time.Time
	// Guess is set if the answer names no frame and there were others that it could mean.
	Guess bool
}

// inflight is the table of frames without an answer, in the order of writing. A real node answers in that order, so the match is
// nearly always the first entry. An answer out of order leaves a hole, which is removed when it becomes the first entry.
type inflight[T any] struct {
	entries []slot[T]
	head    int
	next    int // index after the last answered frame, where the next answer's frame is, even after a hole
	live    int

	forgotten int // number of the forgotten ones among them
	fresh     int // frames added since forget last checked all
}

// slot is a frame, or a run of frames whose items were forgotten.
type slot[T any] struct {
	Written[T]
	answered  bool
	forgotten int    // frames of the run that have no answer
	last      uint64 // Seq of the run's last one
}

const (
	keptSlots = 1024 // the most that an empty table keeps
	// mostDead is how many frames must come before the search for dead items is worth it. Each of them holds a KiB.
	mostDead = 256
)

func (t *inflight[T]) push(w Written[T]) {
	// Only if half of it is free: a table that is nearly full would move all its entries for each frame.
	if len(t.entries) == cap(t.entries) && t.head > len(t.entries)/2 {
		n := copy(t.entries, t.entries[t.head:])
		clear(t.entries[n:])
		t.entries, t.next, t.head = t.entries[:n], max(t.next-t.head, 0), 0
	}
	t.entries = append(t.entries, slot[T]{Written: w})
	t.live++
	t.fresh++
}

// forget drops the items that are dead, each time that as many frames as are alive, and a few more, have come since the last time.
// So a silent node does not hold items for which nobody waits. Their frames stay, since answers come in order; a run of them shares
// one slot.
func (t *inflight[T]) forget(dead func(T) bool) {
	if t.fresh < max(mostDead, t.live-t.forgotten-t.fresh) {
		return
	}
	kept := t.entries[:0]
	for _, e := range t.entries[t.head:] {
		if e.answered {
			continue
		}
		if e.forgotten == 0 && dead(e.Item) {
			e = slot[T]{Written: Written[T]{Seq: e.Seq, At: e.At}, forgotten: 1, last: e.Seq}
			t.forgotten++
		}
		if n := len(kept); e.forgotten > 0 && n > 0 && kept[n-1].forgotten > 0 && kept[n-1].last < e.Seq {
			kept[n-1].forgotten += e.forgotten
			kept[n-1].last = e.last
			continue
		}
		kept = append(kept, e)
	}
	clear(t.entries[len(kept):])
	if t.entries = kept; cap(kept) > keptSlots && cap(kept) > 4*len(kept) {
		t.entries = append(make([]slot[T], 0, 2*len(kept)), kept...)
	}
	t.head, t.next, t.fresh = 0, 0, 0
}

// oldest returns the first unanswered frame.
func (t *inflight[T]) oldest() (w Written[T], ok bool) {
	if t.live == 0 {
		return w, false
	}
	return t.entries[t.head].Written, true
}

// take removes and returns the frame that the answer belongs to. An error answer that names nothing belongs to the oldest frame,
// since answers come in order, but one of them may be lost. A success must name its frame. An answer to the other kind of frame
// belongs to none, because its uniq could stand for a batch that it does not mean.
func (t *inflight[T]) take(a *wire.Answer, kind byte, client uint64) (w Written[T], ok bool) {
	var mask, seq, other uint64
	switch {
	case a.Type != kind:
		return w, false
	case kind == wire.TypeBinary:
		mask, seq = 0xffffffff, uint64(a.Uniq)
	case a.HasID:
		if mask, seq = ^uint64(0), a.ID.Seq; a.ID.Client != client {
			other = a.ID.Client
		}
	case !a.HasMID && a.Code != 0:
		guess := t.live > 1
		w, ok = t.remove(t.head)
		w.Guess = guess
		return w, ok
	default:
		return w, false
	}
	if t.is(t.next, seq, mask, other) {
		return t.remove(t.next)
	}
	for i := t.head; i < len(t.entries); i++ {
		if t.is(i, seq, mask, other) {
			return t.remove(i)
		}
	}
	for i := t.head; i < len(t.entries); i++ { // runs come after all others, since a run may span the number of a frame that was written later
		if e := &t.entries[i]; e.forgotten > 0 && other == 0 && (seq-e.Seq)&mask <= (e.last-e.Seq)&mask {
			return t.remove(i)
		}
	}
	return w, false
}

func (t *inflight[T]) is(i int, seq, mask, other uint64) bool {
	if i >= len(t.entries) {
		return false
	}
	e := &t.entries[i]
	return !e.answered && e.forgotten == 0 && e.Seq&mask == seq && e.Other == other
}

func (t *inflight[T]) remove(i int) (w Written[T], ok bool) {
	if t.live == 0 {
		return w, false
	}
	w = t.entries[i].Written
	t.live--
	if e := &t.entries[i]; e.forgotten > 0 {
		t.forgotten--
		if e.forgotten--; e.forgotten > 0 {
			t.next = i
			return w, true
		}
	}
	t.entries[i] = slot[T]{answered: true}
	t.next = i + 1
	for t.head < len(t.entries) && t.entries[t.head].answered {
		t.head++
	}
	if t.head == len(t.entries) {
		t.entries, t.head, t.next = t.entries[:0], 0, 0
		if cap(t.entries) > keptSlots { // memory that a jam needed is not kept
			t.entries = nil
		}
	}
	return w, true
}

// takeBack removes the last n frames and returns those of them that have no answer.
func (t *inflight[T]) takeBack(n int) (left []Written[T]) {
	for i := max(t.head, len(t.entries)-n); i < len(t.entries); i++ {
		if w := t.entries[i]; !w.answered {
			t.remove(i)
			left = append(left, w.Written)
		}
	}
	return left
}

// drain empties the table and returns its frames, oldest first. The forgotten ones are not returned, but stay counted.
func (t *inflight[T]) drain() []Written[T] {
	var out []Written[T]
	for _, e := range t.entries[t.head:] {
		if !e.answered && e.forgotten == 0 {
			out = append(out, e.Written)
		}
	}
	*t = inflight[T]{forgotten: t.forgotten}
	return out
}
