package dataproxy_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

const fills, waits = 100, 200

// backlog stores a hundred messages that fill the room of a client for 100, and after them, at that time, one batch of two hundred.
func backlog(t *testing.T, at time.Time) (dir string) {
	t.Helper()
	dir = t.TempDir()
	store, err := spool.Open(dir, spool.Options{})
	require.NoError(t, err)
	for i := range fills {
		put(t, store, uint64(i), "s", fmt.Sprint(i, strings.Repeat(" some text", 100)), time.Now())
	}
	var body []byte
	for i := range waits {
		body = append(binary.BigEndian.AppendUint32(body, 3), fmt.Sprintf("%03d", i)...)
	}
	_, err = store.Append(nil, []spool.Record{{
		ID: wire.BatchID{Client: 7, Seq: 7}, Group: "test_group", Stream: "s", EventTime: at.UnixMilli(), Stored: at.UnixMilli(),
		Messages: waits, Body: body,
	}}, true)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	return dir
}

// crowded makes a client of one worker that has read back what fills it, and whose node answers nothing until the gate is open.
func crowded(t *testing.T, dir string, opts ...dataproxy.Option) (client dataproxy.FullClient, open func()) {
	t.Helper()
	c, gate := cluster(t, dataproxytest.WithNodes(1)), make(chan struct{})
	c.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault {
		<-gate
		return dataproxytest.Fault{}
	})
	client = connect(t, c, append(opts, dataproxy.WithSpoolDir(dir), dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(fills),
		dataproxy.WithMaxPendingBytes(1<<20))...)
	open = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	eventually(t, "the room is taken", func() bool { return client.Stats().PendingMessages >= fills })
	return client, open
}

// A batch that was read back, and grew too old while it waited for room, gave back room that it never had: its worker's account was below
// zero then, which reads as millions of messages, and each send through it failed with "queue full" for the client's life.
func TestWhatGrowsTooOldWhileItWaitsForRoomGivesNoneBack(t *testing.T) {
	t.Parallel()
	const age, left = time.Hour, 500 * time.Millisecond
	over := time.Now().Add(left)
	client, open := crowded(t, backlog(t, over.Add(-age)), dataproxy.WithSpoolMaxAge(age))
	time.Sleep(time.Until(over.Add(left / 5)))
	require.EqualValues(t, fills, client.Stats().PendingMessages)
	open()
	eventually(t, "it is given up", func() bool { return client.Stats().Spool.GivenUp == waits })
	require.NoError(t, client.Send(patient(t), streamMessage("s", "new")))
	settled(t, client)
}

// A close whose time was over while the disk was slow settled such a batch first, and the spool charged for it then.
func TestWhatWaitsForRoomAtACloseLeavesNoAccountBehind(t *testing.T) {
	t.Parallel()
	client, _ := crowded(t, backlog(t, time.Now()))
	letGo := dataproxy.HoldSpooler(client)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = client.Shutdown(ctx)
	letGo()
	settled(t, client)
}

// A batch of an ordered client that was acked between the look whether it can be left to the disk and that: by then it was another stream's
// open batch, whose messages failed and were lost, and a flush waited for it for ever.
func TestMemoryIsNotMadeFromWhatIsAckedMeanwhile(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithOrdered(true))
	down(t, c, client)
	for i := range 20 {
		var results spoolResults
		client.SendAsync(context.Background(), message("x"), results.callback)
		stored(t, client, 1)
		left := dataproxy.LeaveBesideAck(client)
		eventually(t, "it has its result", func() bool { return results.count() == 1 })
		_, kept, _ := results.counts()
		require.Equal(t, left, kept == 1, "round %d", i)
		eventually(t, "it is acked", func() bool { return client.Stats().Spool.Batches == 0 })
	}
	settled(t, client)
}
