package connections

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// In an outage of all nodes each client asked the Manager each second, and a thousand clients did so together, for as long as it
// lasted. It is asked less and less often while it tells nothing new, and at once where something changes.
func TestOutageOfAllNodesDoesNotHammerTheManager(t *testing.T) {
	list := "h:1"
	s, _ := harness(t)
	r := refresher{nodes: &s.nodes, every: time.Hour, refresh: func() error {
		if list == "" {
			return errors.New("403 Forbidden")
		}
		s.SetNodes([]string{list})
		return nil
	}}
	fail := func() {
		for _, n := range s.list {
			n.cause = errors.New("down")
		}
		s.count()
	}
	require.NoError(t, r.ask())
	require.Equal(t, RefreshPause, r.pause)
	require.Greater(t, r.due(), time.Minute)
	fail()
	require.LessOrEqual(t, r.due(), RefreshPause, "all nodes have failed")
	for i := range 6 {
		require.NoError(t, r.ask())
		most := min(2*RefreshPause<<i, mostVain)
		require.GreaterOrEqual(t, r.pause, most/2)
		require.LessOrEqual(t, r.due(), most)
	}
	list = ""
	require.Error(t, r.ask())
	require.GreaterOrEqual(t, r.pause, mostVain/2, "nor when it fails itself")
	list = "h:2"
	require.NoError(t, r.ask())
	require.Equal(t, RefreshPause, r.pause, "there are other nodes")
	fail()
	require.NoError(t, r.ask())
	s.list[0].cause = nil
	s.count()
	require.NoError(t, r.ask())
	require.Equal(t, RefreshPause, r.pause, "a node is back")
	require.Greater(t, r.due(), time.Minute)
}
