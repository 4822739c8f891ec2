package dataproxy

import (
	"fmt"

	"go.uber.org/multierr"
)

// mostCauses is how many nodes are named in an error that says why none can be used.
const mostCauses = 8

// outage returns why the nodes cannot be used if that is why b was never written.
func (c *client) outage(b *batch) error {
	if b.attempts > 0 || !c.nodes.allFailed() {
		return nil
	}
	return multierr.Combine(c.nodes.causes()...)
}

// causes lists why nodes failed, or why none is known, for the errors of a start and of messages without any.
func (s *nodes) causes() (errs []error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 && s.fault != nil {
		errs = append(errs, s.fault)
	}
	for _, n := range s.list {
		switch {
		case n.cause == nil:
		case len(errs) == mostCauses: // they go into an error of each batch
			return append(errs, fmt.Errorf("and %d other nodes", len(s.list)-s.sound-mostCauses))
		default:
			errs = append(errs, n.cause)
		}
	}
	return errs
}

// allFailed reports whether no node is left that did not fail.
func (s *nodes) allFailed() bool {
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
