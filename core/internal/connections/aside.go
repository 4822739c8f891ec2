package connections

import "time"

// A node that answered "not now" is put aside: its lanes give back what they have not written and take nothing, so that batches go
// to other nodes or wait, parked. After a pause, which grows to a second, one of those that wait is sent to it as a scout: an ack
// ends the pause for all, another "not now" makes it longer. So a node that starts is asked at least each second, by one batch and
// not by all.

// MaxBackOffNotNow bounds the pause: a node that answered "not now" may take a batch at any moment.
const MaxBackOffNotNow = time.Second

// Answer is what an error answer tells.
type Answer struct {
	Code int
	Text string
}

// asideState is what a node has of that beside its flag. Guarded by nodes.mu.
type asideState struct {
	refused int         // "not now" in a row
	since   time.Time   // of the last of them
	answer  Answer      // and what it said
	again   *time.Timer // the end of the pause; runs while the node is put aside
}

// PutAside notes that n answered "not now" to a batch that was written at that time.
func (s *Set[T]) PutAside(n *Node, written time.Time, answer Answer) {
	s.nodes.mu.Lock()
	if n.aside.Load() && written.Before(n.since) { // it was on its way already
		s.nodes.mu.Unlock()
		return
	}
	n.refused++
	n.since, n.answer = time.Now(), answer
	n.aside.Store(true)
	s.lastAside.Store(n)
	pause := BackOff(s.cfg.FirstPause, n.refused, MaxBackOffNotNow)
	if n.again == nil {
		n.again = time.AfterFunc(pause, func() { s.tryAgain(n) })
	} else {
		n.again.Reset(pause)
	}
	s.nodes.mu.Unlock()
	for _, l := range s.usable() {
		if l.Node == n {
			l.giveBack()
		}
	}
}

// tryAgain sends a scout to n. One whose answer never comes is followed by another.
func (s *Set[T]) tryAgain(n *Node) {
	defer s.cfg.Transport.Guard()
	if s.ctx.Err() != nil || !n.aside.Load() {
		return
	}
	s.nodes.mu.Lock()
	n.again.Reset(MaxBackOffNotNow) // before the scout goes, whose answer says better when
	s.nodes.mu.Unlock()
	s.scout(n)
}

// NextScout is for an answer of n that is neither an ack nor "not now". Was it to a scout, then n looks at batches again, and only this one
// is at fault: those that wait behind it must not wait for the end of a pause each.
func (s *nodes) NextScout(n *Node, written time.Time) {
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
func (s *Set[T]) resume(n *Node) {
	s.nodes.mu.Lock()
	n.again.Stop()
	n.refused = 0
	n.aside.Store(false)
	s.nodes.mu.Unlock()
	s.connected(n)
	s.unpark()
}

// HoldingUp returns the node that was put aside last, and its answer, when no other one takes batches; else nil.
func (s *nodes) HoldingUp() (last *Node, answer Answer) {
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
			return nil, Answer{}
		}
	}
	return last, answer
}
