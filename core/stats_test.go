package dataproxy_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// Who looks at Stats in an outage must see where messages are, and which node is slow.
func TestStatsTellWhereMessagesAre(t *testing.T) {
	const slow = 100 * time.Millisecond
	c := cluster(t, dataproxytest.WithNodes(1))
	c.Node(0).Standing(dataproxytest.Delay(slow))
	client := connect(t, c, dataproxy.WithWorkerNum(2), dataproxy.WithBatchingMaxMessages(2), dataproxy.WithMaxRetries(0))
	results := make(chan error, 2)
	for range 2 {
		client.SendAsync(context.Background(), message("12345"), func(_ dataproxy.Message, err error) { results <- err })
	}
	inFlight := func(s dataproxy.Stats) (n int) {
		for _, l := range s.Lanes {
			n += l.InFlight
		}
		return n
	}
	var s dataproxy.Stats
	eventually(t, "it is in flight", func() bool { s = client.Stats(); return inFlight(s) == 1 })
	require.Len(t, s.Lanes, 2)
	require.Equal(t, []int64{2, 0, 0, 2, 0}, []int64{s.Accepted, s.Acked, s.Failed, s.PendingMessages, s.Batches})
	require.InDelta(t, 1000, s.PendingBytes, 500, "what a batch of two short messages holds")
	require.Zero(t, s.Nodes[0].RoundTrip.P99)
	for range 2 {
		require.NoError(t, <-results)
	}
	require.NoError(t, client.Flush(patient(t)))
	eventually(t, "two lanes", func() bool { return usableLanes(client) == 2 })
	s = client.Stats()
	require.Zero(t, inFlight(s))
	require.Equal(t, []int64{2, 2, 0, 0, 0, 1}, []int64{s.Accepted, s.Acked, s.Failed, s.PendingMessages, s.PendingBytes, s.Batches})
	n := s.Nodes[0]
	require.Equal(t, dataproxy.NodeStats{Addr: c.Node(0).Addr(), Lanes: 2, Batches: 1, RoundTrip: n.RoundTrip}, n)
	require.GreaterOrEqual(t, n.RoundTrip.P50, slow*7/8, "right to an eighth")
	require.Equal(t, n.RoundTrip.P50, n.RoundTrip.P99)

	c.Node(0).ClearFaults()
	c.Node(0).Standing(dataproxytest.ErrorCode(109))
	require.Error(t, client.Send(patient(t), message("x")))
	s = client.Stats()
	require.Equal(t, []int64{3, 2, 1, 1, 1}, []int64{s.Accepted, s.Acked, s.Failed, s.Nodes[0].Batches, s.Nodes[0].Errors})
}

// Accepted was made up of two numbers that change at different times: it counted messages twice, those of tries that failed too, and
// fell again.
func TestStatsAcceptedIsACount(t *testing.T) {
	c := cluster(t, dataproxytest.WithoutRecorder())
	client := connect(t, c, dataproxy.WithBatchingMaxMessages(1000), dataproxy.WithMaxPendingMessages(2000), dataproxy.WithWorkerNum(1))
	var sent atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				sent.Add(1)
				client.SendAsync(context.Background(), message("x"), nil)
			}
		}
	}()
	last := int64(0)
	for range 20000 {
		accepted := client.Stats().Accepted
		require.LessOrEqual(t, accepted, sent.Load(), "more than were sent")
		require.GreaterOrEqual(t, accepted, last, "fewer than before")
		last = accepted
	}
	close(stop)
	<-stopped
	require.NoError(t, client.Flush(patient(t)))
	s := client.Stats()
	require.Equal(t, sent.Load(), s.Accepted+s.Refused)
	require.Equal(t, s.Accepted, s.Acked+s.Failed)
}
