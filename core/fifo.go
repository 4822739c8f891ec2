package dataproxy

// fifo is a queue in a ring that doubles when it is full, so that one that is never empty does not grow for ever. A long ring goes
// when it is empty: what a jam needed is not kept.
type fifo[T any] struct {
	ring []T // its length is a power of two, or zero
	head int
	n    int
}

// keptRing is how long a ring may be that an empty queue keeps.
const keptRing = 1024

func (q *fifo[T]) len() int { return q.n }

func (q *fifo[T]) push(item T) {
	if q.n == len(q.ring) {
		grown := make([]T, max(8, 2*len(q.ring)))
		n := copy(grown, q.ring[q.head:])
		copy(grown[n:], q.ring[:q.head])
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = item
	q.n++
}

// peek returns the oldest item and leaves it; ok is false when there is none.
func (q *fifo[T]) peek() (item T, ok bool) {
	if q.n > 0 {
		item = q.ring[q.head]
	}
	return item, q.n > 0
}

// pop returns the oldest item; ok is false when there is none.
func (q *fifo[T]) pop() (item T, ok bool) {
	if q.n == 0 {
		return item, false
	}
	var zero T
	item, q.ring[q.head] = q.ring[q.head], zero
	q.head = (q.head + 1) & (len(q.ring) - 1)
	if q.n--; q.n == 0 && len(q.ring) > keptRing {
		*q = fifo[T]{}
	}
	return item, true
}

// takeAll empties the queue and returns what was in it, oldest first.
func (q *fifo[T]) takeAll() []T {
	all := make([]T, 0, q.n)
	for item, ok := q.pop(); ok; item, ok = q.pop() {
		all = append(all, item)
	}
	*q = fifo[T]{}
	return all
}

// batchQueue is a fifo of batches. Those that die in it are swept out as it grows, or as they are many: a lane that is stuck must not
// hold what nobody waits for.
type batchQueue struct {
	fifo[*batch]
	limit int // of its length, before the next sweep
	gone  int // batches that are known to have died in it since the last one
}

// push returns how many dead ones it has swept out.
func (q *batchQueue) push(b *batch) (swept int) {
	if q.n >= max(q.limit, 64) {
		swept = q.sweep()
		q.limit = 2 * q.n
	}
	q.fifo.push(b)
	return swept
}

// died is told of a batch that may be in q.
func (q *batchQueue) died() {
	if q.gone++; q.gone >= max(8, q.n/2) {
		q.sweep()
	}
}

// sweep takes the dead out and returns their number.
func (q *batchQueue) sweep() (swept int) {
	q.gone = 0
	for range q.n {
		if old, _ := q.pop(); old.dead() {
			swept++
		} else {
			q.fifo.push(old)
		}
	}
	return swept
}
