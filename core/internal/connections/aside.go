package connections

import "time"

// A node that answered "not now" is put aside: its lanes give back what they have not written and take nothing, so that batches go
// to other nodes or wait, parked. After a pause, which grows to a second, one of the waiting batches is sent to it as a scout. An
// ack ends the pause for all, another "not now" makes it longer. So a node that is starting is asked at least once a second, by one
// batch and not by all.

// MaxBackOffNotNow bounds the pause: a node that answered "not now" may take a batch at any moment.
const MaxBackOffNotNow = time.Second

// Answer is the content of an error answer.
type Answer struct {
	Code int
	Text string
}

// asideState is what is known of a node that was put aside, beside its flag. Guarded by nodes.mu.
type asideState struct {
	refused int         // "not now" in a row
	since   time.Time   // time of the last one
	answer  Answer      // the last one
	again   *time.Timer // the end of the pause; runs while the node is put aside
}

// PutAside notes that n answered "not now" to a batch that was written at that time.
func (s *Set[T]) PutAside(n *Node, written time.Time, answer Answer) {
	s.nodes.mu.Lock()
	if n.aside.Load() && written.Before(n.since) { // it was in flight already
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

// tryAgain sends a scout to n. If no answer comes, another scout follows.
func (s *Set[T]) tryAgain(n *Node) {
	defer s.cfg.Transport.Guard()
	if s.ctx.Err() != nil || !n.aside.Load() {
		return
	}
	s.nodes.mu.Lock()
	n.again.Reset(MaxBackOffNotNow) // before the scout is sent: its answer sets a better time
	s.nodes.mu.Unlock()
	s.scout(n)
}

// NextScout is called for an answer of n that is neither an ack nor "not now". If it answered a scout, then n examines batches
// again, and only this batch is at fault. The next scout is sent at once, so that the batches that wait do not each wait for a
// pause.
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

// resume ends n's pause: it took a batch.
func (s *Set[T]) resume(n *Node) {
	s.nodes.mu.Lock()
	n.again.Stop()
	n.refused = 0
	n.aside.Store(false)
	s.nodes.mu.Unlock()
	s.connected(n)
	s.unpark()
}

// HoldingUp returns the node that was put aside last, and its answer, if no other node takes batches; otherwise nil.
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
