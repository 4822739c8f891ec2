// Package fifo has the client's queues.
package fifo

// Queue is a queue in a ring that doubles when it is full. A queue that is never empty does not grow for ever. A long ring is
// released when it is empty, so that the memory a jam needed is not kept.
type Queue[T any] struct {
	ring []T // its length is a power of two, or zero
	head int
	n    int
}

// keptRing is the longest ring that an empty queue keeps.
const keptRing = 1024

func (q *Queue[T]) Len() int { return q.n }

func (q *Queue[T]) Push(item T) {
	if q.n == len(q.ring) {
		grown := make([]T, max(8, 2*len(q.ring)))
		n := copy(grown, q.ring[q.head:])
		copy(grown[n:], q.ring[:q.head])
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = item
	q.n++
}

// Peek returns the oldest item and leaves it; ok is false when there is none.
func (q *Queue[T]) Peek() (item T, ok bool) {
	if q.n > 0 {
		item = q.ring[q.head]
	}
	return item, q.n > 0
}

// Pop returns the oldest item; ok is false when there is none.
func (q *Queue[T]) Pop() (item T, ok bool) {
	if q.n == 0 {
		return item, false
	}
	var zero T
	item, q.ring[q.head] = q.ring[q.head], zero
	q.head = (q.head + 1) & (len(q.ring) - 1)
	if q.n--; q.n == 0 && len(q.ring) > keptRing {
		*q = Queue[T]{}
	}
	return item, true
}

// TakeAll empties the queue and returns what was in it, oldest first.
func (q *Queue[T]) TakeAll() []T {
	all := make([]T, 0, q.n)
	for item, ok := q.Pop(); ok; item, ok = q.Pop() {
		all = append(all, item)
	}
	*q = Queue[T]{}
	return all
}

// Mortal is a queue of items that may die in it; dead reports whether one has. The dead are swept out as the queue grows, or when
// there are many: if nothing moves, it must not hold items for which nobody waits.
type Mortal[T any] struct {
	Queue[T]
	Least int // Push does not sweep shorter queues; at least 64
	limit int // length at which the next sweep happens
	gone  int // items that are known to have died in it since the last sweep
}

// Push adds an item, and returns how many dead ones it has swept out.
func (q *Mortal[T]) Push(item T, dead func(T) bool) (swept int) {
	if q.n >= max(q.limit, q.Least, 64) {
		swept = q.sweep(dead)
		q.limit = 2 * q.n
	}
	q.Queue.Push(item)
	return swept
}

// Died is called when an item that may be in q has died.
func (q *Mortal[T]) Died(dead func(T) bool) {
	if q.gone++; q.gone >= max(8, q.n/2) {
		q.sweep(dead)
	}
}

// sweep removes the dead and returns their number.
func (q *Mortal[T]) sweep(dead func(T) bool) (swept int) {
	q.gone = 0
	for range q.n {
		if old, _ := q.Pop(); dead(old) {
			swept++
		} else {
			q.Queue.Push(old)
		}
	}
	return swept
}
