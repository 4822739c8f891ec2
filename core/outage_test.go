package dataproxy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// While none of very many nodes can be used, each batch that runs out of its time looked at all of them and named them all: a hundred
// thousand batches took minutes, and each error was megabytes long.
func TestOutageOfVeryManyNodesCostsABatchNoMoreThanThatOfOne(t *testing.T) {
	const nodes, batches = 20_000, 100_000
	c := &client{ready: make(chan struct{})}
	WithGroupID("test_group")(&c.opts)
	WithStaticNodes("127.0.0.1:1")(&c.opts)
	WithLogger(NopLogger())(&c.opts)
	WithMetricsRegistry(prometheus.NewRegistry())(&c.opts)
	require.NoError(t, c.opts.ValidateAndSetDefault())
	require.NoError(t, c.init())
	defer c.cancel()
	addrs := make([]string, nodes)
	for i := range addrs {
		addrs[i] = fmt.Sprintf("10.0.%d.%d:46801", i/250, i%250)
	}
	c.nodes.set(addrs)
	for i, n := range c.nodes.list {
		require.False(t, c.nodes.allFailed(), "%d have failed", i)
		n.cause = nil
		c.nodes.avoid(n, errors.New("refused"), time.Hour)
		c.nodes.avoid(n, errors.New("refused again"), time.Hour)
	}
	require.True(t, c.nodes.allFailed())
	start := time.Now()
	var err error
	for range batches {
		err = c.outage(&batch{})
	}
	require.Less(t, time.Since(start), 10*time.Second)
	require.Contains(t, err.Error(), "refused again")
	require.Contains(t, err.Error(), "and 19992 other nodes")
	require.Less(t, len(err.Error()), 1000)
	require.Equal(t, mostCauses, strings.Count(err.Error(), "refused"))

	c.nodes.connected(c.nodes.list[7])
	require.False(t, c.nodes.allFailed())
	require.NoError(t, c.outage(&batch{}))
	gone := c.nodes.list[7]
	c.nodes.set(append(addrs[:7:7], addrs[8:]...))
	require.True(t, c.nodes.allFailed(), "the one that had not is not in the list any more")
	c.nodes.avoid(gone, errors.New("refused"), time.Hour)
	c.nodes.connected(gone)
	require.True(t, c.nodes.allFailed())
	c.nodes.set([]string{"10.0.0.1:1"})
	require.False(t, c.nodes.allFailed(), "nothing is known of a new one")
}
