package connections

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// While none of very many nodes can be used, each batch that runs out of its time looked at all of them and named them all: a hundred
// thousand batches took minutes, and each error was megabytes long.
func TestOutageOfVeryManyNodesCostsABatchNoMoreThanThatOfOne(t *testing.T) {
	const nodes, batches = 20_000, 100_000
	s, _ := harness(t)
	addrs := make([]string, nodes)
	for i := range addrs {
		addrs[i] = fmt.Sprintf("10.0.%d.%d:46801", i/250, i%250)
	}
	s.SetNodes(addrs)
	for i, n := range s.list {
		require.False(t, s.AllFailed(), "%d have failed", i)
		n.cause = nil
		s.avoid(n, errors.New("refused"), time.Hour)
		s.avoid(n, errors.New("refused again"), time.Hour)
	}
	require.True(t, s.AllFailed())
	start := time.Now()
	var err error
	for range batches {
		err = s.Outage()
	}
	require.Less(t, time.Since(start), 10*time.Second)
	require.Contains(t, err.Error(), "refused again")
	require.Contains(t, err.Error(), "and 19992 other nodes")
	require.Less(t, len(err.Error()), 1000)
	require.Equal(t, MostCauses, strings.Count(err.Error(), "refused"))

	s.connected(s.list[7])
	require.False(t, s.AllFailed())
	require.NoError(t, s.Outage())
	gone := s.list[7]
	s.SetNodes(append(addrs[:7:7], addrs[8:]...))
	require.True(t, s.AllFailed(), "the one that had not is not in the list any more")
	s.avoid(gone, errors.New("refused"), time.Hour)
	s.connected(gone)
	require.True(t, s.AllFailed())
	s.SetNodes([]string{"10.0.0.1:1"})
	require.False(t, s.AllFailed(), "nothing is known of a new one")
}

// Each lane of a node that stalled doubled the time for which it is avoided, so that five of them made it 8 minutes at once, while the log
// said 30 s; and the proof that a heartbeat is made it 30 s again each time.
func TestANodeThatFailsAgainIsAvoidedForLonger(t *testing.T) {
	s, _ := harness(t)
	s.SetNodes([]string{"10.0.0.1:1", "10.0.0.2:1"})
	n, stalls := s.list[0], errors.New("stalls")
	avoided := func() time.Duration { return n.suspect.Sub(n.relapsed).Round(time.Second) }
	opened := time.Now()
	for _, longer := range []time.Duration{1, 2, 4, 8, 16, 16} {
		for range 5 {
			s.relapse(n, opened, stalls)
		}
		require.Equal(t, longer*Suspicion, avoided())
		s.connected(n)
		opened = n.relapsed.Add(1)
	}
	opened = n.relapsed.Add(1)
	n.relapsed = n.relapsed.Add(-2*LongestSuspicion - patience)
	s.relapse(n, opened, stalls)
	require.Equal(t, Suspicion, avoided(), "it was good for long")
}
