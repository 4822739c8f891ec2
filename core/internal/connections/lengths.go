package connections

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
)

const (
	// leastLimit is a length that every node takes: its max-msg-length is 64 KiB by default. A node that closes on less has another
	// reason.
	leastLimit = 8 << 10
	// limitMemory is how long the client remembers what a node did not take. A node that was away may have another configuration,
	// so it is tried again.
	limitMemory = 10 * time.Minute
)

// lengths is what a node's connections have shown about the frames it takes.
type lengths struct {
	taken   atomic.Int64               // the longest that it acked since then
	tooLong atomic.Pointer[knownLimit] // nil: nothing is known
	away    atomic.Int64               // how often this was forgotten
	most    atomic.Int64               // the longest that it ever acked
}

// knownLimit is the length of a frame that a node closed on.
type knownLimit struct {
	size  int
	until time.Time
}

// took notes a frame that the node acked.
func (n *Node) took(size int) {
	if int64(size) <= n.taken.Load() {
		return
	}
	n.taken.Store(int64(size))
	n.most.Store(max(n.most.Load(), int64(size)))
	if limit := n.tooLong.Load(); limit != nil && size >= limit.size {
		n.tooLong.Store(nil)
	}
}

// TakesLess notes that the node closes on frames of that length. It reports whether this is new.
func (n *Node) TakesLess(size int) (news bool) {
	now := time.Now()
	if n.closesOn(size, now) {
		return false
	}
	n.tooLong.Store(&knownLimit{size, now.Add(limitMemory)})
	return true
}

// TimesAway returns how often all that was known of the node's lengths was forgotten because it was away.
func (n *Node) TimesAway() int64 { return n.away.Load() }

// closesOn reports whether the node is known to close on a frame of that length.
func (n *Node) closesOn(size int, now time.Time) bool {
	limit := n.tooLong.Load()
	return limit != nil && size >= limit.size && now.Before(limit.until)
}

// forgetLengths is called for a node that was away.
func (n *Node) forgetLengths() {
	n.away.Add(1)
	n.taken.Store(0)
	n.tooLong.Store(nil)
}

// culprit returns which of the frames without an answer, oldest first, node n closed on. The node answers in order, so it is the
// oldest one. But a reset may destroy answers on their way, so a frame that is longer than all that the node ever took is blamed
// first.
func culprit[T any](n *Node, unanswered []transport.Written[T], reason error) (culprit int, tooLong bool) {
	if !errors.Is(reason, transport.ErrPeerClosed) && !errors.Is(reason, transport.ErrWrite) {
		return 0, false
	}
	longest := max(int(n.taken.Load()), leastLimit)
	for i, w := range unanswered {
		if w.Size > longest {
			culprit, tooLong, longest = i, true, w.Size
		}
	}
	return culprit, tooLong
}

// Takers says which nodes may take a frame of some length.
type Takers struct {
	Some, Connected bool // there is a node that did not fail; one of these has a lane
	Proven          bool // a node, which may be away now, has taken such a frame: the frame is not at fault
}

// Takers returns which nodes may take a frame of that length. A node that took such a frame before and is avoided is tried again
// soon, since the frame can go nowhere else.
func (s *nodes) Takers(size int) (t Takers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, n := range s.list {
		if n.closesOn(size, now) {
			continue
		}
		proven := n.most.Load() >= int64(size)
		t.Proven = t.Proven || proven
		switch soon := now.Add(RefreshPause); {
		case n.cause == nil:
			t.Some, t.Connected = true, t.Connected || n.lanes > 0
		case proven && n.suspect.After(soon):
			n.suspect = soon
			s.wake()
		}
	}
	return t
}
