package transport

import (
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Written is a frame that was handed to a connection and has no answer yet.
type Written[T any] struct {
	Item  T
	Seq   uint64 // wire.BatchID.Seq; its low 32 bits are a binary frame's uniq
	Start int    // where it begins in what is written at once
	At    time.Time
}

// inflight is the table of frames without an answer, in the order of writing. A real node answers in that order, so the
// match is nearly always the first entry; an answer out of order leaves a hole that goes when it becomes the first.
type inflight[T any] struct {
	entries []slot[T]
	head    int
	next    int // behind the last answered one: where the next answer's frame lies, also behind a hole
	live    int
}

type slot[T any] struct {
	Written[T]
	answered bool
}

func (t *inflight[T]) push(w Written[T]) {
	// Only when half of it is free: a table that is nearly full would move all its entries for each frame.
	if len(t.entries) == cap(t.entries) && t.head > len(t.entries)/2 {
		n := copy(t.entries, t.entries[t.head:])
		clear(t.entries[n:])
		t.entries, t.next, t.head = t.entries[:n], max(t.next-t.head, 0), 0
	}
	t.entries = append(t.entries, slot[T]{Written: w})
	t.live++
}

// oldest returns the first unanswered frame.
func (t *inflight[T]) oldest() (w Written[T], ok bool) {
	if t.live == 0 {
		return w, false
	}
	return t.entries[t.head].Written, true
}

// take removes and returns the frame that the answer belongs to. An error answer without anything of its request belongs to
// the oldest frame, since answers come in order; a success must name its frame. An answer to the other kind of frame belongs
// to none: a uniq could pass for a batch that it does not mean.
func (t *inflight[T]) take(a *wire.Answer, kind byte, client uint64) (w Written[T], ok bool) {
	var mask, seq uint64
	switch {
	case a.Type != kind:
		return w, false
	case kind == wire.TypeBinary:
		mask, seq = 0xffffffff, uint64(a.Uniq)
	case a.HasID && a.ID.Client == client:
		mask, seq = ^uint64(0), a.ID.Seq
	case !a.HasMID && a.Code != 0:
		return t.remove(t.head)
	default:
		return w, false
	}
	if t.is(t.next, seq, mask) {
		return t.remove(t.next)
	}
	for i := t.head; i < len(t.entries); i++ {
		if t.is(i, seq, mask) {
			return t.remove(i)
		}
	}
	return w, false
}

func (t *inflight[T]) is(i int, seq, mask uint64) bool {
	return i < len(t.entries) && !t.entries[i].answered && t.entries[i].Seq&mask == seq
}

func (t *inflight[T]) remove(i int) (w Written[T], ok bool) {
	if t.live == 0 {
		return w, false
	}
	w = t.entries[i].Written
	t.entries[i] = slot[T]{answered: true}
	t.next = i + 1
	t.live--
	for t.head < len(t.entries) && t.entries[t.head].answered {
		t.head++
	}
	if t.head == len(t.entries) {
		t.entries, t.head, t.next = t.entries[:0], 0, 0
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

// drain empties the table and returns what was in it, oldest first.
func (t *inflight[T]) drain() []Written[T] {
	var out []Written[T]
	for _, e := range t.entries[t.head:] {
		if !e.answered {
			out = append(out, e.Written)
		}
	}
	*t = inflight[T]{}
	return out
}
