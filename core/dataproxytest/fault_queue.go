package dataproxytest

import (
	"sync"
	"sync/atomic"
)

// faultQueue holds the faults of one node or of the Manager: a one-shot queue and one standing fault for each trigger.
type faultQueue struct {
	armed atomic.Bool // false: nothing is queued or standing, so that the hot path takes no lock

	mu       sync.Mutex
	oneShot  [triggers][]Fault
	standing [triggers]Fault
}

func (q *faultQueue) push(faults ...Fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range faults {
		q.oneShot[f.trigger()] = append(q.oneShot[f.trigger()], f)
	}
	q.rearm()
}

func (q *faultQueue) stand(f Fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.standing[f.trigger()] = f
	q.rearm()
}

func (q *faultQueue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.oneShot, q.standing = [triggers][]Fault{}, [triggers]Fault{}
	q.rearm()
}

func (q *faultQueue) clearStanding() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.standing = [triggers]Fault{}
	q.rearm()
}

// take consumes the next one-shot fault of that trigger, or returns the standing one.
func (q *faultQueue) take(t trigger) Fault {
	if !q.armed.Load() {
		return Fault{}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if queue := q.oneShot[t]; len(queue) > 0 {
		q.oneShot[t] = queue[1:]
		q.rearm()
		return queue[0]
	}
	return q.standing[t]
}

// peek gives what take would, and leaves it there.
func (q *faultQueue) peek(t trigger) Fault {
	if !q.armed.Load() {
		return Fault{}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if queue := q.oneShot[t]; len(queue) > 0 {
		return queue[0]
	}
	return q.standing[t]
}

func (q *faultQueue) stands(kind Kind) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range q.standing {
		if f.Kind == kind {
			return true
		}
	}
	return false
}

func (q *faultQueue) pending() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, queue := range q.oneShot {
		n += len(queue)
	}
	return n
}

func (q *faultQueue) rearm() {
	armed := false
	for t := range triggers {
		armed = armed || len(q.oneShot[t]) > 0 || q.standing[t].Kind != ""
	}
	q.armed.Store(armed)
}
