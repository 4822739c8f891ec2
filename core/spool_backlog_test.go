package dataproxy_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// S11: what a large backlog costs goes with its length: memory, and the time to the first ack. INLONG_TEST_BACKLOG=10000000 sends as many
// messages, and wants the first ack within 2 s, which other processes can take from a machine.
func TestALargeBacklogIsSentInLittleMemory(t *testing.T) {
	const each, length = 50, 100
	most, alone := 60_000, false
	if text := os.Getenv("INLONG_TEST_BACKLOG"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		most, alone = n, true
	}
	dir := t.TempDir()
	store, err := spool.Open(dir, spool.Options{})
	require.NoError(t, err)
	messages := 0
	for ; messages < most; messages += each {
		r := spool.Record{ID: wire.BatchID{Client: 1, Seq: uint64(messages)}, Group: "test_group", Stream: "s", EventTime: time.Now().UnixMilli(),
			Stored: time.Now().UnixMilli(), Messages: each}
		for i := range each {
			r.Body = binary.BigEndian.AppendUint32(r.Body, length)
			r.Body = fmt.Appendf(r.Body, "%0*d", length, messages+i)
		}
		_, err := store.Append(nil, []spool.Record{r}, true)
		require.NoError(t, err)
	}
	require.NoError(t, store.Close())

	c := cluster(t, dataproxytest.WithNodes(1), dataproxytest.WithoutRecorder())
	before, began := heapNow(), time.Now()
	client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithMaxPendingBytes(1<<20))
	eventually(t, "something is acked", func() bool { return client.Stats().Spool.Replayed > 0 })
	first, held := time.Since(began), int64(0)
	require.Eventually(t, func() bool {
		held = max(held, heapNow()-before)
		return client.Stats().Spool.Batches == 0
	}, 10*time.Minute, 50*time.Millisecond, "all are acked")
	t.Logf("%d messages: the first ack after %v, all after %v, %d KiB of heap", messages, first, time.Since(began), held>>10)
	require.Less(t, held, int64(6<<20), "of %d MiB", messages*length>>20)
	require.Equal(t, messages, c.Count())
	require.Zero(t, client.Stats().Spool.GivenUp)
	if alone {
		require.Less(t, first, 2*time.Second)
	}
}

// S1: one busy stream beside an idle one of its worker has seven eighths of what a worker can have, which is less than three quarters of all
// memory: nothing was left to the disk, and each of its senders waited for the send timeout.
func TestOneBusyStreamGoesOnThroughAnOutage(t *testing.T) {
	t.Parallel()
	orderedOrNot(t, func(t *testing.T, ordered bool) {
		c := cluster(t, dataproxytest.WithNodes(1))
		const bound = 1 << 20
		client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithOrdered(ordered), dataproxy.WithMaxPendingBytes(bound),
			dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithSendTimeout(2*patience))
		hurry(t, client)
		for i := range 100 { // some have the busy one's worker
			client.SendAsync(context.Background(), streamMessage(fmt.Sprint("idle", i), "x"), nil)
		}
		require.NoError(t, client.Flush(patient(t)))
		down(t, c, client)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			payload := strings.Repeat("x", 1000)
			for range 3 * bound / len(payload) {
				client.SendAsync(context.Background(), streamMessage("busy", "%s", payload), nil)
			}
		}()
		select {
		case <-sent:
		case <-patient(t).Done():
			t.Error("senders wait")
		}
	})
}
