package dataproxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/tcptest"
)

// A lane that is never idle while callers send on it: what it remembers of them must not grow with every batch.
func TestBusyLaneRemembersEachWaitingStreamOnce(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithBatchingMaxPublishDelay(time.Millisecond))
	hurry(t, client)
	c.Nodes()[0].Handle(func(r dataproxytest.Record) dataproxytest.Fault {
		if r.Stream == "unanswered" {
			return dataproxytest.DropAnswer()
		}
		return dataproxytest.Fault{}
	})
	client.SendAsync(context.Background(), streamMessage("unanswered", "x"), nil)
	eventually(t, "it is in flight", func() bool { return c.Nodes()[0].Frames() == 1 })
	for i := range 100 {
		require.NoError(t, client.Send(patient(t), streamMessage(fmt.Sprint("stream", i%2), "%d", i)))
	}
	require.LessOrEqual(t, dataproxy.WaitingForIdle(client), 2)
}

// Where others keep a lane busy all the time it is never idle: a caller must continue when the lane does, not wait for the linger.
func TestSyncSendDoesNotWaitForALaneThatIsNeverIdle(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithBatchingMaxPublishDelay(time.Minute),
		dataproxy.WithSendTimeout(time.Hour), dataproxy.WithAckTimeout(time.Hour))
	hurry(t, client)
	answer := make(chan struct{})
	release := sync.OnceFunc(func() { close(answer) })
	t.Cleanup(release)
	c.Node(0).Handle(func(r dataproxytest.Record) dataproxytest.Fault {
		switch r.Stream {
		case "unanswered":
			return dataproxytest.DropAnswer()
		case "answered":
			<-answer
		}
		return dataproxytest.Fault{}
	})
	require.NoError(t, client.Send(patient(t), streamMessage("awaited", "its stream has a lane now")))
	client.SendAsync(context.Background(), streamMessage("unanswered", "x"), nil)
	client.SendAsync(context.Background(), streamMessage("answered", "x"), nil)
	at, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	require.Error(t, client.Flush(at))
	result := make(chan error, 1)
	go func() { result <- client.Send(context.Background(), streamMessage("awaited", "x")) }()
	eventually(t, "the caller waits for the lane", func() bool { return dataproxy.WaitingForIdle(client) == 1 })
	release()
	select {
	case err := <-result:
		require.NoError(t, err)
	case <-time.After(patience):
		t.Fatal("it waits for the linger")
	}
}

// slowStarter is a node that answers the first heartbeat of its first connections only when it is let go.
func slowStarter(t *testing.T) (addr string, connecting *atomic.Int64, letGo func()) {
	connecting = new(atomic.Int64)
	free, over := make(chan struct{}), make(chan struct{})
	addr = tcptest.Serve(t, tcptest.Listen(t), func(conn net.Conn) {
		connecting.Add(1)
		select {
		case <-free:
			_, _ = io.Copy(conn, conn) // a heartbeat and its answer are alike
		case <-over:
		}
	})
	t.Cleanup(func() { close(over) })
	return addr, connecting, func() { close(free) }
}

// A node that is taken off the list while a lane connects to it: the lane must not stay there until some later list.
func TestLaneLeavesANodeThatWasRemovedWhileItConnected(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	slow, connecting, letGo := slowStarter(t)
	client := connect(t, c, dataproxy.WithStaticNodes(slow, c.Nodes()[0].Addr()))
	eventually(t, "four lanes connect to the slow one", func() bool { return connecting.Load() == 4 && usableLanes(client) == 4 })
	dataproxy.SetNodes(client, c.Nodes()[0].Addr())
	letGo()
	eventually(t, "all lanes are on the node of the list", func() bool {
		live, _ := c.Nodes()[0].Connections()
		return live == 8 && usableLanes(client) == 8
	})
	require.NoError(t, client.Send(patient(t), message("x")))
}

// A callback that sends into a full queue in block mode: the room it would wait for may be what it holds itself.
func TestF5_CallbackDoesNotWaitForRoomThatItHolds(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(5), dataproxy.WithBlockIfQueueIsFull(true))
	result := make(chan error, 10)
	for i := range 5 {
		client.SendAsync(context.Background(), message(fmt.Sprint(i)), func(dataproxy.Message, error) {
			client.SendAsync(context.Background(), message(fmt.Sprint(i, " again")), func(_ dataproxy.Message, err error) { result <- err })
		})
	}
	inTime(t, 2*time.Second, "flush", func() { require.NoError(t, client.Flush(patient(t))) })
	for range 5 {
		if err := <-result; err != nil {
			fault(t, err, dataproxy.CodeQueueFull)
		}
	}
	require.NoError(t, client.Flush(patient(t)))
	settled(t, client)
}

// A callback of one client that hands on to another one, whose queue is full: that one may be emptied by callbacks which hand on to the first.
// It does not wait, whatever way it sends.
func TestF5_CallbackDoesNotWaitForRoomInAnotherClient(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	full := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(1), dataproxy.WithBlockIfQueueIsFull(true),
		dataproxy.WithResultHandler(func(*dataproxy.BatchResult) {}))
	client := connect(t, c)
	stuck := make(chan struct{})
	full.SendAsync(context.Background(), message("fills it"), func(dataproxy.Message, error) { <-stuck })
	results := make(chan error, 6)
	note := func(_ dataproxy.Message, err error) { results <- err }
	client.SendAsync(context.Background(), message("handed on"), func(msg dataproxy.Message, _ error) {
		ctx, embedder := context.Background(), full.(dataproxy.Embedder)
		full.SendAsync(ctx, msg, note)
		full.SendBulk(ctx, msg, note)
		results <- full.Send(ctx, msg)
		results <- full.SendBatch(ctx, []dataproxy.Message{msg})[0]
		results <- embedder.Submit(ctx, &msg, dataproxy.Tag{})
		_, err := embedder.SubmitMany(ctx, &msg, [][]byte{msg.Payload}, make([]dataproxy.Tag, 1), true)
		results <- err
	})
	inTime(t, 10*time.Second, "the callback", func() {
		for range cap(results) {
			fault(t, <-results, dataproxy.CodeQueueFull)
		}
	})
	close(stuck)
	settled(t, full)
}

// Connections that end while batches are drained from them, again and again: none may be left on a lane that is not there.
func TestLanesThatAreReplacedAllTheTimeLoseNothing(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithMaxRetries(0))
	all := []string{c.Nodes()[0].Addr(), c.Nodes()[1].Addr(), c.Nodes()[2].Addr()}
	notes := newLedger()
	stop := load(t, client, notes)
	for i := range rounds(150, 3000) {
		dataproxy.SetNodes(client, all[i%3], all[(i/3)%3])
		if i%5 == 0 {
			require.NoError(t, client.Send(patient(t), streamMessage("probe", "%d", i)))
		}
	}
	dataproxy.SetNodes(client, all...)
	stop()
	notes.balanced(t, c)
	require.Equal(t, notes.sent, len(notes.acked()), "a drained lane loses nothing, even without retries")
	eventually(t, "the lanes are even", func() bool { return even(client, 3) })
	settled(t, client)
}

// A cluster that is down for hours, and messages that expire meanwhile: the batches that wait for a lane must not pile up
// when they are dead.
func TestDeadBatchesDoNotPileUpWhileNoLaneIsUsable(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(0))
	c.Nodes()[0].Kill()
	eventually(t, "no lane is usable", func() bool { return usableLanes(client) == 0 })
	most := 0
	for round := range 20 {
		notes := newLedger()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		for i := range 250 {
			notes.send(ctx, client, message(fmt.Sprintf("%d/%d", round, i)))
		}
		eventually(t, "all expire", func() bool { return notes.count() == 250 })
		cancel()
		most = max(most, dataproxy.Parked(client))
	}
	require.LessOrEqual(t, most, 3*250)
	c.Nodes()[0].Revive()
	require.NoError(t, client.Send(patient(t), message("continues")))
	require.Equal(t, 1, c.Count())
	require.Zero(t, dataproxy.Parked(client))
	settled(t, client)
}
