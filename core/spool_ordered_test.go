package dataproxy_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// onceEach checks that nothing came twice.
func onceEach(t *testing.T, c *dataproxytest.Cluster, messages int) {
	t.Helper()
	times := arrived(c)
	require.Len(t, times, messages)
	for payload, n := range times {
		require.Equal(t, 1, n, "%.20s", payload)
	}
}

// orderedOrNot runs a test for a client that keeps order and for one that does not.
func orderedOrNot(t *testing.T, test func(t *testing.T, ordered bool)) {
	t.Helper()
	for _, ordered := range []bool{false, true} {
		t.Run(fmt.Sprint("ordered ", ordered), func(t *testing.T) {
			t.Parallel()
			test(t, ordered)
		})
	}
}

// S1 with ordered: what is sent while memory is short overtakes what was left to the disk, or senders wait although the disk has room.
func TestOrderIsKeptThroughAnOutageThatFillsMemoryTenTimes(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(2))
	const bound, streams = 4 << 20, 7
	client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithOrdered(true), dataproxy.WithMaxPendingBytes(bound),
		dataproxy.WithBlockIfQueueIsFull(true))
	down(t, c, client)
	c.Reset()
	var results spoolResults
	payload := strings.Repeat("x", 1000)
	const each = 10 * bound / 1000 / streams
	for i := range each {
		for s := range streams {
			client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", s), "%d %d %s", s, i, payload), results.callback)
		}
		if i == each/10*9 { // the last ones meet the others on the way
			up(c)
		}
		require.LessOrEqual(t, client.Stats().PendingBytes, int64(bound)*17/16)
	}
	require.NoError(t, c.WaitCount(patient(t), streams*each))
	require.NoError(t, client.Flush(patient(t)))
	acked, stored, failed := results.counts()
	require.Zero(t, failed)
	require.Equal(t, streams*each, acked+stored)
	require.Greater(t, stored, streams*each/2)
	onceEach(t, c, streams*each)
	inOrder(t, c, streams, each)
	settled(t, client)
}

// S1 with ordered: after an outage senders waited until all that their stream had on the disk was delivered, although the disk had room:
// half an hour after one of an hour.
func TestSendersDoNotWaitForWhatTheirStreamHasOnTheDisk(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, patience} {
		t.Run(fmt.Sprint("spool_after=", after), func(t *testing.T) { sendersDoNotWait(t, after) })
	}
}

func sendersDoNotWait(t *testing.T, after time.Duration) {
	c := cluster(t, dataproxytest.WithNodes(1))
	const bound = 1 << 20
	client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithSpoolAfter(after), dataproxy.WithOrdered(true), dataproxy.WithMaxPendingBytes(bound),
		dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithAckTimeout(2*patience), dataproxy.WithSendTimeout(2*patience))
	down(t, c, client)
	c.Reset()
	goOn := make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(release)
	c.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault {
		<-goOn
		return dataproxytest.Fault{}
	})
	payload := strings.Repeat("x", 1000)
	const each = 5 * bound / 1000
	send := func(from int) {
		for i := range each {
			client.SendAsync(context.Background(), streamMessage("s", "0 %d %s", from+i, payload), nil)
		}
	}
	send(0)
	up(c)
	eventually(t, "the first one is on its way", func() bool { return c.Node(0).Frames() > 0 })
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		send(each)
	}()
	select {
	case <-sent:
	case <-patient(t).Done():
		t.Error("senders wait")
	}
	release()
	<-sent
	require.NoError(t, client.Flush(patient(t)))
	require.NoError(t, c.WaitCount(patient(t), 2*each))
	inOrder(t, c, 1, 2*each)
	onceEach(t, c, 2*each)
	settled(t, client)
}

// The next client sends its own messages before those that the last one has left.
func TestOrderIsKeptFromOneClientToTheNext(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(2))
	dir := t.TempDir()
	const streams, each, clients = 3, 300, 3
	padding := make([]byte, 1000) // so that what is left lies in several segments
	_, _ = rand.NewChaCha8([32]byte{}).Read(padding)
	send := func(client dataproxy.FullClient, round int) {
		if round == clients-1 { // it has nothing but in the last segment
			client.SendAsync(context.Background(), streamMessage("late", "%d %d", streams, clients-1), nil)
		}
		for i := range each {
			for s := range streams {
				msg := streamMessage(fmt.Sprint("stream", s), "%d %d %x", s, round*each+i, padding)
				if i%3 == 0 { // other attributes do not make another line
					msg.Attributes = map[string]string{"color": "red"}
				}
				client.SendAsync(context.Background(), msg, nil)
			}
		}
		if round < clients-1 {
			client.SendAsync(context.Background(), streamMessage("late", "%d %d", streams, round), nil)
		}
	}
	for round := range clients - 1 {
		client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithOrdered(true), dataproxy.WithBatchingMaxMessages(7),
			dataproxy.WithSpoolMaxBytes(8<<20))
		down(t, c, client)
		c.Reset()
		send(client, round)
		stored(t, client, (round+1)*(streams*each+1))
		hurried, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		_, _ = client.Shutdown(hurried)
		cancel()
		up(c)
		if round < clients-2 {
			for _, n := range c.Nodes() {
				n.Standing(dataproxytest.ErrorCode(114)) // the next one connects, and cannot send what is there
			}
		}
	}
	for _, n := range c.Nodes() {
		n.ClearFaults()
	}
	c.Reset()
	last := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithOrdered(true), dataproxy.WithBatchingMaxMessages(7), dataproxy.WithSpoolMaxBytes(8<<20))
	send(last, clients-1)
	require.NoError(t, c.WaitCount(patient(t), clients*(streams*each+1)))
	require.NoError(t, last.Flush(patient(t)))
	onceEach(t, c, clients*(streams*each+1))
	next := make([]int, streams+1)
	for _, m := range c.Messages() {
		var stream, number int
		_, err := fmt.Sscanf(string(m), "%d %d", &stream, &number)
		require.NoError(t, err)
		require.Equal(t, next[stream], number, "stream %d", stream)
		next[stream]++
	}
	settled(t, last)
	last.Close()
	require.Empty(t, segmentFiles(t, dir))
}

// A message whose time is over while others wait before and after it is sent again after those, or the stream stands for ever.
func TestAStoredMessageWhoseTimeIsOverKeepsItsPlace(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"a node that answers late", "nodes that are down"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			c := cluster(t, dataproxytest.WithNodes(1))
			client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithOrdered(true), dataproxy.WithBatchingMaxMessages(1))
			goOn := make(chan struct{})
			release := sync.OnceFunc(func() { close(goOn) })
			t.Cleanup(release)
			var first atomic.Bool
			if way == "nodes that are down" {
				down(t, c, client)
			} else {
				c.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault {
					if !first.Swap(true) {
						<-goOn
					}
					return dataproxytest.Fault{}
				})
			}
			c.Reset()
			var results spoolResults
			short, cancel := context.WithTimeout(context.Background(), 2*time.Second) // from before the first one is sent
			defer cancel()
			const messages, hurried = 200, 100
			for i := range messages {
				ctx := context.Background()
				if i%2 == 1 || i == 4 {
					ctx = short
				}
				client.SendAsync(ctx, streamMessage("s", "0 %d", i), results.callback)
			}
			eventually(t, "those in a hurry have their results", func() bool { return results.count() == hurried+1 })
			_, stored, failed := results.counts()
			require.Equal(t, hurried+1, stored)
			require.Zero(t, failed)
			release()
			up(c)
			require.NoError(t, c.WaitCount(patient(t), messages))
			require.NoError(t, client.Flush(patient(t)))
			inOrder(t, c, 1, messages)
			onceEach(t, c, messages)
			settled(t, client)
		})
	}
}

// A full disk has what it took sent after what it did not take.
func TestOrderIsKeptWhereTheDiskIsFull(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithOrdered(true), dataproxy.WithSpoolMaxBytes(1<<20), dataproxy.WithCompression(dataproxy.None),
		dataproxy.WithMaxPendingBytes(8<<20))
	down(t, c, client)
	c.Reset()
	var results spoolResults
	payload := strings.Repeat("x", 1000)
	short, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	const messages, hurried = 3000, 300
	for i := range messages {
		ctx := context.Background()
		if i < hurried {
			ctx = short
		}
		client.SendAsync(ctx, streamMessage("s", "0 %d %s", i, payload), results.callback)
	}
	eventually(t, "those in a hurry have their results", func() bool { return results.count() == hurried })
	_, stored, _ := results.counts()
	require.Equal(t, hurried, stored)
	up(c)
	require.NoError(t, client.Flush(patient(t)))
	require.NoError(t, c.WaitCount(patient(t), messages))
	inOrder(t, c, 1, messages)
	onceEach(t, c, messages)
	settled(t, client)
}

// What is adopted is sent in another order than it was stored in.
func TestAnAdoptedSlotKeepsItsOrder(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	dir := t.TempDir()
	const each = 300
	first := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithOrdered(true), dataproxy.WithBatchingMaxMessages(5))
	second := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithOrdered(true), dataproxy.WithBatchingMaxMessages(5))
	down(t, c, first)
	c.Reset()
	for i := range each {
		first.SendAsync(context.Background(), streamMessage("s", "0 %d", i), nil)
		second.SendAsync(context.Background(), streamMessage("s", "1 %d", i), nil)
	}
	stored(t, first, each)
	stored(t, second, each)
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	_, _ = first.Shutdown(ctx)
	_, _ = second.Shutdown(ctx)
	up(c)
	third := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithOrdered(true))
	for i := range each {
		third.SendAsync(context.Background(), streamMessage("s", "2 %d", i), nil)
	}
	require.NoError(t, c.WaitCount(patient(t), 3*each))
	require.NoError(t, third.Flush(patient(t)))
	inOrder(t, c, 3, each)
	onceEach(t, c, 3*each)
	settled(t, third)
	third.Close()
	require.Empty(t, segmentFiles(t, dir))
}
