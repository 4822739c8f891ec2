package dataproxy_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// What nobody wants any more fills the disk through an outage, and is sent after it.
func TestWhatIsOlderThanItsAgeIsGivenUp(t *testing.T) {
	t.Parallel()
	orderedOrNot(t, func(t *testing.T, ordered bool) {
		c := cluster(t, dataproxytest.WithNodes(2))
		dir, log := t.TempDir(), newMemoLog()
		client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolMaxAge(2*time.Second), dataproxy.WithOrdered(ordered),
			dataproxy.WithSendTimeout(300*time.Millisecond), dataproxy.WithLogger(log))
		require.NoError(t, client.Send(patient(t), streamMessage("s", "first")))
		down(t, c, client)
		var results spoolResults
		const messages = 300
		for i := range messages {
			client.SendAsync(context.Background(), streamMessage("s", "old %d", i), results.callback)
		}
		eventually(t, "results", func() bool { return results.count() == messages })
		_, stored, _ := results.counts()
		require.Equal(t, messages, stored)
		eventually(t, "they are given up during the outage", func() bool { return client.Stats().Spool.GivenUp == messages })
		eventually(t, "a log line says so", func() bool { return log.count("older than spool_max_age") > 0 })
		up(c)
		eventually(t, "new messages are sent", func() bool { return client.Send(patient(t), streamMessage("s", "new")) == nil })
		eventually(t, "those that were stored too", func() bool { return client.Stats().Spool.Batches == 0 })
		client.Close()
		require.Empty(t, segmentFiles(t, dir), "nothing is left")
		for payload := range arrived(c) {
			require.False(t, strings.HasPrefix(payload, "old"), payload)
		}
		settled(t, client)
	})
}

// What was read back and cannot be sent in its time is sent all the same, or its memory is never free again.
func TestWhatWasReadBackIsGivenUpTooWhenItIsTooOld(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	dir := t.TempDir()
	leave(t, c, dir, numbered(100, ""))
	c.Node(0).Standing(dataproxytest.ErrorCode(114))
	client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolMaxAge(4*time.Second))
	eventually(t, "one was refused", func() bool { return c.Node(0).Frames() > 0 })
	eventually(t, "all are given up", func() bool { return client.Stats().Spool.GivenUp == 100 })
	c.Node(0).ClearFaults()
	require.NoError(t, client.Send(patient(t), streamMessage("s", "new")))
	client.Close()
	require.Empty(t, segmentFiles(t, dir))
	require.Equal(t, map[string]int{"new": 1}, arrived(c))
	settled(t, client)
}

// Who needs to know no more than that a message is safe waits for nodes all the same.
func TestStoredIsTheResultWhereThatWasAskedFor(t *testing.T) {
	t.Parallel()
	orderedOrNot(t, func(t *testing.T, ordered bool) {
		c := cluster(t, dataproxytest.WithNodes(2))
		dir := t.TempDir()
		client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolResult(dataproxy.SpoolResultStored), dataproxy.WithOrdered(ordered),
			dataproxy.WithSpoolSync(dataproxy.SpoolSyncBatch), dataproxy.WithBatchingMaxMessages(10))
		down(t, c, client)
		c.Reset()
		const messages = 1000
		var results spoolResults
		for i := range messages / 2 {
			client.SendAsync(context.Background(), streamMessage("s", "0 %d", i), results.callback)
		}
		require.NoError(t, client.Flush(patient(t)))
		acked, _, _ := results.counts()
		require.Equal(t, messages/2, acked)
		require.EqualValues(t, messages/2, client.Stats().Acked)
		require.Zero(t, c.Count())
		up(c)
		for i := messages / 2; i < messages; i++ {
			client.SendAsync(context.Background(), streamMessage("s", "0 %d", i), results.callback)
		}
		require.NoError(t, c.WaitCount(patient(t), messages))
		require.NoError(t, client.Flush(patient(t)))
		onceEach(t, c, messages)
		if ordered {
			inOrder(t, c, 1, messages)
		}
		require.EqualValues(t, messages, client.Stats().Acked, "once each")
		settled(t, client)
		client.Close()
		require.Empty(t, segmentFiles(t, dir))
	})
}

// Where nothing can be stored, the result comes without a reason, or never.
func TestWhatCannotBeStoredHasItsResultByItsAck(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithSpoolResult(dataproxy.SpoolResultStored), dataproxy.WithSpoolMaxBytes(1<<20), dataproxy.WithCompression(dataproxy.None),
		dataproxy.WithSendTimeout(time.Second))
	down(t, c, client)
	c.Reset()
	var results spoolResults
	payload := strings.Repeat("x", 1000)
	const messages = 3000
	for i := range messages {
		client.SendAsync(context.Background(), streamMessage("s", "%d %s", i, payload), results.callback)
	}
	eventually(t, "results", func() bool { return results.count() == messages })
	stored, _, failed := results.counts()
	require.Greater(t, stored, 500)
	require.Greater(t, failed, 1500)
	up(c)
	require.NoError(t, c.WaitCount(patient(t), stored))
	require.Len(t, arrived(c), stored)
}

// Flush, and a close, waited until what was read back from the disk was acked, though each message had its result: with nodes that are
// silent for as long as they were let.
func TestNobodyWaitsForWhatWasReadBack(t *testing.T) {
	t.Parallel()
	orderedOrNot(t, func(t *testing.T, ordered bool) {
		c := cluster(t, dataproxytest.WithNodes(1))
		c.Node(0).Standing(dataproxytest.Silence())
		client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithSpoolResult(dataproxy.SpoolResultStored), dataproxy.WithOrdered(ordered))
		require.NoError(t, client.Send(patient(t), streamMessage("s", "stored")))
		eventually(t, "the node has it", func() bool { return c.Node(0).Frames() > 0 })
		inTime(t, time.Second, "flush", func() {
			if err := client.Flush(patient(t)); err != nil {
				t.Error(err)
			}
		})
		inTime(t, time.Second, "close", func() {
			report, err := client.Shutdown(patient(t))
			if err != nil || report.Acked != 1 || report.Unsent != 0 {
				t.Error(report, err)
			}
		})
		require.Empty(t, dataproxy.Leftovers(client))
	})
}

// Each close of a program whose messages have their results when they are stored had what was on its way then arrive twice.
func TestACloseGivesAcksOfWhatWasReadBackAMoment(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	arrived, closing := make(chan struct{}), make(chan struct{})
	c.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault {
		close(arrived)
		<-closing
		return dataproxytest.Fault{}
	})
	dir := t.TempDir()
	client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolResult(dataproxy.SpoolResultStored))
	dataproxy.SetCallbackGrace(client, patience)
	require.NoError(t, client.Send(patient(t), message("stored")))
	<-arrived
	go func() {
		for !isCode(client.Ready(patient(t)), dataproxy.CodeClosed) {
			runtime.Gosched()
		}
		close(closing)
	}()
	client.Close()
	require.Empty(t, segmentFiles(t, dir))
}
