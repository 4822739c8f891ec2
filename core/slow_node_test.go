package dataproxy_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// trickle makes a node answer each frame so late, one after the other, as a process does that is starved, until stop is called.
func trickle(n *dataproxytest.Node, late time.Duration) (stop func()) {
	stopped := make(chan struct{})
	n.Handle(func(dataproxytest.Record) dataproxytest.Fault {
		select {
		case <-time.After(late):
		case <-stopped:
		}
		return dataproxytest.Fault{}
	})
	return sync.OnceFunc(func() { close(stopped) })
}

// A node that answers, but seconds late, kept what it had been given beside idle ones: while its answers came, no time-out ran, and
// messages waited for 20 s and more, or ran out of their time. It has to lose its lanes, with all that it was not written, and what it
// was written goes elsewhere after the ack time-out.
func TestNodeThatTricklesGetsNothingNewBesideFasterOnes(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	client := connect(t, c, dataproxy.WithAckTimeout(3*time.Second))
	eventually(t, "8 lanes", func() bool { return even(client, 3) })
	slow := c.Node(0)
	stop := trickle(slow, 1500*time.Millisecond)
	t.Cleanup(stop)
	var mu sync.Mutex
	worst, failed := time.Duration(0), 0
	sent := 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	send := func() {
		<-tick.C
		sent++
		start := time.Now()
		client.SendAsync(context.Background(), streamMessage(fmt.Sprint("s", sent%40), "%d", sent), func(_ dataproxy.Message, err error) {
			mu.Lock()
			defer mu.Unlock()
			if worst = max(worst, time.Since(start)); err != nil {
				failed++
			}
		})
	}
	for end := time.Now().Add(patience); lanesPerNode(client)[slow.Addr()] > 0; send() {
		require.True(t, time.Now().Before(end), "it keeps its lanes")
	}
	for range 200 { // what was on its way
		send()
	}
	mark := sent
	for range 2000 {
		send()
	}
	require.NoError(t, client.Flush(patient(t)))
	stop()
	require.Zero(t, failed)
	require.Less(t, worst, 10*time.Second)
	for _, n := range client.Stats().Nodes {
		require.Equal(t, n.Addr == slow.Addr(), n.Suspect)
	}
	for _, r := range slow.Received() {
		for _, item := range r.Items {
			n := 0
			_, _ = fmt.Sscan(string(item), &n)
			require.LessOrEqual(t, n, mark, "a new message for the slow node")
		}
	}
	settled(t, client)
}

// One sender that waits for each answer has never more than one in flight: it stayed with the slow node for ever.
func TestSyncSenderLeavesASlowNode(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(2))
	client := connect(t, c, dataproxy.WithWorkerNum(2))
	eventually(t, "both lanes", func() bool { return usableLanes(client) == 2 })
	require.NoError(t, client.Send(patient(t), message("warm")))
	slow := c.Node(c.Received()[0].Node)
	t.Cleanup(trickle(slow, 1200*time.Millisecond))
	for range 50 {
		require.NoError(t, client.Send(patient(t), message("x")))
	}
	require.Less(t, slow.Frames(), 10)
}

// All nodes are behind one slow network: none of them is slower than the others, so nothing may be moved, or written twice.
func TestSlowNetworkMakesNoNodeSuspect(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	client := connect(t, c, dataproxy.WithCompression(dataproxy.None))
	eventually(t, "8 lanes", func() bool { return even(client, 3) })
	slow := dataproxytest.SlowRead(100_000)
	for _, n := range c.Nodes() {
		n.Standing(slow)
	}
	notes := newLedger()
	payload := noise(8000)
	for i := range 400 { // 3.2 MB over 8 connections of 100 kB/s: 4 s
		m := streamMessage(fmt.Sprint("s", i%16), "%d ", i)
		m.Payload = append(m.Payload, payload...)
		notes.send(context.Background(), client, m)
	}
	require.NoError(t, client.Flush(patient(t)))
	require.Equal(t, 400, len(notes.acked()))
	require.Zero(t, client.Stats().Retries)
	for _, n := range client.Stats().Nodes {
		require.False(t, n.Suspect, "%+v", n)
	}
}
