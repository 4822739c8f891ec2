package dataproxy_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// The first lane that came back after an outage was given all that had been parked, and the others nothing: one of three nodes got
// 3,000 of 3,000 batches.
func TestParkedBatchesSpreadOverTheNodesThatComeBack(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(3))
	client := connect(t, c, dataproxy.WithBatchingMaxMessages(1), dataproxy.WithUpdateInterval(time.Hour))
	require.NoError(t, client.Send(patient(t), message("first")))
	for _, n := range c.Nodes() {
		n.Kill()
	}
	eventually(t, "no usable lane", func() bool {
		for _, l := range client.Stats().Lanes {
			if l.Usable {
				return false
			}
		}
		return true
	})
	c.Reset()
	const messages = 3000
	var acked atomic.Int64
	for i := range messages {
		client.SendAsync(context.Background(), streamMessage(fmt.Sprintf("stream%d", i%100), "%d", i), func(_ dataproxy.Message, err error) {
			if err == nil {
				acked.Add(1)
			}
		})
	}
	// A node that has its first frame keeps it until the others have theirs, and as many lanes: the one that was back first has had most.
	all := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(all) })
	t.Cleanup(letGo)
	var reached [3]atomic.Bool
	for i, n := range c.Nodes() {
		n.Handle(func(dataproxytest.Record) dataproxytest.Fault {
			reached[i].Store(true)
			<-all
			return dataproxytest.Fault{}
		})
		n.Revive()
	}
	eventually(t, "all have a frame", func() bool { return reached[0].Load() && reached[1].Load() && reached[2].Load() })
	eventually(t, "lanes are even", func() bool {
		lanes := lanesPerNode(client)
		return lanes[c.Node(0).Addr()] >= 2 && lanes[c.Node(1).Addr()] >= 2 && lanes[c.Node(2).Addr()] >= 2
	})
	letGo()
	require.NoError(t, client.Flush(patient(t)))
	require.EqualValues(t, messages, acked.Load())
	for _, n := range c.Nodes() {
		require.Less(t, n.Frames(), messages*2/3)
	}
}

// New batches must neither overtake what is parked for good, nor keep it from its turn.
func TestParkedBatchesGoBeforeFreshOnes(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithBatchingMaxMessages(1), dataproxy.WithWorkerNum(1))
	require.NoError(t, client.Send(patient(t), message("first")))
	c.Node(0).Kill()
	eventually(t, "no usable lane", func() bool { return !client.Stats().Lanes[0].Usable })
	c.Reset()
	var sent atomic.Int64
	send := func(stream string) {
		client.SendAsync(context.Background(), streamMessage(stream, "%d", sent.Add(1)), nil)
	}
	for range 500 {
		send("parked")
	}
	c.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault {
		if sent.Load() < 1500 {
			send("fresh") // one for each that arrives: a flood that never lets the lane run dry
		}
		return dataproxytest.Fault{}
	})
	c.Node(0).Revive()
	eventually(t, "all acked", func() bool { return client.Stats().Acked == 1501 })
	fresh := 0
	for _, r := range c.Received() {
		if r.Stream == "fresh" {
			fresh++
		} else {
			require.Zero(t, fresh, "a batch that was parked came after a fresh one")
		}
	}
	require.Equal(t, 1000, fresh)
}

// What had its result while it was parked stayed there until something else was parked, or a lane came: an outage that outlived its
// messages held as much as had been pending, beside what was charged, to its end.
func TestBatchesThatDieWhileTheyAreParkedAreNotHeld(t *testing.T) {
	const messages = 1000
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(0), dataproxy.WithWorkerNum(1), dataproxy.WithSendTimeout(5*time.Minute))
	require.NoError(t, client.Send(patient(t), message("first")))
	c.Node(0).Kill()
	eventually(t, "no usable lane", func() bool { return !client.Stats().Lanes[0].Usable })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var failed sync.WaitGroup
	for range messages {
		failed.Go(func() { _ = client.Send(ctx, message("x")) })
	}
	eventually(t, "all are parked", func() bool { return dataproxy.Parked(client) == messages })
	cancel()
	failed.Wait()
	require.Less(t, dataproxy.Parked(client), 16)
	c.Node(0).Revive()
	require.NoError(t, client.Send(patient(t), message("last")))
}
