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
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/cputime"
)

// load sends from several goroutines until stop is called, which waits for all results, or the test fails.
func load(t *testing.T, client dataproxy.FullClient, notes *ledger) (stop func()) {
	ended := make(chan struct{})
	var once sync.Once
	var senders sync.WaitGroup
	end := func() { once.Do(func() { close(ended); senders.Wait() }) }
	t.Cleanup(end)
	for sender := range 4 {
		senders.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-ended:
					return
				default:
				}
				notes.send(context.Background(), client, streamMessage(fmt.Sprintf("stream%d.%d", sender, n%5), "%d/%d", sender, n))
				if n%20 == 19 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	return func() {
		end()
		require.NoError(t, client.Flush(patient(t)))
	}
}

func lanesPerNode(client dataproxy.FullClient) map[string]int {
	lanes := make(map[string]int)
	for _, n := range client.Stats().Nodes {
		lanes[n.Addr] = n.Lanes
	}
	return lanes
}

// even reports whether all lanes are usable and spread over that many nodes as evenly as their number allows.
func even(client dataproxy.FullClient, nodes int) bool {
	lanes := lanesPerNode(client)
	least, most, sum := 1<<30, 0, 0
	for _, n := range lanes {
		least, most, sum = min(least, n), max(most, n), sum+n
	}
	return len(lanes) == nodes && sum == 8 && most-least <= 1
}

// Nodes come and go while data flows: no message may fail for it, the lanes must follow, and a node that is taken off the
// list must be drained, not cut.
func TestN4_NodesAddedAndRemovedUnderLoad(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(2))
	client := connect(t, c, dataproxy.WithUpdateInterval(20*time.Millisecond), dataproxy.WithMaxRetries(0))
	notes := newLedger()
	stop := load(t, client, notes)
	eventually(t, "4 and 4", func() bool { return even(client, 2) })
	third := c.AddNode()
	eventually(t, "3, 3 and 2", func() bool { return even(client, 3) })
	fourth := c.AddNode()
	eventually(t, "2 each", func() bool { return even(client, 4) })
	for _, n := range []*dataproxytest.Node{third, c.Nodes()[0], fourth} {
		before := len(client.Stats().Nodes)
		// What is in flight when the node goes off the list still gets its answer, without a retry.
		n.Standing(dataproxytest.Delay(50 * time.Millisecond))
		c.RemoveNode(n)
		eventually(t, "it is left", func() bool {
			live, _ := n.Connections()
			return live == 0 && even(client, before-1)
		})
	}
	for _, n := range []*dataproxytest.Node{third, c.Nodes()[0]} {
		n.ClearFaults()
		c.ListNode(n)
	}
	eventually(t, "3, 3 and 2 again", func() bool { return even(client, 3) })
	stop()
	notes.balanced(t, c)
	require.Equal(t, notes.sent, len(notes.acked()), "errors")
	require.Zero(t, client.Stats().Retries)
	require.Equal(t, notes.sent, c.Count(), "nothing was written twice")
	settled(t, client)
}

// A list that is refreshed faster than lanes can move must not drain all of them at once.
func TestN4_RefreshWhileLanesMoveLeavesSomeUsable(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithUpdateInterval(10*time.Millisecond))
	c.Nodes()[0].Standing(dataproxytest.Delay(300 * time.Millisecond)) // so that draining takes its time
	eventually(t, "8 lanes", func() bool { return usableLanes(client) == 8 })
	for i := range 200 {
		client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", i), "x"), nil)
	}
	eventually(t, "every lane has something in flight", func() bool {
		for _, l := range client.Stats().Lanes {
			if l.InFlight == 0 {
				return false
			}
		}
		return true
	})
	c.AddNode()
	least := 8
	eventually(t, "4 and 4", func() bool {
		least = min(least, usableLanes(client))
		return even(client, 2)
	})
	require.GreaterOrEqual(t, least, 3, "usable lanes at the worst moment")
}

// A single address, that of a load balancer, must never be given up, and be used again as soon as it is back.
func TestN5_SingleNodeThatFlaps(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithMaxRetries(100), dataproxy.WithRetryInitialInterval(time.Millisecond))
	notes := newLedger()
	stop := load(t, client, notes)
	node := c.Nodes()[0]
	for range 20 {
		node.Kill()
		eventually(t, "no lane is usable", func() bool { return usableLanes(client) == 0 })
		node.Revive()
		back := time.Now()
		eventually(t, "a lane is usable", func() bool { return usableLanes(client) > 0 })
		require.Less(t, time.Since(back), time.Second)
	}
	stop()
	notes.balanced(t, c)
	require.Equal(t, notes.sent, len(notes.acked()))
	settled(t, client)
}

// Endpoints are not always IPv4 addresses.
func TestN6_HostNamesAndIPv6(t *testing.T) {
	for name, opts := range map[string][]dataproxytest.Option{
		"host name": {dataproxytest.WithAdvertisedHost("localhost")},
		"IPv6":      {dataproxytest.WithListenHost("::1")},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := dataproxytest.NewCluster(opts...)
			if err != nil {
				t.Skipf("this machine cannot listen there: %v", err)
			}
			t.Cleanup(c.Close)
			client := connect(t, c)
			require.NoError(t, client.Send(patient(t), message("x")))
			static, err := dataproxy.NewClient(append(basics(c), dataproxy.WithStaticNodes(c.Nodes()[0].Addr()))...)
			require.NoError(t, err)
			t.Cleanup(static.Close)
			require.NoError(t, static.Send(patient(t), message("y")))
			require.Equal(t, 2, c.Count())
		})
	}
}

// An idle connection is closed by the node after its read time-out: heartbeats must keep it. And a node that stops answering
// them must be left before the next message is lost to it.
func TestN9_HeartbeatsKeepAConnectionAndTheirLackEndsIt(t *testing.T) {
	const idle = time.Second // longer than a busy machine keeps a process from running
	c := cluster(t, dataproxytest.WithReadIdle(idle))
	client := connect(t, c, dataproxy.WithHeartbeatInterval(50*time.Millisecond))
	eventually(t, "8 lanes", func() bool { return usableLanes(client) == 8 })
	total := func() (n int) {
		for _, node := range c.Nodes() {
			_, all := node.Connections()
			n += all
		}
		return n
	}
	before := total()
	start := time.Now()
	eventually(t, "two read time-outs", func() bool { return time.Since(start) > 2*idle })
	require.Equal(t, before, total(), "connections that had to be opened again")
	require.Equal(t, 8, usableLanes(client))
	c = cluster(t) // its nodes do not close idle connections, so it is the client that must
	client = connect(t, c, dataproxy.WithHeartbeatInterval(50*time.Millisecond), dataproxy.WithAckTimeout(200*time.Millisecond))
	eventually(t, "8 lanes", func() bool { return even(client, 3) })
	node := c.Nodes()[0]
	node.Standing(dataproxytest.DropHeartbeat())
	eventually(t, "its lanes are elsewhere", func() bool { return lanesPerNode(client)[node.Addr()] == 0 && usableLanes(client) == 8 })
}

// A node that was told to stop accepts connections and never answers. Data given to it waits for a time-out.
func TestN11_StoppedNodeIsGivenNoDataBeforeItAnsweredAHeartbeat(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	eventually(t, "8 lanes", func() bool { return even(client, 3) })
	notes := newLedger()
	stop := load(t, client, notes)
	node := c.Nodes()[1]
	node.Stop()
	start := time.Now()
	eventually(t, "8 lanes elsewhere", func() bool { return usableLanes(client) == 8 && lanesPerNode(client)[node.Addr()] == 0 })
	require.Less(t, time.Since(start), time.Second)
	frames := node.Frames()
	stop()
	require.Equal(t, frames, node.Frames(), "frames to the stopped node")
	notes.balanced(t, c)
	require.Equal(t, notes.sent, len(notes.acked()))
	for _, s := range client.Stats().Nodes {
		require.Equal(t, s.Addr == node.Addr(), s.Suspect, s.Addr)
	}
	settled(t, client)
}

// A node dies under load: nothing may be lost, and what it had not acked must be at another node in under a second.
func TestKillOfAnyNodeUnderLoadLosesNothing(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	notes := newLedger()
	stop := load(t, client, notes)
	for i, n := range c.Nodes() {
		eventually(t, "the lanes are up", func() bool { return usableLanes(client) == 8 })
		n.Standing(dataproxytest.DropAnswer()) // so that many batches are un-acked at the kill
		extra, frames := 0, n.Frames()
		eventually(t, "un-acked batches", func() bool {
			extra++ // of ever new streams: the others may stick to lanes on other nodes
			notes.send(context.Background(), client, streamMessage(fmt.Sprintf("extra%d.%d", i, extra), "extra %d/%d", i, extra))
			return n.Frames() > frames+5
		})
		n.Kill()
		killed := time.Now()
		n.ClearFaults()
		unacked := make(map[string]bool)
		for _, r := range n.Received() {
			if !r.Acked {
				unacked[r.Attr["mid"]] = true
			}
		}
		require.NotEmpty(t, unacked)
		eventually(t, "what was un-acked is elsewhere", func() bool {
			c.Each(func(r dataproxytest.Record) bool {
				if r.Node != i {
					delete(unacked, r.Attr["mid"])
				}
				return true
			})
			return len(unacked) == 0
		})
		require.Less(t, time.Since(killed), time.Second)
		n.Revive()
	}
	stop()
	notes.balanced(t, c)
	require.Equal(t, notes.sent, len(notes.acked()), "errors")
	settled(t, client)
}

// A node that is switched off by its administrator answers code 2 and heartbeats alike: its lanes must leave.
func TestStoppedServiceIsLeft(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	eventually(t, "8 lanes", func() bool { return even(client, 3) })
	notes := newLedger()
	stop := load(t, client, notes)
	node := c.Nodes()[2]
	node.Standing(dataproxytest.ServiceStopped())
	eventually(t, "its lanes are elsewhere", func() bool { return lanesPerNode(client)[node.Addr()] == 0 && usableLanes(client) == 8 })
	stop()
	frames := node.Frames()
	for i := range 200 {
		notes.send(context.Background(), client, streamMessage(fmt.Sprint("other", i), "other %d", i))
	}
	require.NoError(t, client.Flush(patient(t)))
	require.Equal(t, frames, node.Frames(), "frames to a node that is left")
	notes.balanced(t, c)
	require.Equal(t, notes.sent, len(notes.acked()))
	settled(t, client)
}

// A list of many nodes was compared with the one before it each with each, under the lock that every lane takes: 20,000 took seconds.
func TestN4_LongListIsTakenFast(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	addrs := make([]string, 20000)
	for i := range addrs {
		addrs[i] = fmt.Sprintf("192.0.2.1:%d", 1+i)
	}
	start := cputime.Total()
	dataproxy.SetNodes(client, append(addrs, c.Node(0).Addr())...)
	dataproxy.SetNodes(client, append([]string{c.Node(0).Addr()}, addrs...)...)
	took := cputime.Total() - start
	dataproxy.SetNodes(client, c.Node(0).Addr())
	require.Less(t, took, 3*time.Second)
}
