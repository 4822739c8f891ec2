package connections

import (
	"fmt"
	"slices"
	"time"

	"go.uber.org/multierr"
)

// MostCauses is how many nodes are named in an error that says why none can be used.
const MostCauses = 8

// Outage returns why the nodes cannot be used; nil if one of them has not failed.
func (s *nodes) Outage() error {
	if !s.AllFailed() {
		return nil
	}
	return multierr.Combine(s.Causes()...)
}

// Causes lists why nodes failed, or why none is known, for the errors of a start and of messages without any.
func (s *nodes) Causes() (errs []error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 && s.fault != nil {
		errs = append(errs, s.fault)
	}
	for _, n := range s.list {
		switch {
		case n.cause == nil:
		case len(errs) == MostCauses: // they are part of the error of each batch
			return append(errs, fmt.Errorf("and %d other nodes", len(s.list)-s.sound-MostCauses))
		default:
			errs = append(errs, n.cause)
		}
	}
	return errs
}

// AllFailed reports whether all nodes have failed.
func (s *nodes) AllFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sound == 0
}

// count counts the nodes that have not failed. The caller holds mu.
func (s *nodes) count() {
	s.sound = 0
	for _, n := range s.list {
		if n.cause == nil {
			s.sound++
		}
	}
}

// Asides returns the nodes that are put aside, with their answers, and how many nodes are known.
func (s *nodes) Asides() (all []Aside, known int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.list {
		if n.aside.Load() {
			all = append(all, Aside{n.Addr, n.answer})
		}
	}
	return all, len(s.list)
}

// Aside is a node that is put aside.
type Aside struct {
	Addr   string
	Answer Answer
}

// Takes reports whether an item would be written now, as far as is known.
func (d *dispatcher[T]) Takes() bool {
	return slices.ContainsFunc(d.usable(), func(l *Lane[T]) bool { return !l.Node.aside.Load() })
}

// Stuck reports whether items wait for a lane, or would.
func (d *dispatcher[T]) Stuck() bool { return d.waiting.Load() || d.usable() == nil }

// NodeStats is a snapshot of a node.
type NodeStats struct {
	Addr            string
	Lanes           int // usable ones
	Suspect         bool
	Batches, Errors int64
	RoundTrip       RoundTrip
}

// RoundTrip holds percentiles of the times from a frame's write to its answer.
type RoundTrip struct{ P50, P95, P99 time.Duration }

// LaneStats is a snapshot of a lane.
type LaneStats struct {
	Node     string
	Usable   bool
	Queued   int
	InFlight int
}

// NodeStats returns a snapshot.
func (s *Set[T]) NodeStats() []NodeStats {
	usable := make(map[*Node]int)
	for _, l := range s.usable() {
		usable[l.Node]++
	}
	s.nodes.mu.Lock()
	defer s.nodes.mu.Unlock()
	out := make([]NodeStats, 0, len(s.list))
	for _, n := range s.list {
		rtt := n.roundTrips.percentiles(0.5, 0.95, 0.99)
		out = append(out, NodeStats{
			Addr: n.Addr, Lanes: usable[n], Suspect: n.cause != nil, Batches: n.batches.Load(), Errors: n.errors.Load(),
			RoundTrip: RoundTrip{P50: rtt[0], P95: rtt[1], P99: rtt[2]},
		})
	}
	return out
}

// LaneStats returns a snapshot.
func (s *Set[T]) LaneStats() (out []LaneStats) {
	for i := range s.lanes {
		out = append(out, s.lanes[i].Load().stats())
	}
	return out
}
