package dataproxy_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A cluster that acks in time costs the disk what spool_after was to spare; or what is done with stays in memory until it would be stored.
func TestWhatIsAckedInTimeIsNotStored(t *testing.T) {
	t.Parallel()
	orderedOrNot(t, func(t *testing.T, ordered bool) {
		c := cluster(t, dataproxytest.WithDigestRecorder())
		dir := t.TempDir()
		client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolAfter(20*time.Second), dataproxy.WithOrdered(ordered),
			dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithBatchingMaxMessages(5),
			dataproxy.WithMaxPendingMessages(200)) // so that most batches are done with while others are sent
		const messages = 30_000
		for i := range messages {
			client.SendAsync(context.Background(), streamMessage(fmt.Sprint("s", i%500), "%d", i), nil)
		}
		require.NoError(t, client.Flush(patient(t)))
		require.Empty(t, segmentFiles(t, dir))
		require.EqualValues(t, messages, client.Stats().Acked)
		require.Less(t, dataproxy.ToBeStored(client), 3000, "of 6,000 batches and more")
		client.Close()
		require.Empty(t, segmentFiles(t, dir))
		require.Zero(t, dataproxy.ToBeStored(client))
	})
}

// S8: what has no result at a close, and was not stored before, is lost.
func TestACloseStoresWhatWasToBeStoredLater(t *testing.T) {
	t.Parallel()
	orderedOrNot(t, func(t *testing.T, ordered bool) {
		c := cluster(t, dataproxytest.WithNodes(2))
		dir := t.TempDir()
		client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolAfter(20*time.Second), dataproxy.WithOrdered(ordered))
		for _, n := range c.Nodes() {
			n.Handle(func(dataproxytest.Record) dataproxytest.Fault { return dataproxytest.Silence() }) // some are in flight
		}
		const messages = 1000
		var results spoolResults
		for i := range messages {
			client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", i%2), "%d %d", i%2, i/2), results.callback)
		}
		require.Empty(t, segmentFiles(t, dir))
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		report, _ := client.Shutdown(ctx)
		require.EqualValues(t, messages, report.ByCode[dataproxy.CodeStored], "%+v", report)
		for _, n := range c.Nodes() {
			n.Handle(nil)
		}
		c.Reset()
		next := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolAfter(time.Second), dataproxy.WithOrdered(ordered))
		require.NoError(t, c.WaitCount(patient(t), messages))
		onceEach(t, c, messages)
		if ordered {
			inOrder(t, c, 2, messages/2)
		}
		settled(t, next)
		next.Close()
		require.Empty(t, segmentFiles(t, dir))
	})
}

// What is stored while it is in flight is sent again though it was acked, or its ack ends another batch that has its memory.
func TestWhatIsStoredInFlightIsAckedOnce(t *testing.T) {
	t.Parallel()
	orderedOrNot(t, func(t *testing.T, ordered bool) {
		c := cluster(t, dataproxytest.WithNodes(2))
		dir := t.TempDir()
		client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolAfter(10*time.Millisecond), dataproxy.WithOrdered(ordered),
			dataproxy.WithBatchingMaxMessages(3), dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithMaxPendingMessages(2000))
		var late atomic.Int64
		for _, n := range c.Nodes() {
			n.Handle(func(dataproxytest.Record) dataproxytest.Fault {
				if n := late.Add(1); n%50 == 0 { // around the moment at which it is stored
					return dataproxytest.Delay(time.Duration(8+n/50%8) * time.Millisecond)
				}
				return dataproxytest.Fault{}
			})
		}
		const streams, each = 10, 600
		var results spoolResults
		for i := range each {
			for s := range streams {
				client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", s), "%d %d", s, i), results.callback)
			}
		}
		require.NoError(t, client.Flush(patient(t)))
		acked, _, _ := results.counts()
		require.Equal(t, streams*each, acked)
		onceEach(t, c, streams*each)
		if ordered {
			inOrder(t, c, streams, each)
		}
		eventually(t, "nothing is left", func() bool { return client.Stats().Spool.Batches == 0 })
		settled(t, client)
		client.Close()
		require.Empty(t, segmentFiles(t, dir))
	})
}

// S1: memory is full long before spool_after is over, and senders wait although the disk has room.
func TestAnOutageThatFillsMemoryDoesNotWaitForSpoolAfter(t *testing.T) {
	t.Parallel()
	orderedOrNot(t, func(t *testing.T, ordered bool) {
		c := cluster(t, dataproxytest.WithNodes(2))
		const bound, streams = 4 << 20, 5
		client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithSpoolAfter(5*time.Minute), dataproxy.WithSendTimeout(10*time.Minute),
			dataproxy.WithMaxPendingBytes(bound), dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithOrdered(ordered))
		down(t, c, client)
		c.Reset()
		var results spoolResults
		payload := strings.Repeat("x", 1000)
		const each = 5 * bound / 1000 / streams
		for i := range each {
			for s := range streams {
				client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", s), "%d %d %s", s, i, payload), results.callback)
			}
		}
		up(c)
		require.NoError(t, c.WaitCount(patient(t), streams*each))
		require.NoError(t, client.Flush(patient(t)))
		acked, stored, failed := results.counts()
		require.Zero(t, failed)
		require.Equal(t, streams*each, acked+stored)
		require.Greater(t, stored, streams*each/2)
		onceEach(t, c, streams*each)
		if ordered {
			inOrder(t, c, streams, each)
		}
		settled(t, client)
	})
}
