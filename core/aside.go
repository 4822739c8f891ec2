package dataproxy

import "time"

// A node that answered "not now" is put aside: its lanes give back what they have not written and take nothing, so that batches go
// to other nodes or wait, parked. After a pause, which grows to a second, one of those that wait is sent to it as a scout: an ack
// ends the pause for all, another "not now" makes it longer. So a node that starts is asked at least each second, by one batch and
// not by all.

// asideState is what a node has of that beside its flag. Guarded by nodes.mu.
type asideState struct {
	refused int            // "not now" in a row
	since   time.Time      // of the last of them
	answer  attemptFailure // and what it said
	again   *time.Timer    // the end of the pause; runs while the node is put aside
}

// putAside notes that n answered "not now" to a batch that was written at that time.
func (s *nodes) putAside(n *node, written time.Time, answer attemptFailure) {
	s.mu.Lock()
	if n.aside.Load() && written.Before(n.since) { // it was on its way already
		s.mu.Unlock()
		return
	}
	n.refused++
	n.since, n.answer = time.Now(), answer
	n.aside.Store(true)
	s.lastAside.Store(n)
	pause := backOff(s.c.opts.RetryInitialInterval, n.refused, maxBackOffNotNow)
	if n.again == nil {
		n.again = time.AfterFunc(pause, func() { s.tryAgain(n) })
	} else {
		n.again.Reset(pause)
	}
	s.mu.Unlock()
	for _, l := range s.c.dispatcher.usable() {
		if l.node == n {
			l.giveBack()
		}
	}
}

// tryAgain sends a scout to n. One whose answer never comes is followed by another.
func (s *nodes) tryAgain(n *node) {
	defer s.c.guard()
	if s.c.ctx.Err() != nil || !n.aside.Load() {
		return
	}
	s.mu.Lock()
	n.again.Reset(maxBackOffNotNow) // before the scout goes, whose answer says better when
	s.mu.Unlock()
	s.c.dispatcher.scout(n)
}

// nextScout is for an answer of n that is neither an ack nor "not now". Was it to a scout, then n looks at batches again, and only this one
// is at fault: those that wait behind it must not wait for the end of a pause each.
func (s *nodes) nextScout(n *node, written time.Time) {
	if !n.aside.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if written.After(n.since) {
		n.again.Reset(0)
	}
}

// resume ends n's time aside: it took a batch.
func (s *nodes) resume(n *node) {
	s.mu.Lock()
	n.again.Stop()
	n.refused = 0
	n.aside.Store(false)
	s.mu.Unlock()
	s.connected(n)
	s.c.dispatcher.unpark()
}

// holdingUp returns the node that was put aside last, and its answer, when no other one takes batches; else nil.
func (s *nodes) holdingUp() (last *node, answer attemptFailure) {
	if n := s.lastAside.Load(); n == nil || !n.aside.Load() {
		return nil, answer
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.list {
		switch {
		case n.aside.Load():
			if last == nil || n.since.After(last.since) {
				last, answer = n, n.answer
			}
		case n.cause == nil:
			return nil, attemptFailure{}
		}
	}
	return last, answer
}
