package dataproxy

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each choice of a lane took the locks of all lanes, a thousand for each batch while they are behind. A few are enough; but one on a node
// that has not failed the batch is found wherever it is, and each lane has its turn.
func TestLaneIsChosenAmongAFewOfVeryMany(t *testing.T) {
	const lanes, choices = 1024, 20_480
	d := &dispatcher{lanes: make([]atomic.Pointer[lane], lanes)}
	bad, good := new(node), new(node)
	for i := range d.lanes {
		d.lanes[i].Store(&lane{index: i, node: bad, usable: true, outstanding: 1000})
	}
	start := CPUTime()
	chosen := make(map[*lane]int)
	for range choices {
		l := d.choose(nil)
		l.outstanding++
		chosen[l]++
	}
	require.Less(t, CPUTime()-start, 10*time.Second)
	require.Len(t, chosen, lanes)
	for l, times := range chosen {
		require.InDelta(t, choices/lanes, times, choices/lanes/4, "lane %d", l.index)
	}
	d.lanes[7].Load().node = good
	require.Equal(t, 7, d.choose([]*node{bad}).index)
	d.lanes[900].Load().outstanding = 0
	require.Eventually(t, func() bool { return d.choose(nil).index == 900 }, time.Minute, time.Nanosecond, "an idle one is found")
}
