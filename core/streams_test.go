package dataproxy_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/cputime"
)

// Thousands of streams on one client: each one's linger must hold though nobody fills its batches, and a stream that has
// nothing to send must not hold memory by the kilobyte.
func TestD13_ManyStreams(t *testing.T) {
	const streams = 10000
	c := cluster(t, dataproxytest.WithoutRecorder())
	client := connect(t, c)
	var early, late []uint64
	var cost time.Duration // of the dearest round
	note := func(_ dataproxy.Message, err error) {
		if err != nil {
			t.Error(err)
		}
	}
	for round := range 7 {
		before := cputime.Total()
		for i := range streams {
			client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", i), "round %d", round), note)
		}
		eventually(t, "the lingers are over", func() bool { return client.Stats().Acked == int64(streams*(round+1)) })
		require.NoError(t, client.Flush(patient(t))) // their memory is given back a little later
		cost = max(cost, cputime.Total()-before)
		runtime.GC() // twice: pools let go of what they hold in the second
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		switch { // the first is without: maps, queues and tables find their size
		case round > 3:
			late = append(late, m.HeapAlloc)
		case round > 0:
			early = append(early, m.HeapAlloc)
		}
	}
	// The lowest of the last rounds: queues and tables grow with the longest jam of a busy machine, a leak with every round.
	require.Less(t, int64(slices.Min(late))-int64(slices.Max(early)), int64(1<<20), "growth of the heap: %v, then %v", early, late)
	require.Less(t, cost, 10*time.Second, "CPU time of a round")
	slack := watch()
	var took []time.Duration
	for i := range 50 { // one at a time: what many take is the processor's
		start, done := time.Now(), make(chan error)
		client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", i), "alone"), func(_ dataproxy.Message, err error) { done <- err })
		require.NoError(t, <-done)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	t.Logf("a round: %v of CPU; alone: %v", cost, took[len(took)/2])
	require.Less(t, took[len(took)/2], 500*time.Millisecond+slack(), "one message alone")
	require.Equal(t, streams, client.Stats().Streams)
	settled(t, client)
}

// A program that names ever new attributes makes ever new streams: they must not stay for ever, nor lose a message when
// they are swept out under its sender.
func TestStreamsThatAreSweptOutLoseNothing(t *testing.T) {
	c := cluster(t, dataproxytest.WithDigestRecorder())
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(time.Millisecond))
	const senders, n = 4, 6000
	var acked atomic.Int64
	each(senders, func(sender int) {
		for i := range n {
			msg := streamMessage(fmt.Sprint("stream", i%50), "%d/%d", sender, i)
			if i%2 == 0 {
				msg.Attributes = map[string]string{"trace": fmt.Sprintf("%d.%d", sender, i)}
			}
			client.SendAsync(context.Background(), msg, func(_ dataproxy.Message, err error) {
				if err == nil {
					acked.Add(1)
				}
			})
			dataproxy.SweepStreams(client, i%37 == 0)
		}
	})
	require.NoError(t, client.Flush(patient(t)))
	require.EqualValues(t, senders*n, acked.Load())
	require.Equal(t, senders*n, c.Count())
	settled(t, client)
	dataproxy.SweepStreams(client, true)
	require.Zero(t, client.Stats().Streams)
	for range 2 { // the first finds the one that was swept out, and must not leave it to the next
		require.NoError(t, client.Send(patient(t), streamMessage("stream1", "continues")))
	}
	require.True(t, dataproxy.FindsWithoutLock(client, "stream1"))
}

// A stream with batches on their way was swept out, and came back without its lane: a later batch could overtake them, and what it
// held counted no more against its bound.
func TestStreamWithMessagesOnTheirWayIsNotSweptOut(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(0))
	c.Node(0).Standing(dataproxytest.Silence())
	hurry(t, client)
	client.SendAsync(context.Background(), message("on its way"), nil)
	eventually(t, "it is at the node", func() bool { return c.Count() == 1 })
	dataproxy.SweepStreams(client, true)
	require.Equal(t, 1, client.Stats().Streams)
}
