package connections

import (
	"slices"
	"time"
)

// This file is for the tests of a client, which look at its connections from outside this package.

// Held counts what is held: items that are parked, dead or alive, that are queued, and that lanes have taken and still have;
// writers; and those who wait for the progress of a lane.
type Held struct{ Parked, Queued, Outstanding, Writing, Waiters int }

// Held counts what is held now.
func (d *dispatcher[T]) Held() (h Held) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h.Parked = d.parked.Len()
	for i := range d.lanes {
		l := d.lanes[i].Load()
		l.mu.Lock()
		h.Queued, h.Outstanding, h.Waiters = h.Queued+l.queue.Len(), h.Outstanding+l.outstanding, h.Waiters+len(l.soon)
		if l.writing {
			h.Writing++
		}
		l.mu.Unlock()
	}
	return h
}

// Fail ends all connections.
func (d *dispatcher[T]) Fail(reason error) {
	for _, l := range d.usable() {
		l.conn.Fail(reason)
	}
}

// All returns the nodes of these addresses, without any all nodes.
func (s *nodes) All(addrs ...string) []*Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.list), func(n *Node) bool { return len(addrs) > 0 && !slices.Contains(addrs, n.Addr) })
}

// EndSuspicion ends the time of all suspects, as if Suspicion had passed.
func (s *nodes) EndSuspicion() {
	s.mu.Lock()
	for _, n := range s.list {
		n.suspect = time.Time{}
	}
	s.mu.Unlock()
	s.wake()
}

// Probe tries all nodes as if they were suspects whose time is over.
func (s *Set[T]) Probe() {
	for _, n := range s.All() {
		s.probes <- struct{}{}
		s.cfg.Lasting.Add(1)
		s.probe(n)
	}
}
