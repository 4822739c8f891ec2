package connections

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
)

// Suspicion is how long a node that failed is avoided while there are others. A node that was told to stop closes its connections,
// then accepts new ones and never answers, so its return has to be proven.
const Suspicion = 30 * time.Second

// LongestSuspicion is the longest time for which a node is avoided that answers heartbeats, but no data.
const LongestSuspicion = 8 * time.Minute

// Node is one DataProxy.
type Node struct {
	Addr            string
	batches, errors atomic.Int64
	roundTrips      roundTrips
	lengths
	answers
	aside atomic.Bool // its last answer was "not now", so its lanes take only a scout (aside.go)

	// Guarded by nodes.mu.
	lanes    int // assigned to it, connected or not, without those that drain
	suspect  time.Time
	spell    time.Duration // for which it is avoided after it failed with data
	relapsed time.Time     // when it last failed with data, on a connection that was opened after the previous time
	cause    error
	gone     bool // no longer in the list
	asideState
}

// nodes is the list of nodes, and which lanes are on them.
type nodes struct {
	log    Log
	proven chan struct{} // closed by the first connection that answers a heartbeat
	once   sync.Once     // for that

	mu      sync.Mutex
	list    []*Node
	sound   int           // number of nodes in list that have not failed
	fault   error         // why the last request for the list failed
	changed chan struct{} // closed and replaced when the list changes, or an outage ends

	balancing sync.Mutex // held while lanes are moved; taken before all other locks

	lastAside atomic.Pointer[Node] // so that not all nodes are checked while none is put aside

	kick chan struct{} // makes the supervisor check: all nodes failed, or the list is empty
}

// assign chooses the node for a lane: one that is not suspect and has the fewest lanes. It waits while the list is empty.
func (s *nodes) assign(ctx context.Context) (*Node, bool) {
	for {
		s.mu.Lock()
		n, changed := s.take(nil), s.changed
		s.mu.Unlock()
		if n != nil {
			return n, ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// reassign takes a lane off a node and returns the node for the lane in its place, or nil if there is none.
func (s *nodes) reassign(from *Node) *Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	from.lanes--
	return s.take(nil)
}

// beside returns a node other than those tried, for a lane that is waiting for them, or nil.
func (s *nodes) beside(tried []*Node) *Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(tried)
}

// take gives a lane to the best node that is not in except. The caller holds mu.
func (s *nodes) take(except []*Node) *Node {
	var best *Node
	now := time.Now()
	start := 0
	if len(s.list) > 0 {
		start = rand.IntN(len(s.list)) // so that the lanes of many clients do not all start with the first node
	}
	for i := range s.list {
		n := s.list[(start+i)%len(s.list)]
		if (best == nil || n.better(best, now)) && !slices.Contains(except, n) {
			best = n
		}
	}
	if best != nil {
		best.lanes++
	}
	return best
}

func (n *Node) better(than *Node, now time.Time) bool {
	mine, other := n.suspect.After(now), than.suspect.After(now)
	switch {
	case mine != other:
		return other
	case mine && n.lanes == than.lanes:
		return n.suspect.Before(than.suspect)
	}
	return n.lanes < than.lanes
}

func (s *nodes) release(n *Node) {
	s.mu.Lock()
	n.lanes--
	s.mu.Unlock()
}

// connected clears the suspicion: the node has answered a heartbeat. If it is the first one after all had failed, the others are
// tried again at once, and lanes that pause try again.
func (s *nodes) connected(n *Node) {
	s.mu.Lock()
	outage := s.sound == 0
	if n.cause != nil && !n.gone {
		s.sound++
	}
	n.suspect, n.cause = time.Time{}, nil
	if outage {
		for _, other := range s.list {
			other.suspect = time.Time{}
		}
		s.tellChange()
	}
	s.mu.Unlock()
	if outage {
		s.wake()
	}
	s.once.Do(func() { close(s.proven) })
}

// Proven returns a channel that is closed when the first connection has answered a heartbeat.
func (s *nodes) Proven() <-chan struct{} { return s.proven }

// Suspect avoids a node for a while. If there is only one node, or all are suspects, they are still tried.
func (s *nodes) Suspect(n *Node, cause error) { s.avoid(n, cause, Suspicion) }

// relapse avoids a node that answers heartbeats and then fails with data, on a connection that was opened at that time. Its
// heartbeats count for less each time that it fails again soon. The other connections that it had when it failed prove nothing new.
func (s *Set[T]) relapse(n *Node, opened time.Time, cause error) {
	s.nodes.mu.Lock()
	if opened.After(n.relapsed) {
		now := time.Now()
		// Its heartbeat is answered after the spell, and it owes an answer for an ack time-out before it fails.
		if now.Sub(n.relapsed)-s.cfg.Transport.AckTimeout < 2*n.spell {
			n.spell = min(2*n.spell, LongestSuspicion)
		} else {
			n.spell = Suspicion
		}
		n.relapsed = now
	}
	spell := n.spell
	s.nodes.mu.Unlock()
	s.avoid(n, cause, spell)
}

func (s *nodes) avoid(n *Node, cause error, spell time.Duration) {
	s.mu.Lock()
	fresh := n.cause == nil
	n.suspect, n.cause = time.Now().Add(spell), cause
	gone := n.gone
	if fresh && !gone {
		s.sound--
	}
	all := s.sound == 0
	s.mu.Unlock()
	switch {
	case !fresh || gone:
	case all:
		s.log.Warnf("node %s failed and is tried again soon, since no other is better: %v", Subject(n.Addr), cause)
	default:
		s.log.Warnf("node %s is avoided for %v: %v", Subject(n.Addr), spell, cause)
	}
	if all || fresh {
		s.wake()
	}
}

func (s *nodes) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// suspected reports whether n is avoided.
func (s *nodes) suspected(n *Node) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return n.suspect.After(time.Now())
}

// Leave drains all lanes on n if there is another node that is not suspect. tell is called with their connections.
func (s *Set[T]) Leave(n *Node, tell ...func(*transport.Conn[T])) {
	if !s.elsewhere(n) {
		return
	}
	for _, l := range s.usable() {
		if l.Node == n {
			l.Replace()
			l.retire()
			for _, f := range tell {
				f(l.conn)
			}
		}
	}
}

// elsewhere reports whether there is a node other than n that is not suspect.
func (s *nodes) elsewhere(n *Node) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	return slices.ContainsFunc(s.list, func(other *Node) bool { return other != n && !other.suspect.After(now) })
}

// OthersHaveNoLane reports whether a batch that n and the nodes of avoid refused can be tried on another node only if a lane moves
// there, because there are fewer lanes than nodes.
func (s *nodes) OthersHaveNoLane(n *Node, avoid []*Node) (others bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, other := range s.list {
		switch {
		case other == n || slices.Contains(avoid, other):
		case other.lanes > 0:
			return false
		default:
			others = others || !other.suspect.After(now)
		}
	}
	return others
}

// NoList notes that the Manager gave no list.
func (s *nodes) NoList(fault error) {
	s.mu.Lock()
	s.fault = fault
	s.mu.Unlock()
}

// SetNodes takes a new list. Lanes on nodes that are no longer in it drain.
func (s *Set[T]) SetNodes(addrs []string) {
	s.nodes.set(addrs)
	for _, l := range s.usable() {
		if s.isGone(l.Node) {
			l.Replace()
		}
	}
	s.balance()
}

func (s *nodes) set(addrs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := make(map[string]*Node, len(s.list))
	for _, n := range s.list {
		known[n.Addr], n.gone = n, true
	}
	list := make([]*Node, 0, len(addrs))
	for _, addr := range addrs {
		n := known[addr]
		if n == nil {
			n = &Node{Addr: addr}
			known[addr] = n
		}
		n.gone = false
		list = append(list, n)
	}
	s.list = list
	s.count()
	s.tellChange()
}

// tellChange wakes anyone who waits for a change. The caller holds mu.
func (s *nodes) tellChange() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// pause waits for d, or for a change; false means that ctx ended.
func (s *nodes) pause(ctx context.Context, d time.Duration) bool {
	s.mu.Lock()
	changed := s.changed
	s.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
		return false
	}
	return true
}

func (s *nodes) isGone(n *Node) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return n.gone
}

// balance moves lanes off nodes that have at least two more than another healthy one.
func (s *Set[T]) balance() {
	s.balancing.Lock()
	defer s.balancing.Unlock()
	for {
		most, moved := s.overloaded(), false
		if most == nil {
			return
		}
		for _, l := range s.usable() {
			if moved = l.Node == most && l.Replace(); moved { // its place moves to the node with the fewest
				break
			}
		}
		if !moved { // the lanes to move are still connecting; each calls balance when it is connected
			return
		}
	}
}

// overloaded returns the healthy node with the most lanes if another one has at least two fewer.
func (s *nodes) overloaded() *Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var most, fewest *Node
	for _, n := range s.list {
		if n.suspect.After(now) || n.cause != nil {
			continue
		}
		if most == nil || n.lanes > most.lanes {
			most = n
		}
		if fewest == nil || n.lanes < fewest.lanes {
			fewest = n
		}
	}
	if most == nil || most.lanes-fewest.lanes < 2 {
		return nil
	}
	return most
}

// doubtful returns the suspects whose time is over, and when the next one's time is.
func (s *nodes) doubtful(now time.Time) (due []*Node, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.list {
		switch {
		case n.cause == nil:
		case !n.suspect.After(now):
			due = append(due, n)
		case next.IsZero() || n.suspect.Before(next):
			next = n.suspect
		}
	}
	return due, next
}
