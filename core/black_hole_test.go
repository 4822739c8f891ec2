package dataproxy_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A node that hangs is taken off the list and a good one put on it: all lanes used to wait for answers that never came before they
// went there.
func TestN11_HungNodeIsReplacedAtOnce(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithAckTimeout(20*time.Second))
	hurry(t, client)
	eventually(t, "all lanes are connected", func() bool { return usableLanes(client) == 8 })
	hung := c.Node(0)
	hung.Standing(dataproxytest.Silence())
	var delivered atomic.Int64
	for i := range 32 {
		client.SendAsync(context.Background(), streamMessage(fmt.Sprint("held", i), "x"), func(dataproxy.Message, error) { delivered.Add(1) })
	}
	eventually(t, "frames are in flight on every lane", func() bool {
		busy := 0
		for _, l := range client.Stats().Lanes {
			busy += min(l.InFlight, 1)
		}
		return busy == 8
	})
	time.Sleep(dataproxy.HeadStart + 100*time.Millisecond) // from then on a node is not trusted to answer
	good := c.AddNode()
	inTime(t, time.Second, "a message after the change", func() {
		dataproxy.SetNodes(client, good.Addr())
		for i := range 32 {
			require.NoError(t, client.Send(patient(t), streamMessage(fmt.Sprint("held", i), "y")))
		}
	})
	eventually(t, "all lanes have moved", func() bool { return usableLanes(client) == 8 })
	require.LessOrEqual(t, delivered.Load(), int64(32-8), "what is in flight may still get its answer")
	hung.ResetConnections()
	eventually(t, "and goes elsewhere when the connection ends", func() bool { return delivered.Load() == 32 })
	require.NoError(t, client.Flush(patient(t)))
	settled(t, client)
}

// Black holes at the start: one lane, or ten black holes beside one good node, used to wait for as long as NewClient has.
func TestN3_BlackHolesDoNotHoldUpAStart(t *testing.T) {
	for _, s := range []struct{ lanes, nodes int }{{1, 2}, {1, 4}, {8, 9}} {
		c := cluster(t, dataproxytest.WithNodes(s.nodes))
		for _, n := range c.Nodes()[1:] {
			n.Standing(dataproxytest.BlackHole())
		}
		for range rounds(4, 30) {
			inTime(t, time.Duration(s.nodes)*300*time.Millisecond, "start and send", func() {
				client := connect(t, c, dataproxy.WithWorkerNum(s.lanes), dataproxy.WithConnTimeout(5*time.Second))
				defer client.Close()
				require.NoError(t, client.Send(patient(t), message("x")))
			})
		}
	}
}

// The same while it runs: a client of one lane whose node dies must not wait for a black hole before it goes to a good node.
func TestN11_FailOverPassesByABlackHole(t *testing.T) {
	for range rounds(4, 20) {
		c := cluster(t)
		client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithConnTimeout(10*time.Second))
		require.NoError(t, client.Send(patient(t), message("x")))
		on := nodeOf(c, client.Stats().Lanes[0].Node)
		var hole *dataproxytest.Node
		for _, n := range c.Nodes() {
			if n != on {
				hole = n
			}
		}
		hole.Standing(dataproxytest.BlackHole())
		inTime(t, time.Second, "fail-over", func() {
			on.Kill()
			require.NoError(t, client.Send(patient(t), message("y")))
		})
		client.Close()
	}
}

// Two of three nodes refuse for a while: every message has three attempts, so each must reach the third node. A batch used to
// remember only the last node that refused it, and a lane of a suspect kept taking messages.
func TestD3_EveryNodeIsTriedBeforeOneIsAskedTwice(t *testing.T) {
	for _, code := range []int{1, 2, 114, 115} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			c := cluster(t)
			client := connect(t, c, dataproxy.WithRetryInitialInterval(time.Millisecond))
			eventually(t, "lanes on all nodes", func() bool { return even(client, 3) })
			for _, n := range c.Nodes()[:2] {
				n.Standing(dataproxytest.ErrorCode(code))
			}
			n := 100
			if code == 115 {
				n = 8 // its back-off is long
			}
			errs := make([]error, n)
			each(n, func(i int) { errs[i] = client.Send(patient(t), streamMessage(fmt.Sprint("s", i), "x")) })
			for _, err := range errs {
				require.NoError(t, err)
			}
		})
	}
}

// A node that has gone silent is known as such after the first ack time-out: its other lanes must not continue to take messages,
// each of which costs one more time-out.
func TestN11_SilentNodeLosesAllItsLanes(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(2))
	client := connect(t, c, dataproxy.WithAckTimeout(300*time.Millisecond), dataproxy.WithMaxRetries(0))
	eventually(t, "lanes on both", func() bool { return even(client, 2) })
	silent := c.Node(0)
	silent.Standing(dataproxytest.DropAnswer())
	failed := 0
	for i := 0; failed == 0; i++ {
		require.Less(t, i, 1000)
		if client.Send(patient(t), streamMessage(fmt.Sprint("stream", i), "x")) != nil {
			failed++
		}
	}
	for i := range 200 {
		require.NoError(t, client.Send(patient(t), streamMessage(fmt.Sprint("stream", i), "y")))
	}
}

// A node that answers each frame in order, but slowly, is not dead; its streams must leave it all the same while another node
// is idle. They used to stay, and their messages ran into their deadlines.
func TestSlowNodeLosesItsStreams(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(2))
	client := connect(t, c, dataproxy.WithAckTimeout(400*time.Millisecond), dataproxy.WithSendTimeout(5*time.Second), dataproxy.WithBatchingMaxMessages(1))
	hurry(t, client)
	slow := c.Node(0)
	slow.Standing(dataproxytest.Delay(300 * time.Millisecond))
	notes := newLedger()
	for i := range 40 {
		for s := range 16 {
			notes.send(context.Background(), client, streamMessage(fmt.Sprint("stream", s), "%d/%d", s, i))
		}
		time.Sleep(25 * time.Millisecond)
	}
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	require.Len(t, notes.acked(), 16*40)
	require.Less(t, slow.Frames(), 16*40/3, "frames that went to the slow node")
}

// After an outage of the whole cluster the lanes come back evenly: the first node that is back used to get all of them, and the
// others none for the half minute in which they were suspects.
func TestN4_LanesAreEvenAfterAnOutage(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	eventually(t, "lanes on all", func() bool { return even(client, 3) })
	for _, n := range c.Nodes() {
		n.Kill()
	}
	eventually(t, "no lane is usable", func() bool { return usableLanes(client) == 0 })
	time.Sleep(300 * time.Millisecond) // so that all nodes have been tried again without success
	inTime(t, 2*time.Second, "lanes on all again", func() {
		for _, n := range c.Nodes() {
			n.Revive()
		}
		eventually(t, "even", func() bool { return even(client, 3) })
	})
}

// The Manager's list flips to a node that cannot be reached, by a mistake of somebody: the connections that work must continue until
// there are others.
func TestN4_LanesStayUntilTheirSuccessorsStand(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(2))
	client := connect(t, c)
	dataproxy.SetNodes(client, "127.0.0.1:1")
	for i := range 100 {
		require.NoError(t, client.Send(patient(t), streamMessage(fmt.Sprint("s", i), "x")))
	}
	dataproxy.SetNodes(client, c.Node(1).Addr())
	eventually(t, "all lanes have moved", func() bool {
		lanes := lanesPerNode(client)
		live, _ := c.Node(0).Connections()
		return lanes[c.Node(1).Addr()] == 8 && live == 0
	})
	require.NoError(t, client.Send(patient(t), message("y")))
}
