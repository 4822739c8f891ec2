package dataproxy_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// static makes a client that knows the nodes of these clusters from nobody who could tell it how long their frames may be.
func static(t *testing.T, clusters []*dataproxytest.Cluster, opts ...dataproxy.Option) dataproxy.FullClient {
	var addrs []string
	for _, c := range clusters {
		for _, n := range c.Nodes() {
			addrs = append(addrs, n.Addr())
		}
	}
	return connect(t, clusters[0], append([]dataproxy.Option{dataproxy.WithURL(""), dataproxy.WithStaticNodes(addrs...)}, opts...)...)
}

// noise does not compress: a frame is as long as what is in it.
func noise(size int) []byte {
	payload := make([]byte, size)
	_, _ = rand.Read(payload)
	return payload
}

// A node closes on a frame that is longer than it takes, also where nobody told the client. All that was in flight beside that frame
// used to pay an attempt, and to meet it again on the next node: one message of 1,000 that was too long cost a tenth of the good ones.
// And each long message closed three connections.
func TestD15_OnlyMessagesThatAreTooLongForTheNodesFail(t *testing.T) {
	for _, every := range []int{1000, 100} {
		t.Run(fmt.Sprint("one of ", every), func(t *testing.T) {
			c := cluster(t, dataproxytest.WithMaxMessageLength(65536))
			for _, n := range c.Nodes() { // a node has its round trip, so that much is in flight
				n.Handle(func(dataproxytest.Record) dataproxytest.Fault {
					time.Sleep(500 * time.Microsecond)
					return dataproxytest.Fault{}
				})
			}
			client := static(t, []*dataproxytest.Cluster{c})
			long := noise(100 << 10)
			const messages = 20000
			var mu sync.Mutex
			var failed []error
			acked := 0
			for i := range messages {
				msg := streamMessage(fmt.Sprint("good", i%40), "%s", strings.Repeat("g", 1000))
				if i%every == every/2 {
					msg = dataproxy.Message{StreamID: "long", Payload: long}
				}
				client.SendAsync(context.Background(), msg, func(m dataproxy.Message, err error) {
					mu.Lock()
					defer mu.Unlock()
					if len(m.Payload) == 1000 {
						require.NoError(t, err)
						acked++
					} else {
						failed = append(failed, err)
					}
				})
			}
			require.NoError(t, client.Flush(patient(t)))
			require.Equal(t, messages-messages/every, acked)
			require.Len(t, failed, messages/every)
			for _, err := range failed {
				e := fault(t, err, dataproxy.CodeLogTooLong)
				require.LessOrEqual(t, e.Attempts, 8, "%v", e)
				require.Regexp(t, `its frame (has|of) 102\d\d\d bytes`, e.Error())
				require.False(t, e.Retriable())
			}
			connections := 0
			for _, n := range c.Nodes() {
				_, total := n.Connections()
				connections += total
			}
			require.Less(t, connections, 150, "the length is remembered")
			require.Error(t, client.Send(patient(t), dataproxy.Message{StreamID: "long", Payload: long}))
			settled(t, client)
		})
	}
}

// A batch is only too long because it holds so many: its messages must not fail for that.
func TestBatchThatIsTooLongForItsNodeIsCut(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		t.Run(fmt.Sprint("ordered ", ordered), func(t *testing.T) {
			c := cluster(t, dataproxytest.WithNodes(1), dataproxytest.WithMaxMessageLength(16384))
			client := static(t, []*dataproxytest.Cluster{c}, dataproxy.WithBatchingMaxSize(400<<10), dataproxy.WithBatchingMaxMessages(1000),
				dataproxy.WithOrdered(ordered), dataproxy.WithCompression(dataproxy.None))
			notes := newLedger()
			for i := range 2000 {
				notes.send(context.Background(), client, message(fmt.Sprintf("%d %s", i, strings.Repeat("x", 300))))
			}
			require.NoError(t, client.Flush(patient(t)))
			require.Equal(t, 2000, len(notes.acked()), "%v", firstError(notes))
			notes.balanced(t, c)
			if ordered {
				var arrived []int
				for _, m := range c.Messages() {
					var i int
					_, _ = fmt.Sscan(string(m), &i)
					arrived = append(arrived, i)
				}
				require.True(t, slices.IsSorted(arrived))
			}
			settled(t, client)
		})
	}
}

// One node of two takes shorter frames only: what it does not take is for the other, also where that has no lane yet.
func TestLongFramesGoToTheNodeThatTakesThem(t *testing.T) {
	for _, lanes := range []int{1, 4} {
		t.Run(fmt.Sprint("lanes ", lanes), func(t *testing.T) {
			short, wide := cluster(t, dataproxytest.WithNodes(1), dataproxytest.WithMaxMessageLength(20000)), cluster(t, dataproxytest.WithNodes(1))
			client := static(t, []*dataproxytest.Cluster{short, wide}, dataproxy.WithWorkerNum(lanes))
			eventually(t, "the lanes stand", func() bool { return usableLanes(client) == lanes })
			for i := range 50 {
				require.NoError(t, client.Send(patient(t), dataproxy.Message{StreamID: fmt.Sprint("s", i), Payload: noise(50000)}))
				require.NoError(t, client.Send(patient(t), streamMessage(fmt.Sprint("s", i), "short")))
			}
			_, total := short.Node(0).Connections()
			require.Less(t, total, 30)
		})
	}
}

// Ten frames are in flight when their node closes, twice. It answers in order, so only the first can be what it closed on; the others
// used to pay an attempt too, and failed with it.
func TestOnlyTheOldestFramePaysForALostConnection(t *testing.T) {
	const frames = 10
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxRetries(1), dataproxy.WithBatchingMaxMessages(1))
	node := c.Node(0)
	var mu sync.Mutex
	seen := map[uint64]int{}
	node.Handle(func(r dataproxytest.Record) dataproxytest.Fault {
		mu.Lock()
		defer mu.Unlock()
		seen[r.Conn]++
		switch {
		case len(seen) > 2:
			return dataproxytest.Fault{}
		case seen[r.Conn] == frames:
			return dataproxytest.CloseAfterRead()
		}
		return dataproxytest.DropAnswer()
	})
	notes := newLedger()
	for i := range frames {
		notes.send(context.Background(), client, message(fmt.Sprint(i)))
	}
	require.NoError(t, client.Flush(patient(t)))
	require.Len(t, notes.acked(), frames-1)
	e := fault(t, notes.results["0"][0], dataproxy.CodeConnClosedByPeer)
	require.Equal(t, 2, e.Attempts)
}

// A node that ends closes its connections one after the other: a batch that goes from one to the next must not pay for each of them.
func TestEndOfANodeIsPaidForOnce(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithMaxRetries(1))
	eventually(t, "all lanes", func() bool { return usableLanes(client) == 8 })
	end := dataproxytest.CloseAfterRead()
	c.Node(0).Fault(end, end, end)
	require.NoError(t, client.Send(patient(t), message("x")))
	require.Equal(t, 4, c.Node(0).Frames())
}

// "Never" written as the longest duration: the variation overflowed, and connections were replaced at once, for ever.
func TestLongestLifetimeIsNever(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithMaxConnLifetime(1<<63-1))
	eventually(t, "all lanes", func() bool { return usableLanes(client) == 8 })
	for i := range 100 {
		require.NoError(t, client.Send(patient(t), streamMessage(fmt.Sprint("s", i), "x")))
	}
	_, total := c.Node(0).Connections()
	require.Equal(t, 8, total)
}

// What proves itself and then closes, as something before a node that is down may, was dialled a thousand times a second; and so was what
// answers one batch first.
func TestNodeThatClosesProvenConnectionsIsDialledWithPauses(t *testing.T) {
	for name, closes := range map[string]struct {
		behindAnAck bool
		pauses      time.Duration // of five
	}{
		"at once":    {false, 500 * time.Millisecond}, // 50, 100, 200, 400, 500 ms and so on, varied by a tenth
		"after acks": {true, 220 * time.Millisecond},  // 50 ms each
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, dataproxytest.WithNodes(1))
			node := c.Node(0)
			client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithSendTimeout(10*time.Second), dataproxy.WithMaxRetries(1000))
			eventually(t, "the lane stands", func() bool { return usableLanes(client) == 1 })
			var opened []time.Time
			for range 6 {
				if closes.behindAnAck {
					require.NoError(t, client.Send(patient(t), message("x")))
				}
				_, before := node.Connections()
				node.ResetConnections()
				eventually(t, "it is back", func() bool { _, total := node.Connections(); return total > before && usableLanes(client) == 1 })
				opened = append(opened, time.Now())
			}
			require.Greater(t, opened[5].Sub(opened[0]), closes.pauses)
		})
	}
}

func firstError(l *ledger) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, errs := range l.results {
		if errs[0] != nil {
			return errs[0]
		}
	}
	return nil
}

// A node that is killed twice with the same long frame in flight closed on it each time, and yet nothing is wrong with the frame: in
// between the node was away. The message failed as too long, whatever max_retries said.
func TestNodeThatIsKilledDoesNotMakeAFrameTooLong(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	node := c.Node(0)
	client := connect(t, c, dataproxy.WithMaxRetries(100))
	node.Standing(dataproxytest.DropAnswer())
	result := make(chan error, 1)
	client.SendAsync(context.Background(), dataproxy.Message{StreamID: "long", Payload: noise(100 << 10)},
		func(_ dataproxy.Message, err error) { result <- err })
	for i := range 3 {
		eventually(t, "it is written", func() bool { return node.Frames() > i })
		node.Kill()
		errors := client.Stats().Nodes[0].Errors
		eventually(t, "it is seen to be away", func() bool { return client.Stats().Nodes[0].Errors > errors+8 })
		if i == 2 {
			node.ClearFaults()
		}
		node.Revive()
	}
	require.NoError(t, <-result)
	settled(t, client)
}

// A node that was away may take longer frames than before. What it did not take was only forgotten where a lane had tried to connect: lanes
// leave a node that failed, and who tries it then is a probe.
func TestProbeOfANodeThatIsAwayForgetsItsLength(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	node := c.Node(0)
	node.Handle(func(r dataproxytest.Record) dataproxytest.Fault {
		if len(r.Items[0]) > 50_000 {
			return dataproxytest.CloseAfterRead()
		}
		return dataproxytest.Fault{}
	})
	client := static(t, []*dataproxytest.Cluster{c})
	long := dataproxy.Message{StreamID: "long", Payload: noise(100 << 10)}
	for range 2 {
		fault(t, client.Send(patient(t), long), dataproxy.CodeLogTooLong)
	}
	eventually(t, "all lanes", func() bool { return usableLanes(client) == 8 })
	node.Standing(dataproxytest.RefuseConnect())
	dataproxy.Probe(client)
	node.ClearFaults()
	node.Handle(nil)
	require.NoError(t, client.Send(patient(t), long))
}

// Two nodes take short frames only, and the one that takes long ones is away for a moment: a message for that one failed at once, as if
// no node took its length. And so did one on which the other two had closed.
func TestLongMessageWaitsForTheNodeThatTakesIt(t *testing.T) {
	short, wide := cluster(t, dataproxytest.WithNodes(2), dataproxytest.WithMaxMessageLength(20000)), cluster(t, dataproxytest.WithNodes(1))
	client := static(t, []*dataproxytest.Cluster{short, wide})
	long := dataproxy.Message{StreamID: "long", Payload: noise(50000)}
	eventually(t, "the wide one has taken one", func() bool { return client.Send(patient(t), long) == nil })
	node := wide.Node(0)
	node.Kill()
	eventually(t, "it is avoided", func() bool {
		return slices.ContainsFunc(client.Stats().Nodes, func(n dataproxy.NodeStats) bool { return n.Suspect })
	})
	result := make(chan error, 1)
	client.SendAsync(context.Background(), long, func(_ dataproxy.Message, err error) { result <- err })
	batch := make([]dataproxy.Message, 39)
	for i := range batch {
		batch[i] = dataproxy.Message{StreamID: "cut", Payload: noise(1000)}
	}
	require.Nil(t, client.SendBatch(patient(t), batch), "what can be cut does not wait")
	node.Revive()
	require.NoError(t, <-result)
	settled(t, client)
}
