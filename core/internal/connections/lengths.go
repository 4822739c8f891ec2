package connections

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
)

const (
	// leastLimit is what every node takes: its max-msg-length is 64 KiB where nobody sets it. Who closes on less has another reason.
	leastLimit = 8 << 10
	// limitMemory is how long it is remembered what a node did not take. One that was away may have another configuration, and is
	// asked anew.
	limitMemory = 10 * time.Minute
)

// lengths is what a node's connections have shown of the frames it takes.
type lengths struct {
	taken   atomic.Int64               // the longest that it acked
	tooLong atomic.Pointer[knownLimit] // nil: nothing is known
	away    atomic.Int64               // how often that was forgotten
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

// TakesLess notes that the node closes on frames of that length. It reports whether that is news.
func (n *Node) TakesLess(size int) (news bool) {
	now := time.Now()
	if n.closesOn(size, now) {
		return false
	}
	n.tooLong.Store(&knownLimit{size, now.Add(limitMemory)})
	return true
}

// TimesAway returns how often all that was known of the node's lengths was forgotten, since it was away.
func (n *Node) TimesAway() int64 { return n.away.Load() }

// closesOn reports whether the node is known to close on a frame of that length.
func (n *Node) closesOn(size int, now time.Time) bool {
	limit := n.tooLong.Load()
	return limit != nil && size >= limit.size && now.Before(limit.until)
}

// forgetLengths is for a node that was away.
func (n *Node) forgetLengths() {
	n.away.Add(1)
	n.taken.Store(0)
	n.tooLong.Store(nil)
}

// culprit returns which of the frames without an answer, oldest first, node n closed on. It answers in order, so that is the oldest;
// but a reset may take answers with it that were on their way, so one that is longer than all that the node ever took is it before
// that.
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

// Takers is who may take a frame of some length.
type Takers struct {
	Some, Connected bool // a node that did not fail; one of those has a lane
	Proven          bool // a node has taken such a frame before, be it away now: the frame is not what is wrong
}

// Takers tells who may take a frame of that length. One that has taken such before and is avoided is tried again soon, as the frame can
// go nowhere else.
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
