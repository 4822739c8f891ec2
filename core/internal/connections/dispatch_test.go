package connections

import (
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/cputime"
)

// Each choice of a lane took the locks of all lanes, a thousand for each batch while they are behind. A few are enough; but one on a node
// that has not failed the batch is found wherever it is, and each lane has its turn.
func TestLaneIsChosenAmongAFewOfVeryMany(t *testing.T) {
	const lanes, choices = 1024, 20_480
	d := &dispatcher[*parcel]{lanes: make([]atomic.Pointer[Lane[*parcel]], lanes)}
	bad, good := new(Node), new(Node)
	for i := range d.lanes {
		d.lanes[i].Store(&Lane[*parcel]{Index: i, Node: bad, usable: true, outstanding: 1000})
	}
	start := cputime.Total()
	chosen := make(map[*Lane[*parcel]]int)
	for range choices {
		l := d.choose(nil)
		l.outstanding++
		chosen[l]++
	}
	require.Less(t, cputime.Total()-start, 10*time.Second)
	require.Len(t, chosen, lanes)
	for l, times := range chosen {
		require.InDelta(t, choices/lanes, times, choices/lanes/4, "lane %d", l.Index)
	}
	d.lanes[7].Load().Node = good
	require.Equal(t, 7, d.choose([]*Node{bad}).Index)
	d.lanes[900].Load().outstanding = 0
	require.Eventually(t, func() bool { return d.choose(nil).Index == 900 }, time.Minute, time.Nanosecond, "an idle one is found")
}

// A lane that became usable while an item found none saw nothing parked, and the item did not look again: it lay beside an idle lane until
// something else was sent, or to its deadline.
func TestItemIsNotParkedBesideALaneThatBecomesUsable(t *testing.T) {
	s, _ := harness(t)
	s.pace.on.Store(true) // nobody looks at lanes without connections
	first, last := s.lanes[0].Load(), s.lanes[len(s.lanes)-1].Load()
	last.mu.Lock()
	dispatched := make(chan struct{})
	go func() {
		defer close(dispatched)
		s.Dispatch(&parcel{home: &Home[*parcel]{}})
	}()
	for stacks := make([]byte, 1<<20); ; runtime.Gosched() { // until it has looked at the first lane, and waits for the last
		all := strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n")
		if slices.ContainsFunc(all, func(stack string) bool {
			return strings.Contains(stack, "Mutex).Lock(") && strings.Contains(stack, ".choose(")
		}) {
			break
		}
	}
	s.lanes[0].Store(idleLane(s, first.Index, new(Node)))
	s.unpark()
	last.mu.Unlock()
	<-dispatched
	require.Equal(t, Held{Queued: 1, Outstanding: 1, Writing: 1}, s.Held())
}

// A scout whose lane ended at that moment stayed parked beside the node's other lanes, although the node was not put aside any more.
func TestScoutGoesToAnotherLaneWhereOneHasJustEnded(t *testing.T) {
	s, _ := harness(t)
	s.pace.on.Store(true)
	n := new(Node)
	n.aside.Store(true)
	for i := range 2 {
		s.lanes[i].Store(idleLane(s, i, n))
	}
	s.Dispatch(&parcel{home: &Home[*parcel]{}})
	require.Equal(t, Held{Parked: 1}, s.Held())
	s.dead = func(*parcel) bool { // asked once the lane was chosen
		l := s.lanes[0].Load()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.usable = false
		return false
	}
	s.scout(n)
	require.Equal(t, Held{Queued: 1, Outstanding: 1, Writing: 1}, s.Held())
}

// idleLane takes items, and does not write them.
func idleLane(s *Set[*parcel], index int, n *Node) *Lane[*parcel] {
	return &Lane[*parcel]{s: s, Index: index, Node: n, usable: true, writer: s.cfg.Writers.Done}
}
