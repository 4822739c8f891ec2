package dataproxy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// paced sends messages of several streams at an even pace until stop is called, which waits for all results.
func paced(t *testing.T, client dataproxy.FullClient, notes *ledger) (stop func()) {
	ended := make(chan struct{})
	var once sync.Once
	var senders sync.WaitGroup
	end := func() { once.Do(func() { close(ended); senders.Wait() }) }
	t.Cleanup(end)
	for sender := range 4 {
		senders.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-ended:
					return
				case <-tick.C:
				}
				for i := range 5 {
					notes.send(context.Background(), client, streamMessage(fmt.Sprintf("stream%d.%d", sender, i), "%d/%d/%d", sender, n, i))
				}
			}
		})
	}
	return func() {
		end()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, client.Flush(ctx))
	}
}

// A node answers code 1 for 12 s after its start. As the only one it used to burn all that waited for it, three attempts of each batch
// within half a second, though the messages had most of their time left.
func TestD14_LoneNodeThatRestartsCostsNoMessage(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	node := c.Node(0)
	client := connect(t, c)
	notes := newLedger()
	stop := paced(t, client, notes)
	eventually(t, "it runs", func() bool { return notes.count() > 1000 })
	node.Kill()
	time.Sleep(time.Second) // the time of the restart itself
	before := notes.count()
	node.Standing(dataproxytest.Unready())
	node.Revive()
	const unready = 12 * time.Second
	ready := time.AfterFunc(unready, node.ClearFaults)
	defer ready.Stop()
	time.Sleep(unready)
	frames := node.Frames()
	eventually(t, "it is found ready", func() bool { return notes.count() > before+1000 })
	stop()
	notes.balanced(t, c)
	require.Equal(t, notes.sent, len(notes.acked()), "errors")
	t.Logf("%d messages, %d frames until it was ready", notes.sent, frames)
	settled(t, client)
}

// "Not now" is not a failed attempt: nothing was written, so max_retries, which bounds how often a message may be doubled, has no say.
// Each code used up an attempt, and a node that was full for a second failed all.
func TestNotNowUsesUpNoAttempt(t *testing.T) {
	for _, code := range []int{1, 2, 114, 116, 117, 118, 119} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			c := cluster(t, dataproxytest.WithNodes(1))
			client := connect(t, c, dataproxy.WithMaxRetries(0), dataproxy.WithRetryInitialInterval(10*time.Millisecond), dataproxy.WithBatchingMaxMessages(1))
			node := c.Node(0)
			node.Standing(dataproxytest.ErrorCode(code))
			notes := newLedger()
			for i := range 100 {
				notes.send(context.Background(), client, streamMessage(fmt.Sprint("stream", i%20), "%d", i))
			}
			eventually(t, "it was asked often", func() bool { return node.Frames() > 5 })
			require.Zero(t, notes.count())
			node.ClearFaults()
			require.NoError(t, client.Flush(patient(t)))
			require.Len(t, notes.acked(), 100)
			settled(t, client)
		})
	}
}

// What runs out of time because its node said "not now" must say so, also what was never written, since its node was put aside: "no
// ack in time" alone sends its reader on a hunt.
func TestExpiredMessageNamesTheLastNotNow(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	node := c.Node(0)
	node.Standing(dataproxytest.ErrorCode(114))
	client := connect(t, c, dataproxy.WithSendTimeout(500*time.Millisecond), dataproxy.WithBatchingMaxMessages(1))
	notes := newLedger()
	for i := range 50 {
		notes.send(context.Background(), client, streamMessage(fmt.Sprint("stream", i), "%d", i))
	}
	require.NoError(t, client.Flush(patient(t)))
	require.Len(t, notes.results, 50)
	for _, errs := range notes.results {
		e := fault(t, errs[0], dataproxy.CodeSendTimeout)
		require.Equal(t, 114, dataproxy.GetServerErrorCode(e))
		require.Contains(t, e.ServerMessage, "no space left in the channel")
		require.Equal(t, node.Addr(), e.Node)
		require.Equal(t, dataproxy.NotWritten, e.Persisted())
		require.True(t, e.Retriable())
	}
	settled(t, client)
}

// A node that takes nothing must not get all that waits, again and again: that is the load that keeps it from taking anything. One batch
// asks for all of them.
func TestNodeThatSaysNotNowIsAskedByOneBatchAtATime(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	node := c.Node(0)
	client := connect(t, c, dataproxy.WithBatchingMaxMessages(1))
	notes := newLedger()
	const messages = 2000
	frames := 0
	for round := 0; dataproxy.Parked(client) < messages; round++ { // until all wait before the pause after the first refusal is over
		require.Less(t, round, 100)
		node.ClearFaults()
		require.NoError(t, client.Flush(patient(t)))
		refusals := client.Stats().Nodes[0].Errors
		node.Standing(dataproxytest.ErrorCode(114))
		notes.send(context.Background(), client, streamMessage("first", "%d", round))
		eventually(t, "it is refused", func() bool { return client.Stats().Nodes[0].Errors > refusals })
		frames = node.Frames()
		for i := range messages {
			notes.send(context.Background(), client, streamMessage(fmt.Sprint("stream", i%100), "%d/%d", round, i))
		}
	}
	eventually(t, "it was asked again and again", func() bool { return node.Frames() > frames+5 })
	require.Less(t, node.Frames(), frames+50)
	node.ClearFaults()
	require.NoError(t, client.Flush(patient(t)))
	require.Len(t, notes.acked(), notes.sent)
	settled(t, client)
}

// A node that is full is left in peace while others have room, and what it refused goes there at once: it used to wait for its back-off,
// and new batches kept being refused.
func TestFullNodeIsPutAside(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithRetryInitialInterval(10*time.Second), dataproxy.WithBatchingMaxMessages(1))
	eventually(t, "lanes on all nodes", func() bool { return even(client, 3) })
	c.Node(0).Standing(dataproxytest.ErrorCode(114))
	start := time.Now()
	for i := range 300 {
		require.NoError(t, client.Send(patient(t), streamMessage(fmt.Sprint("stream", i), "x")))
	}
	require.Less(t, c.Node(0).Frames(), 10)
	require.Less(t, time.Since(start), 5*time.Second)
}

// A node that was put aside is ready again, and the first in the line are batches that it refuses for their own fault. Each of those
// used to end only its own wait, a second for each, and the good ones after them ran out of their time.
func TestFaultyBatchesDoNotHoldUpThoseBehindThem(t *testing.T) {
	for _, code := range []int{105, 115} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			c := cluster(t, dataproxytest.WithNodes(1))
			client := connect(t, c, dataproxy.WithSendTimeout(12*time.Second))
			node := c.Node(0)
			node.Standing(dataproxytest.Unready())
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			require.Error(t, client.Send(ctx, message("puts it aside")))
			faulty, good := newLedger(), newLedger()
			for i := range 30 {
				faulty.send(context.Background(), client, streamMessage(fmt.Sprint("faulty", i), "%d", i))
			}
			fault(t, client.Flush(ctx), dataproxy.CodeContextExpired) // its time is over: it seals them, so that they are first in the line
			for i := range 30 {
				good.send(context.Background(), client, streamMessage(fmt.Sprint("good", i), "%d", i))
			}
			node.Handle(func(r dataproxytest.Record) dataproxytest.Fault {
				if strings.HasPrefix(r.Stream, "faulty") {
					return dataproxytest.ErrorCode(code)
				}
				return dataproxytest.Fault{}
			})
			node.ClearFaults()
			require.NoError(t, client.Flush(patient(t)))
			require.Len(t, good.acked(), 30, "%v", firstError(good))
			require.Empty(t, faulty.acked())
			fault(t, firstError(faulty), dataproxy.CodeServerError)
			settled(t, client)
		})
	}
}
