package dataproxy_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// Everything that can go wrong with nodes and their answers, at random and at once: each accepted message must have one
// result, and each one called sent must have arrived.
func TestD1_Chaos(t *testing.T) {
	duration := 8 * time.Second
	if long() {
		duration = 3 * time.Minute
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	c := cluster(t)
	var clients []dataproxy.FullClient
	for _, opts := range [][]dataproxy.Option{
		{}, {dataproxy.WithOrdered(true)}, {dataproxy.WithMessageFormat(dataproxy.Binary)},
		{dataproxy.WithMaxConnLifetime(time.Second), dataproxy.WithMaxPendingMessages(200), dataproxy.WithBlockIfQueueIsFull(true)},
	} {
		clients = append(clients, connect(t, c, append([]dataproxy.Option{dataproxy.WithUpdateInterval(50 * time.Millisecond),
			dataproxy.WithAckTimeout(400 * time.Millisecond), dataproxy.WithSendTimeout(4 * time.Second),
			dataproxy.WithMaxRetries(20), dataproxy.WithRetryInitialInterval(5 * time.Millisecond),
			dataproxy.WithHeartbeatInterval(100 * time.Millisecond), dataproxy.WithConnTimeout(300 * time.Millisecond),
			dataproxy.WithLazyStart(true)}, opts...)...))
	}
	end := time.Now().Add(duration)
	var all sync.WaitGroup
	all.Go(func() { wreak(c, rand.New(rand.NewPCG(seed, 0)), end) })
	var ledgers []*ledger
	for i, client := range clients {
		notes := newLedger()
		ledgers = append(ledgers, notes)
		for sender := range 2 {
			all.Go(func() {
				chaosSender(client, notes, rand.New(rand.NewPCG(seed, uint64(10*i+sender+1))), i*10+sender, end)
			})
		}
	}
	all.Wait()
	doubled, failed := 0, 0
	for i, client := range clients {
		require.NoError(t, client.Flush(patient(t)))
		ledgers[i].balanced(t, c)
		failed += ledgers[i].sent - len(ledgers[i].acked())
		settled(t, client)
	}
	for _, n := range receivedPayloads(c) {
		doubled += n - 1
	}
	t.Logf("%d messages sent, %d failed, %d arrived more than once", len(receivedPayloads(c)), failed, doubled)
}

func chaosSender(client dataproxy.FullClient, notes *ledger, random *rand.Rand, id int, end time.Time) {
	for n := 0; time.Now().Before(end); n++ {
		msg := streamMessage(fmt.Sprint("stream", random.IntN(20)), "%d/%d", id, n)
		ctx := context.Background()
		if random.IntN(5) == 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(100))*time.Millisecond)
			defer cancel()
		}
		switch random.IntN(50) {
		case 0:
			notes.mu.Lock()
			notes.sent++
			notes.mu.Unlock()
			notes.note(msg, client.Send(ctx, msg))
		case 1:
			_ = client.Flush(ctx)
		default:
			notes.send(ctx, client, msg)
		}
		if n%20 == 0 {
			time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
		}
	}
}

// wreak hurts the cluster until end, and heals it then.
func wreak(c *dataproxytest.Cluster, random *rand.Rand, end time.Time) {
	faults := []func() dataproxytest.Fault{
		dataproxytest.CloseAfterRead, dataproxytest.ResetAfterRead, dataproxytest.DropAnswer, dataproxytest.DuplicateAnswer,
		dataproxytest.Silence, dataproxytest.DropHeartbeat, dataproxytest.BlackHole, dataproxytest.RefuseConnect,
		func() dataproxytest.Fault { return dataproxytest.ResetMidFrame(1 + random.IntN(300)) },
		func() dataproxytest.Fault {
			return dataproxytest.Delay(time.Duration(random.IntN(500)) * time.Millisecond)
		},
		func() dataproxytest.Fault { return dataproxytest.ReorderAnswers(2 + random.IntN(4)) },
		func() dataproxytest.Fault { return dataproxytest.ErrorCode([]int{1, 2, 114, 116}[random.IntN(4)]) },
		func() dataproxytest.Fault { return dataproxytest.Malformed([]byte{0xFF, 0xFF, 0xFF, 0xFF}) },
		func() dataproxytest.Fault { return dataproxytest.SlowRead(20000) },
	}
	for time.Now().Before(end) {
		nodes := c.Nodes()[:3]
		i := random.IntN(3)
		n, other := nodes[i], nodes[(i+1)%3]
		switch random.IntN(12) {
		case 0:
			if other.Running() { // one of them stays up
				n.Kill()
			}
		case 1:
			if other.Running() {
				n.Stop()
			}
		case 2, 3, 4:
			n.Revive()
		case 5:
			c.RemoveNode(n)
			c.ListNode(other)
		case 6:
			c.ListNode(n)
		case 7:
			n.ResetConnections()
		default:
			n.Fault(faults[random.IntN(len(faults))]())
		}
		time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
	}
	for _, n := range c.Nodes() {
		n.ClearFaults()
		n.Revive()
		c.ListNode(n)
	}
}
