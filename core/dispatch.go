package dataproxy

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/fifo"
)

// spreadAfter is the number of batches waiting to be written from which a lane no longer keeps up: its streams then move to
// the lane with the least to do.
const spreadAfter = 64

// parkedWindow is how much a lane may have to do that takes parked batches. The first lane behind an outage would be given all of
// them, and the others, a moment later, none.
const parkedWindow = 64

// dispatcher chooses the lane of each sealed batch, and keeps the batches for which no lane is usable. What it keeps is taken by the
// lanes as they have room; fresh batches stay behind it.
type dispatcher struct {
	lanes []atomic.Pointer[lane] // one a place; never nil

	mu      sync.Mutex
	next    int // where the search for a lane starts, so that streams spread from the beginning
	parked  fifo.Mortal[*batch]
	waiting atomic.Bool // parked is not empty; set under mu, readable without

	pace pace
}

// dispatch gives b to a lane. It never blocks: without a usable lane b waits until one comes or its deadline ends it. behind
// asks the sender to let others run.
func (d *dispatcher) dispatch(b *batch) (behind bool) {
	st, avoid := b.st, b.avoid // a lane that took b may be done with it before enqueue returns
	fresh := len(avoid) == 0
	if l := st.lane.Load(); l != nil && fresh && !d.waiting.Load() { // it keeps its streams while it keeps up
		if taken, behind := l.enqueue(b, spreadAfter, false); taken {
			return behind
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if fresh && d.parked.Len() > 0 {
		d.park(b)
		d.fill()
		return false
	}
	l, behind := d.place(b)
	if l != nil && fresh {
		st.lane.Store(l)
	}
	return behind
}

// place gives b to the lane with the least to do, and returns it, or parks b. The caller holds mu.
func (d *dispatcher) place(b *batch) (l *lane, behind bool) {
	avoid := b.avoid // not to be looked at behind enqueue
	for {
		l := d.choose(avoid)
		if l == nil {
			d.park(b) // until a lane is usable
			return nil, false
		}
		if taken, behind := l.enqueue(b, math.MaxInt, false); taken {
			return l, behind
		}
	}
}

func (d *dispatcher) park(b *batch) {
	d.parked.Push(b, (*batch).dead)
	d.waiting.Store(true)
}

// takeParked takes all batches that wait for a lane.
func (d *dispatcher) takeParked() []*batch {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting.Store(false)
	return d.parked.TakeAll()
}

// unpark gives lanes what waited for one. A new lane is usable before the call, so that a batch is either parked before it and found
// here, or sees the lane.
func (d *dispatcher) unpark() {
	if !d.waiting.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fill()
}

// fill gives parked batches to the lanes that have the least to do, as far as they have room. Each lane that has some comes back here
// when it has room again; so where batches are parked, no usable lane is without work. The caller holds mu.
func (d *dispatcher) fill() {
	for {
		l := d.roomy()
		if l == nil {
			break
		}
		b, ok := d.parked.Pop()
		for ok && b.dead() {
			b, ok = d.parked.Pop()
		}
		if !ok {
			break
		}
		if other := d.choose(b.avoid); other != nil && len(b.avoid) > 0 {
			l = other
		}
		if taken, _ := l.enqueue(b, math.MaxInt, false); !taken {
			d.parked.Push(b, (*batch).dead) // the lane has just ended, or was put aside: choose looks again
		}
	}
	d.waiting.Store(d.parked.Len() > 0)
}

// roomy returns a lane with room for parked batches, or nil where there is none. The caller holds mu.
func (d *dispatcher) roomy() *lane {
	for range len(d.lanes)/enoughLanes + 1 {
		l := d.choose(nil)
		if l == nil || !l.isBusy() {
			return l
		}
		d.next += enoughLanes
	}
	return nil
}

// enoughLanes is among how many one is chosen: among all of very many, each choice would take the locks of all.
const enoughLanes = 64

// choose returns the usable lane with the least to do: on a node that is not to be avoided if there is one, else on the one
// whose failure is the longest ago. The caller holds mu.
func (d *dispatcher) choose(avoid []*node) *lane {
	var best *lane
	const avoided = int64(1) << 32
	bestLoad, good := int64(math.MaxInt64), 0
	for i := range d.lanes {
		l := d.lanes[(d.next+i)%len(d.lanes)].Load()
		outstanding, usable := l.load()
		if !usable || l.node.aside.Load() {
			continue
		}
		load := int64(1+slices.Index(avoid, l.node))*avoided + int64(outstanding)
		if load < bestLoad {
			best, bestLoad = l, load
		}
		if load < avoided {
			good++
		}
		if bestLoad == 0 || good == enoughLanes {
			break
		}
	}
	d.next++
	return best
}

// untried reports whether another node than n and those of avoid would take a batch now.
func (d *dispatcher) untried(avoid []*node, n *node) bool {
	return slices.ContainsFunc(d.usable(), func(l *lane) bool {
		return l.node != n && !l.node.aside.Load() && !slices.Contains(avoid, l.node)
	})
}

// usable returns the lanes that take batches, also those of nodes that are put aside.
func (d *dispatcher) usable() (lanes []*lane) {
	for i := range d.lanes {
		l := d.lanes[i].Load()
		if _, usable := l.load(); usable {
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// scout gives a parked batch to a node that is put aside, to see whether it takes one. It reports false when there is none, or no
// lane for it: the node is not aside any more then, and the next batch is the one that tries.
func (d *dispatcher) scout(n *node) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.laneOn(n); l != nil {
		for b, ok := d.parked.Pop(); ok; b, ok = d.parked.Pop() {
			if b.dead() {
				continue
			}
			if taken, _ := l.enqueue(b, math.MaxInt, true); taken {
				return true
			}
			d.parked.Push(b, (*batch).dead)
			break
		}
	}
	d.waiting.Store(d.parked.Len() > 0)
	n.aside.Store(false) // under mu: what is parked was parked before, or finds the node
	return false
}

// laneOn returns a usable lane of n, or nil.
func (d *dispatcher) laneOn(n *node) *lane {
	for _, l := range d.usable() {
		if l.node == n {
			return l
		}
	}
	return nil
}

// idleFor reports whether the stream's lane has nothing to do; otherwise the lane will seal the stream's batch when it makes progress.
func (d *dispatcher) idleFor(st *stream) bool {
	l := st.lane.Load()
	return l == nil || l.idleOr(st)
}
