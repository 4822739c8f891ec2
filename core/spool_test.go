package dataproxy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// spoolResults collects the results of messages by payload.
type spoolResults struct {
	mu sync.Mutex
	of map[string]error
	n  int
}

func (o *spoolResults) callback(msg dataproxy.Message, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil {
		o.of = map[string]error{}
	}
	o.of[string(msg.Payload)] = err
	o.n++
}

func (o *spoolResults) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n
}

func (o *spoolResults) counts() (acked, stored, failed int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, err := range o.of {
		var e *dataproxy.Error
		switch {
		case err == nil:
			acked++
		case errors.As(err, &e) && e.Code == dataproxy.CodeStored && e.Persisted() == dataproxy.Stored && !e.Retriable():
			stored++
		default:
			failed++
		}
	}
	return acked, stored, failed
}

// down kills all nodes, and waits until the client has no lane.
func down(t *testing.T, c *dataproxytest.Cluster, client dataproxy.FullClient) {
	t.Helper()
	for _, n := range c.Nodes() {
		n.Kill()
	}
	eventually(t, "no usable lane", func() bool {
		return !slices.ContainsFunc(client.Stats().Lanes, func(l dataproxy.LaneStats) bool { return l.Usable })
	})
}

// stored waits until so many messages are in the client's spool: a close that is in a hurry leaves out what the disk was too slow for.
func stored(t *testing.T, client dataproxy.FullClient, messages int) {
	t.Helper()
	eventually(t, "messages are stored", func() bool { return client.Stats().Spool.Messages >= int64(messages) })
}

func up(c *dataproxytest.Cluster) {
	for _, n := range c.Nodes() {
		n.Revive()
	}
}

// arrived returns how often each payload came.
func arrived(c *dataproxytest.Cluster) map[string]int {
	times := map[string]int{}
	for _, m := range c.Messages() {
		times[string(m)]++
	}
	return times
}

// segmentFiles returns the files of records that are in a spool.
func segmentFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "slot-*", "*.seg"))
	require.NoError(t, err)
	return files
}

// An outage that is longer than send_timeout costs every message that was sent in it.
func TestStoredMessagesOutliveAnOutage(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(2))
	client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithSendTimeout(2*time.Second))
	down(t, c, client)
	c.Reset()
	var results spoolResults
	const messages = 500
	for i := range messages {
		client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", i%7), "%d", i), results.callback)
	}
	eventually(t, "results", func() bool { return results.count() == messages })
	_, stored, failed := results.counts()
	require.Equal(t, messages, stored, "%d failed", failed)
	require.Zero(t, c.Count())
	up(c)
	require.NoError(t, c.WaitCount(patient(t), messages))
	require.NoError(t, client.Flush(patient(t)))
	for payload, times := range arrived(c) {
		require.Equal(t, 1, times, payload)
	}
	require.Len(t, arrived(c), messages)
	require.Equal(t, messages, results.count(), "one result each")
}

// S8: what has no ack when its client is closed is lost, or its result says that it may be sent again.
func TestWhatIsStoredAtACloseIsSentByTheNextClient(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	dir := t.TempDir()
	client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithAddColumns(map[string]string{"__addcol1__worldid": "7"}))
	down(t, c, client)
	c.Reset()
	var results spoolResults
	const messages = 200
	sent := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	for i := range messages {
		msg := streamMessage("s", "%d", i)
		msg.Attributes, msg.Time = map[string]string{"color": fmt.Sprint(i % 3)}, sent
		client.SendAsync(context.Background(), msg, results.callback)
	}
	stored(t, client, messages)
	dataproxy.SetCallbackGrace(client, patience)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	report, _ := client.Shutdown(ctx)
	require.EqualValues(t, messages, report.ByCode[dataproxy.CodeStored], "%+v", report)
	require.Zero(t, report.Unsent)
	require.Zero(t, report.Uncalled)
	_, kept, _ := results.counts()
	require.EqualValues(t, messages, kept)
	require.NotEmpty(t, segmentFiles(t, dir))

	up(c)
	next := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithAddColumns(map[string]string{"__addcol1__worldid": "8"}))
	require.NoError(t, c.WaitCount(patient(t), messages))
	require.Len(t, arrived(c), messages)
	for _, r := range c.Received() {
		require.Equal(t, sent.UnixMilli(), r.EventTime.UnixMilli())
		require.Contains(t, r.Attr, "color")
		require.Equal(t, "7", r.Attr["__addcol1__worldid"], "those of the client that stored it")
	}
	settled(t, next)
	next.Close()
	require.Empty(t, segmentFiles(t, dir), "nothing is left")
	third := connect(t, c, dataproxy.WithSpoolDir(dir))
	require.NoError(t, third.Send(patient(t), message("x")))
	require.Equal(t, messages+1, c.Count())
}

// The acks of a healthy cluster leave files behind that grow for ever.
func TestAHealthyClusterLeavesNoFiles(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithDigestRecorder())
	dir := t.TempDir()
	client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithBlockIfQueueIsFull(true))
	payload := strings.Repeat("x", 1000)
	const messages = 100_000
	for range messages {
		client.SendAsync(context.Background(), message(payload), nil)
	}
	require.NoError(t, client.Flush(patient(t)))
	require.EqualValues(t, messages, client.Stats().Acked)
	client.Close()
	require.Empty(t, segmentFiles(t, dir))
}

// S1: memory is full while no node takes messages, and senders wait or fail although the disk has room.
func TestMemoryIsLeftToTheDiskWhileNoNodeTakesMessages(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(2))
	const bound = 4 << 20
	client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithMaxPendingBytes(bound), dataproxy.WithBlockIfQueueIsFull(true))
	down(t, c, client)
	c.Reset()
	var results spoolResults
	payload := strings.Repeat("x", 1000)
	const messages = 10 * bound / 1000
	for i := range messages {
		client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", i%20), "%d %s", i, payload), results.callback)
		if i%1000 == 0 {
			require.LessOrEqual(t, client.Stats().PendingBytes, int64(bound))
		}
	}
	up(c)
	require.NoError(t, c.WaitCount(patient(t), messages))
	require.NoError(t, client.Flush(patient(t)))
	require.Equal(t, messages, results.count())
	acked, stored, failed := results.counts()
	require.Zero(t, failed)
	require.Equal(t, messages, acked+stored)
	require.Greater(t, stored, messages/2)
	require.Len(t, arrived(c), messages)
	for payload, times := range arrived(c) {
		require.Equal(t, 1, times, payload[:10])
	}
}

// S6: what a client has left that is gone stays where it is, since the other clients have slots of their own.
func TestTheSlotOfAClientThatIsGoneIsAdopted(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	dir := t.TempDir()
	first, second := connect(t, c, dataproxy.WithSpoolDir(dir)), connect(t, c, dataproxy.WithSpoolDir(dir))
	down(t, c, first)
	c.Reset()
	for i := range 50 {
		first.SendAsync(context.Background(), streamMessage("s", "first %d", i), nil)
		second.SendAsync(context.Background(), streamMessage("s", "second %d", i), nil)
	}
	stored(t, first, 50)
	stored(t, second, 50)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = second.Shutdown(ctx)
	_, _ = first.Shutdown(ctx)
	up(c)
	connect(t, c, dataproxy.WithSpoolDir(dir)) // has the first slot for its own
	require.NoError(t, c.WaitCount(patient(t), 100))
	require.Len(t, arrived(c), 100)
}

// S5: a folder that is gone, or takes nothing, stops the client.
func TestAFolderThatFailsStopsNothing(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	dir := filepath.Join(t.TempDir(), "spool")
	client := connect(t, c, dataproxy.WithSpoolDir(dir))
	require.NoError(t, client.Send(patient(t), message("1")))
	require.NoError(t, os.RemoveAll(dir))
	for i := range 20 {
		require.NoError(t, client.Send(patient(t), streamMessage("s", "%d", i)))
	}
	require.Equal(t, 21, c.Count())
}

// What was written to a segment of a folder that is gone was nowhere, and its messages were called stored.
func TestNothingIsStoredInAFolderThatIsGone(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	dir := filepath.Join(t.TempDir(), "spool")
	client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSendTimeout(300*time.Millisecond))
	require.NoError(t, client.Send(patient(t), message("1"))) // a segment is open now
	down(t, c, client)
	require.NoError(t, os.RemoveAll(dir))
	err := client.Send(patient(t), message("2"))
	require.True(t, isCode(err, dataproxy.CodeSendTimeout), "%v", err)
	require.Equal(t, dataproxy.SpoolFailed, client.Stats().Spool.State)
}

// What had been stored in a folder before it was removed ended with "stored" though it was nowhere any more, and was counted nowhere.
func TestWhatGoesWithItsFolderIsNotCalledStored(t *testing.T) {
	t.Parallel()
	for _, result := range []dataproxy.SpoolResult{dataproxy.SpoolResultAcked, dataproxy.SpoolResultStored} {
		c := cluster(t)
		dir := filepath.Join(t.TempDir(), "spool")
		client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolResult(result), dataproxy.WithSendTimeout(2*time.Second))
		down(t, c, client)
		first := make(chan error, 1)
		client.SendAsync(context.Background(), message("1"), func(_ dataproxy.Message, err error) { first <- err })
		stored(t, client, 1)
		if result == dataproxy.SpoolResultStored {
			require.NoError(t, <-first)
		}
		require.NoError(t, os.RemoveAll(dir))
		err := client.Send(patient(t), message("2"))
		require.True(t, isCode(err, dataproxy.CodeSendTimeout), "%v", err)
		if result == dataproxy.SpoolResultStored {
			require.EqualValues(t, 1, client.Stats().Spool.Lost)
			continue
		}
		require.True(t, isCode(<-first, dataproxy.CodeSendTimeout))
		require.Zero(t, client.Stats().Spool.Lost)
		settled(t, client)
	}
}

// A spool's folder that cannot be used is noticed when the first message is lost.
func TestAFolderThatCannotBeUsedIsAnErrorAtTheStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	c := cluster(t)
	_, err := dataproxy.NewClient(append(basics(c), dataproxy.WithSpoolDir(file))...)
	require.ErrorContains(t, err, "spool_dir")
	require.ErrorContains(t, err, file)
	dir := t.TempDir()
	_, err = dataproxy.NewClient(dataproxy.WithGroupID("test_group"), dataproxy.WithSpoolDir(dir), dataproxy.WithStaticNodes("127.0.0.1:1"),
		dataproxy.WithConnTimeout(50*time.Millisecond), dataproxy.WithLogger(dataproxy.NopLogger()))
	require.ErrorIs(t, err, dataproxy.ErrNoAvailableWorker)
	connect(t, c, dataproxy.WithSpoolDir(dir))
	slots, err := filepath.Glob(filepath.Join(dir, "slot-*"))
	require.NoError(t, err)
	require.Len(t, slots, 1, "the client that failed has left its slot")
}

// A batch that every node refuses is sent for ever, or keeps the others waiting.
func TestAStoredBatchThatIsRefusedIsGivenUp(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	dir := t.TempDir()
	client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithBatchingMaxMessages(1))
	c.Node(0).Handle(func(r dataproxytest.Record) dataproxytest.Fault {
		if r.Stream == "bad" {
			return dataproxytest.ErrorCode(121)
		}
		return dataproxytest.Fault{}
	})
	require.NoError(t, client.Send(patient(t), streamMessage("good", "1")))
	err := client.Send(patient(t), streamMessage("bad", "2"))
	require.True(t, isCode(err, dataproxy.CodeServerError), "%v", err)
	require.NoError(t, client.Send(patient(t), streamMessage("good", "3")))
	client.Close()
	require.Empty(t, segmentFiles(t, dir))
}
