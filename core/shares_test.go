package dataproxy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// fill sends to a stream until the queue is full, and returns how many messages were taken.
func fill(t *testing.T, client dataproxy.FullClient, stream string, size int, cb func()) (taken int) {
	t.Helper()
	for full := false; !full; {
		require.Less(t, taken, 100000, "the queue is never full")
		client.SendAsync(context.Background(), streamMessage(stream, "%*d", size, taken), func(_ dataproxy.Message, err error) {
			if isCode(err, dataproxy.CodeQueueFull) {
				full = true // on this goroutine
			} else if cb != nil {
				cb()
			}
		})
		if !full {
			taken++
		}
	}
	return taken
}

// A callback that never returns lets its stream's messages pile up. They used to fill the whole client: at last nobody could
// send any more.
func TestF5_StuckCallbackLeavesTheOthersTheirRoom(t *testing.T) {
	const others = 60
	for name, limit := range map[string]struct {
		option      dataproxy.Option
		least, most int
	}{
		"messages": {dataproxy.WithMaxPendingMessages(200), 200 * 7 / 8, 200 * 7 / 8},
		// Of 8 workers one has its own 8 KiB and at most 192 KiB beside them. What its batches cost beside the payloads is a part of that.
		"bytes": {dataproxy.WithMaxPendingBytes(256 << 10), 200 << 10 * 3 / 4 / (1000 + 4), 200 << 10 * 7 / 8 / (1000 + 4)},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			client := connect(t, c, limit.option)
			send := func() {
				for i := range others {
					require.NoError(t, client.Send(patient(t), streamMessage(fmt.Sprint("other", i), "x")))
				}
			}
			send()
			for i := range 200 { // whichever worker the stuck one gets: once in 3,000 runs it had none of 60 beside it
				client.SendAsync(context.Background(), streamMessage(fmt.Sprint("seen", i), "x"), nil)
			}
			require.NoError(t, client.Flush(patient(t)))
			release := make(chan struct{})
			t.Cleanup(sync.OnceFunc(func() { close(release) }))
			taken := fill(t, client, "stuck", 1000, func() { <-release })
			require.GreaterOrEqual(t, taken, limit.least)
			require.LessOrEqual(t, taken, limit.most)
			results := make(chan error, others)
			for i := range others {
				client.SendAsync(context.Background(), streamMessage(fmt.Sprint("other", i), "x"), func(_ dataproxy.Message, err error) { results <- err })
			}
			for range others / 2 { // at least so many do not share its worker
				require.NoError(t, <-results)
			}
			for range 20 { // again and again: their room comes back to them
				send()
			}
		})
	}
}

// Two streams of one worker: a program that pours into one, without waiting for room, must not lock the other one out.
func TestF1_GreedyStreamLeavesRoomForAnother(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(80), dataproxy.WithAckTimeout(time.Minute))
	hurry(t, client)
	require.NoError(t, client.Send(patient(t), streamMessage("modest", "first")))
	standing(c, dataproxytest.Silence())
	require.Equal(t, 70, fill(t, client, "greedy", 1, nil))
	require.Equal(t, 10, fill(t, client, "modest", 1, nil))
	require.Zero(t, fill(t, client, "late", 1, nil), "the bound of the worker holds all the same")
	require.EqualValues(t, 80, client.Stats().PendingMessages)
}

// In block mode those who wait for a stream that is at its bound must not hold up those who wait for nothing, nor must what is
// charged meanwhile be lost.
func TestF1_WaitersOfAGreedyStreamHoldUpNobody(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithWorkerNum(2), dataproxy.WithMaxPendingMessages(40), dataproxy.WithBlockIfQueueIsFull(true),
		dataproxy.WithMaxPendingBytes(64<<10))
	for i := range 8 {
		require.NoError(t, client.Send(patient(t), streamMessage(fmt.Sprint("modest", i), "first")))
	}
	release := make(chan struct{})
	var greedy, modest atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		each(100, func(i int) {
			client.SendAsync(context.Background(), streamMessage("greedy", "%*d", 1+i*7, i), func(dataproxy.Message, error) {
				<-release
				greedy.Add(1)
			})
		})
	}()
	eventually(t, "its senders wait", func() bool { return strings.Contains(dataproxy.Leftovers(client), "callers wait") })
	inTime(t, 5*time.Second, "the others", func() {
		each(8, func(i int) {
			for n := range 200 {
				if client.Send(context.Background(), streamMessage(fmt.Sprint("modest", i), "%*d", 1+(i*n)%500, n)) == nil {
					modest.Add(1)
				}
			}
		})
	})
	require.EqualValues(t, 1600, modest.Load())
	require.Zero(t, greedy.Load())
	close(release)
	<-done
	require.NoError(t, client.Flush(patient(t)))
	require.EqualValues(t, 100, greedy.Load())
	settled(t, client)
}

// Common bytes are for anyone who came first: a large message that waits for them must not be overtaken for ever by small ones of
// other workers.
func TestF1_LargeMessageGetsItsRoom(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithMaxPendingBytes(32<<10), dataproxy.WithBlockIfQueueIsFull(true))
	stop := make(chan struct{})
	pouring := make(chan struct{})
	go func() {
		defer close(pouring)
		each(16, func(i int) {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					client.SendAsync(context.Background(), streamMessage(fmt.Sprint("small", i), "%900d", n), nil)
				}
			}
		})
	}()
	for i := range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		require.NoError(t, client.Send(ctx, streamMessage("large", "%20000d", i)))
		cancel()
	}
	close(stop)
	<-pouring
	require.NoError(t, client.Flush(patient(t)))
	settled(t, client)
}

// A sender for which there is room must not be treated as one that waits because others of its worker do: its batches were flushed
// one by one, and in a callback it was refused.
func TestF1_RoomIsTakenBesideThoseWhoWait(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(800), dataproxy.WithBlockIfQueueIsFull(true))
	require.NoError(t, client.Send(patient(t), streamMessage("modest", "first")))
	release, entered := make(chan struct{}), make(chan struct{})
	inside := make(chan error, 1)
	client.SendAsync(context.Background(), streamMessage("greedy", "first"), func(dataproxy.Message, error) {
		close(entered)
		<-release
		client.SendAsync(context.Background(), streamMessage("modest", "inside"), func(_ dataproxy.Message, err error) { inside <- err })
	})
	<-entered
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		for i := range 800 {
			client.SendAsync(context.Background(), streamMessage("greedy", "%d", i), nil)
		}
	}()
	eventually(t, "it waits", func() bool { return strings.Contains(dataproxy.Leftovers(client), "1 callers wait") })
	before := client.Stats().Batches
	for i := range 50 {
		client.SendAsync(context.Background(), streamMessage("modest", "%d", i), nil)
	}
	close(release)
	require.NoError(t, <-inside)
	<-waiting
	require.NoError(t, client.Flush(patient(t)))
	modest := 0
	for _, r := range c.Received() {
		if r.Stream == "modest" {
			modest++
		}
	}
	require.LessOrEqual(t, modest, 6, "frames for 52 messages")
	require.Positive(t, client.Stats().Batches-before)
	settled(t, client)
}

// A stream at its own bound waits in no line until something of it ends. When the large message at the front of its waiters gave up, the
// small one after it, which had room, waited on: for ever, beside a callback that was stuck.
func TestF1_GivingUpLetsASmallerMessageOfTheStreamIn(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingBytes(1<<20), dataproxy.WithBlockIfQueueIsFull(true),
		dataproxy.WithBatchingMaxMessages(1))
	require.NoError(t, client.Send(patient(t), streamMessage("modest", "first")))
	release := make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	var waits sync.WaitGroup
	t.Cleanup(waits.Wait)
	send := func(ctx context.Context, size int) (taken chan struct{}) {
		taken = make(chan struct{})
		waits.Go(func() {
			client.SendAsync(ctx, streamMessage("greedy", "%*d", size, 1), func(_ dataproxy.Message, err error) {
				if err == nil {
					<-release
				}
			})
			close(taken)
		})
		return taken
	}
	waiting := func(callers string) bool {
		return strings.Contains(dataproxy.Leftovers(client), callers+" callers wait")
	}
	ctx, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	for taken := 0; !waiting("1"); taken++ {
		require.Less(t, taken, 100, "the stream is never at its bound")
		large := send(ctx, 60_000)
		eventually(t, "it is taken, or waits", func() bool {
			select {
			case <-large:
				return true
			default:
				return waiting("1")
			}
		})
	}
	small := send(context.Background(), 100)
	eventually(t, "it waits behind the large one", func() bool { return waiting("2") })
	giveUp()
	inTime(t, patience, "the small one", func() { <-small })
}
