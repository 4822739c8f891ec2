package connections

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/fifo"
)

// spreadAfter is the number of items waiting to be written from which a lane counts as too slow. Its streams move to the lane with
// the least to do then.
const spreadAfter = 64

// parkedWindow is how much a lane may have to do while it takes parked items. Otherwise the first lane after an outage would get
// all of them, and the others, a moment later, none.
const parkedWindow = 64

// dispatcher chooses the lane of each item, and keeps the items for which no lane is usable. Lanes take from these when they have
// room; fresh items queue after them.
type dispatcher[T comparable] struct {
	owner Owner[T]
	dead  func(T) bool
	lanes []atomic.Pointer[Lane[T]] // one for each place; never nil

	mu      sync.Mutex
	next    int // where the search for a lane starts, so that streams spread from the beginning
	parked  fifo.Mortal[T]
	waiting atomic.Bool // parked is not empty; set under mu, read without it

	pace pace
}

// Dispatch gives an item to a lane. It never blocks: without a usable lane the item waits until there is one, or until it dies.
// behind asks the sender to let other goroutines run.
func (d *dispatcher[T]) Dispatch(item T) (behind bool) {
	home := d.owner.Home(item) // read before enqueue: afterwards a lane may have finished the item
	fresh := len(d.owner.Failed(item)) == 0
	if l := home.lane.Load(); l != nil && fresh && !d.waiting.Load() { // a lane keeps its streams while it is fast enough
		if taken, behind := l.enqueue(item, spreadAfter, false); taken {
			return behind
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if fresh && d.parked.Len() > 0 {
		d.park(item)
		d.fill()
		return false
	}
	l, behind := d.place(item)
	if l != nil && fresh {
		home.lane.Store(l)
	}
	return behind
}

// place gives an item to the lane with the least to do, which it returns, or parks the item. The caller holds mu.
func (d *dispatcher[T]) place(item T) (l *Lane[T], behind bool) {
	avoid := d.owner.Failed(item) // not to be read after enqueue
	for {
		l := d.choose(avoid)
		if l == nil {
			d.park(item) // until a lane is usable
			d.fill()     // a lane that became usable after the search saw nothing parked
			return nil, false
		}
		if taken, behind := l.enqueue(item, math.MaxInt, false); taken {
			return l, behind
		}
	}
}

func (d *dispatcher[T]) park(item T) {
	d.parked.Push(item, d.dead)
	d.waiting.Store(true)
}

// Died is called when an item, which may be parked, has died: if nothing moves, items for which nobody waits must not be held.
func (d *dispatcher[T]) Died() {
	if !d.waiting.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parked.Died(d.dead)
	d.waiting.Store(d.parked.Len() > 0)
}

// TakeParked takes all items that wait for a lane.
func (d *dispatcher[T]) TakeParked() []T {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting.Store(false)
	return d.parked.TakeAll()
}

// unpark gives lanes the items that waited for one. A new lane is usable before the call, and an item is parked before lanes are
// searched once more, so one of the two finds the other.
func (d *dispatcher[T]) unpark() {
	if !d.waiting.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fill()
}

// fill gives parked items to the lanes that have the least to do, while they have room. Each lane that has got some calls it again
// when it has room again. So while items are parked, no usable lane is without work. The caller holds mu.
func (d *dispatcher[T]) fill() {
	for {
		l := d.roomy()
		if l == nil {
			break
		}
		item, ok := d.parked.Pop()
		for ok && d.dead(item) {
			item, ok = d.parked.Pop()
		}
		if !ok {
			break
		}
		avoid := d.owner.Failed(item)
		if other := d.choose(avoid); other != nil && len(avoid) > 0 {
			l = other
		}
		if taken, _ := l.enqueue(item, math.MaxInt, false); !taken {
			d.parked.Push(item, d.dead) // the lane has just ended, or was put aside: choose again
		}
	}
	d.waiting.Store(d.parked.Len() > 0)
}

// roomy returns a lane with room for parked items, or nil if there is none. The caller holds mu.
func (d *dispatcher[T]) roomy() *Lane[T] {
	for range len(d.lanes)/enoughLanes + 1 {
		l := d.choose(nil)
		if l == nil || !l.isBusy() {
			return l
		}
		d.next += enoughLanes
	}
	return nil
}

// enoughLanes is how many lanes are compared in a choice. With very many lanes, each choice would otherwise take the locks of all.
const enoughLanes = 64

// choose returns the usable lane with the least to do. It prefers one on a node that is not to be avoided, then one on the node
// whose failure is the longest ago. The caller holds mu.
func (d *dispatcher[T]) choose(avoid []*Node) *Lane[T] {
	var best *Lane[T]
	const avoided = int64(1) << 32
	bestLoad, good := int64(math.MaxInt64), 0
	for i := range d.lanes {
		l := d.lanes[(d.next+i)%len(d.lanes)].Load()
		outstanding, usable := l.load()
		if !usable || l.Node.aside.Load() {
			continue
		}
		load := int64(1+slices.Index(avoid, l.Node))*avoided + int64(outstanding)
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

// Untried reports whether another node than n and those of avoid would take an item now.
func (d *dispatcher[T]) Untried(avoid []*Node, n *Node) bool {
	return slices.ContainsFunc(d.usable(), func(l *Lane[T]) bool {
		return l.Node != n && !l.Node.aside.Load() && !slices.Contains(avoid, l.Node)
	})
}

// usable returns the lanes that take items, including those of nodes that are put aside.
func (d *dispatcher[T]) usable() (lanes []*Lane[T]) {
	for i := range d.lanes {
		l := d.lanes[i].Load()
		if _, usable := l.load(); usable {
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// scout gives a parked item to a node that is put aside, to find out whether it takes one. If there is no item, or no lane for it,
// the node is no longer aside, and the next item finds out.
func (d *dispatcher[T]) scout(n *Node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for l := d.laneOn(n); l != nil; l = d.laneOn(n) { // another one if it has just ended
		item, ok := d.parked.Pop()
		for ok && d.dead(item) {
			item, ok = d.parked.Pop()
		}
		if !ok {
			break
		}
		if taken, _ := l.enqueue(item, math.MaxInt, true); taken {
			return
		}
		d.parked.Push(item, d.dead)
	}
	d.waiting.Store(d.parked.Len() > 0)
	n.aside.Store(false) // under mu: what is parked was parked before, or finds the node usable
}

// laneOn returns a usable lane of n, or nil.
func (d *dispatcher[T]) laneOn(n *Node) *Lane[T] {
	for _, l := range d.usable() {
		if l.Node == n {
			return l
		}
	}
	return nil
}

// IdleFor reports whether the lane of that home has nothing to do. Otherwise the lane calls its waiter when it makes progress.
func (d *dispatcher[T]) IdleFor(home *Home[T]) bool {
	l := home.lane.Load()
	return l == nil || l.idleOr(home)
}
