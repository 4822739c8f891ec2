package connections

import (
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
