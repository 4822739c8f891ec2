package dataproxy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// smallQueue is a client with room for ten messages whose node does not answer, and the queue full.
func smallQueue(t *testing.T, block bool, opts ...dataproxy.Option) (*dataproxytest.Cluster, dataproxy.FullClient, *ledger) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, append([]dataproxy.Option{dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(10),
		dataproxy.WithBlockIfQueueIsFull(block)}, opts...)...)
	hurry(t, client)
	c.Nodes()[0].Kill()
	eventually(t, "no lane is usable", func() bool { return usableLanes(client) == 0 })
	notes := newLedger()
	for i := range 10 {
		notes.send(context.Background(), client, message(fmt.Sprint("message ", i)))
	}
	return c, client, notes
}

// A caller had its result before the room of its message was given back: its next message found the queue full, and a health check
// saw messages pending after all had been answered.
func TestRoomIsBackWhenACallerHasItsResult(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1), dataproxytest.WithoutRecorder())
	for name, bound := range map[string]dataproxy.Option{"messages": dataproxy.WithMaxPendingMessages(1), "bytes": dataproxy.WithMaxPendingBytes(6000)} {
		t.Run(name, func(t *testing.T) {
			client, registry := measured(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithBatchingMaxMessages(1), bound)
			payload := strings.Repeat("x", 2000)
			free := func() {
				s := client.Stats()
				require.Zero(t, s.PendingMessages)
				require.Zero(t, s.PendingBytes)
				counts(t, registry, map[string]float64{"pending_msg_gauge": 0})
			}
			for range 300 {
				require.NoError(t, client.Send(patient(t), message(payload)))
				free()
				require.Nil(t, client.SendBatch(patient(t), []dataproxy.Message{message(payload)}))
				free()
			}
		})
	}
}

// A caller that does not want to wait must hear "queue full" at once, and by its own code.
func TestF1_FullQueueFailsAtOnce(t *testing.T) {
	c, client, notes := smallQueue(t, false)
	inTime(t, 50*time.Millisecond, "refusals", func() {
		e := fault(t, client.Send(context.Background(), message("one too many")), dataproxy.CodeQueueFull)
		require.True(t, e.Retriable())
		require.Equal(t, dataproxy.NotWritten, e.Persisted())
		require.Equal(t, "test_group", e.GroupID)
		require.Equal(t, "test_stream", e.StreamID)
		called := false
		client.SendAsync(context.Background(), message("one too many"), func(_ dataproxy.Message, err error) {
			called = true
			fault(t, err, dataproxy.CodeQueueFull)
		})
		require.True(t, called, "refused on the caller's goroutine")
		for _, err := range client.SendBatch(context.Background(), []dataproxy.Message{message("a"), message("b")}) {
			fault(t, err, dataproxy.CodeQueueFull)
		}
	})
	require.EqualValues(t, 4, client.Stats().Refused)
	require.EqualValues(t, 10, client.Stats().PendingMessages)
	c.Nodes()[0].Revive()
	require.NoError(t, client.Flush(patient(t)))
	require.NoError(t, client.Send(patient(t), message("there is room again")))
	notes.balanced(t, c)
	settled(t, client)
}

// In block mode a sender waits for room and continues when there is some.
func TestF1_FullQueueBlocksAndResumes(t *testing.T) {
	c, client, notes := smallQueue(t, true)
	var through atomic.Int64
	var senders sync.WaitGroup
	for i := range 50 {
		senders.Go(func() {
			notes.send(context.Background(), client, message(fmt.Sprint("waits ", i)))
			through.Add(1)
		})
	}
	eventually(t, "fifty wait", func() bool { return strings.Contains(dataproxy.Leftovers(client), "50 callers wait") })
	require.Zero(t, through.Load())
	require.EqualValues(t, 10, client.Stats().PendingMessages)
	c.Nodes()[0].Revive()
	senders.Wait()
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	require.Equal(t, 60, len(notes.acked()))
	settled(t, client)
}

// Who came first gets the next room: otherwise an unlucky sender waits until its deadline while others continue.
func TestF1_RoomGoesToWhoCameFirst(t *testing.T) {
	const waiting = 30
	c := cluster(t, dataproxytest.WithNodes(1))
	answer := make(chan struct{})
	release := sync.OnceFunc(func() { close(answer) })
	t.Cleanup(release)
	c.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault {
		<-answer
		return dataproxytest.Fault{}
	})
	client := connect(t, c, dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(1))
	client.SendAsync(context.Background(), streamMessage("s", "00"), nil)
	want := []string{"00"}
	var senders sync.WaitGroup
	for i := 1; i <= waiting; i++ {
		want = append(want, fmt.Sprintf("%02d", i))
		senders.Go(func() {
			if err := client.Send(context.Background(), streamMessage(fmt.Sprint("s", i%3), "%02d", i)); err != nil {
				t.Error(err)
			}
		})
		eventually(t, "it waits", func() bool { return strings.Contains(dataproxy.Leftovers(client), fmt.Sprintf("; %d callers wait", i)) })
	}
	release()
	senders.Wait()
	var got []string
	for _, m := range c.Messages() {
		got = append(got, string(m))
	}
	require.Equal(t, want, got)
}

// A wait for room must end with the caller's context, with the send timeout, and with the close.
func TestF1_WaitForRoomEnds(t *testing.T) {
	_, client, _ := smallQueue(t, true, dataproxy.WithSendTimeout(400*time.Millisecond))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	inTime(t, 130*time.Millisecond, "wait with a context", func() {
		e := fault(t, client.Send(ctx, message("x")), dataproxy.CodeContextExpired)
		require.Equal(t, dataproxy.NotWritten, e.Persisted())
	})
	ctx, stop := context.WithCancel(context.Background())
	timer := time.AfterFunc(30*time.Millisecond, stop)
	defer timer.Stop()
	inTime(t, 130*time.Millisecond, "wait with a cancelled context", func() {
		called := make(chan error, 1)
		client.SendAsync(ctx, message("x"), func(_ dataproxy.Message, err error) { called <- err })
		fault(t, <-called, dataproxy.CodeContextExpired)
	})

	_, client, _ = smallQueue(t, true)
	waits := make(chan error, 1)
	go func() { waits <- client.Send(context.Background(), message("x")) }()
	eventually(t, "it waits", func() bool { return strings.Contains(dataproxy.Leftovers(client), "1 callers wait") })
	ended, end := context.WithCancel(context.Background())
	end()
	inTime(t, 100*time.Millisecond, "close", func() { _, _ = client.Shutdown(ended) })
	inTime(t, 100*time.Millisecond, "the wait", func() { fault(t, <-waits, dataproxy.CodeClosed) })
	settled(t, client)

	_, client, _ = smallQueue(t, true, dataproxy.WithSendTimeout(10*time.Second), dataproxy.WithBatchingMaxPublishDelay(10*time.Second))
	for range 3 { // ones that gave up must not take the room of those behind them
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		fault(t, client.Send(ctx, message("gives up")), dataproxy.CodeContextExpired)
		cancel()
	}
}

// The bound of bytes holds beside that of messages; a message that could never fit must not wait.
func TestF1_BoundOfBytes(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithMaxPendingBytes(10000), dataproxy.WithBlockIfQueueIsFull(true))
	hurry(t, client)
	inTime(t, 100*time.Millisecond, "a refusal", func() {
		fault(t, client.Send(context.Background(), message(strings.Repeat("x", 10001))), dataproxy.CodeLogTooLong)
	})
	notes := newLedger()
	each(8, func(i int) {
		for n := range 100 {
			if pending := client.Stats().PendingBytes; pending > 10000+8*4000 { // tries that are taken back may show
				t.Errorf("%d bytes pending", pending)
			}
			notes.send(context.Background(), client, message(fmt.Sprintf("%d/%d%s", i, n, strings.Repeat("x", (n*37)%3900))))
		}
	})
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	require.Equal(t, 800, len(notes.acked()))
	settled(t, client)
}

// A sender that waits for room which its own open batches take: it must not wait for their linger, batch by batch.
func TestF1_WaitForRoomDoesNotWaitForTheLinger(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(20), dataproxy.WithBlockIfQueueIsFull(true),
		dataproxy.WithBatchingMaxPublishDelay(5*time.Second))
	inTime(t, 2*time.Second, "sends", func() {
		for i := range 500 {
			client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", i%3), "%d", i), nil)
		}
		var msgs []dataproxy.Message
		for i := range 100 {
			msgs = append(msgs, streamMessage(fmt.Sprint("stream", i%3), "batch %d", i))
		}
		for _, err := range client.SendBatch(context.Background(), msgs) {
			t.Error(err)
		}
	})
	require.NoError(t, client.Flush(patient(t)))
	require.Equal(t, 600, c.Count())
	settled(t, client)
}

// hasty is the context of a caller that does not wait for room.
type hasty struct{ context.Context }

func (hasty) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

// Room that other streams' open batches hold: anyone who needs it would have to wait for a linger that is long, again and again.
func TestF1_NoRoomEndsTheLingerOfOthers(t *testing.T) {
	for name, test := range map[string]struct {
		block bool
		ctx   context.Context
	}{
		"waits":             {true, context.Background()},
		"looks in":          {true, hasty{context.Background()}},
		"fails, comes back": {false, context.Background()},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(20),
				dataproxy.WithBlockIfQueueIsFull(test.block), dataproxy.WithBatchingMaxPublishDelay(5*time.Second))
			inTime(t, 2*time.Second, "sends", func() {
				for i := range 100 { // of its own stream there is nothing that it could send on
					msg := streamMessage(fmt.Sprint("stream", i), "%d", i)
					for client.(dataproxy.Embedder).Submit(test.ctx, &msg, dataproxy.Tag{}) != nil {
						time.Sleep(time.Millisecond)
					}
				}
			})
			require.NoError(t, client.Flush(patient(t)))
			require.Equal(t, 100, c.Count())
			settled(t, client)
		})
	}
}

// A batch behind a callback that is stuck: its messages used to wait for room one after the other, each for the whole send time-out.
func TestF1_SendBatchWaitsInVainOnce(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(1), dataproxy.WithBlockIfQueueIsFull(true),
		dataproxy.WithSendTimeout(500*time.Millisecond))
	stuck, in := make(chan struct{}), make(chan struct{})
	defer close(stuck)
	client.SendAsync(context.Background(), message("x"), func(dataproxy.Message, error) { close(in); <-stuck })
	<-in
	var errs []error
	inTime(t, 500*time.Millisecond, "SendBatch", func() {
		errs = client.SendBatch(context.Background(), slices.Repeat([]dataproxy.Message{message("y")}, 40))
	})
	require.Len(t, errs, 40)
	for _, err := range errs {
		require.Equal(t, dataproxy.NotWritten, fault(t, err, dataproxy.CodeSendTimeout).Persisted())
	}
}

// Many senders at a tiny bound, some of which give up: every wake-up must reach a sender that can use it.
func TestF1_NoWakeUpIsLost(t *testing.T) {
	c := cluster(t, dataproxytest.WithDigestRecorder())
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(3), dataproxy.WithBlockIfQueueIsFull(true),
		dataproxy.WithBatchingMaxPublishDelay(0), dataproxy.WithMaxPendingBytes(1024))
	var acked atomic.Int64
	inTime(t, 15*time.Second, "senders", func() {
		each(16, func(i int) {
			for n := range rounds(100, 3000) {
				ctx, cancel := context.Background(), context.CancelFunc(func() {})
				if i >= 8 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(n%5)*200*time.Microsecond)
				}
				err := client.Send(ctx, message(strings.Repeat("x", 1+(i*n)%1100)))
				cancel()
				if err == nil {
					acked.Add(1)
				} else if i < 8 && !isCode(err, dataproxy.CodeQueueFull) {
					t.Error(err)
				}
			}
		})
	})
	require.Positive(t, acked.Load())
	settled(t, client)
}

// A program that uses both modes the way one would: retry on "queue full", or block.
func TestProgramsOfBothQueueModes(t *testing.T) {
	const n = 5000
	for _, block := range []bool{false, true} {
		c := cluster(t)
		client := connect(t, c, dataproxy.WithMaxPendingMessages(20), dataproxy.WithBlockIfQueueIsFull(block))
		var acked, full atomic.Int64
		for i := range n {
			for sent := false; !sent; {
				refused := false
				client.SendAsync(context.Background(), message(fmt.Sprint("message ", i)), func(_ dataproxy.Message, err error) {
					if isCode(err, dataproxy.CodeQueueFull) {
						refused = true // on this goroutine
						return
					}
					if err == nil {
						acked.Add(1)
					}
				})
				if sent = !refused; refused {
					full.Add(1)
					require.NoError(t, client.Flush(patient(t)))
				}
			}
		}
		require.NoError(t, client.Flush(patient(t)))
		require.EqualValues(t, n, acked.Load())
		require.Len(t, receivedPayloads(c), n)
		require.Equal(t, !block, full.Load() > 0)
		settled(t, client)
	}
}

// While somebody waited for room beside a stuck callback, the open batches of all streams were sealed every 10 ms: twenty times the
// frames for streams that had all their room.
func TestF1_WaiterForAFullShareSealsNoOtherBatches(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithWorkerNum(2), dataproxy.WithMaxPendingMessages(80), dataproxy.WithBlockIfQueueIsFull(true),
		dataproxy.WithBatchingMaxPublishDelay(5*time.Second), dataproxy.WithSendTimeout(time.Minute))
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	var full, others []string // streams of the one share, and of the other
	for i := 0; len(full) < 2 || len(others) < 10; i++ {
		name := fmt.Sprint("stream", i)
		require.NoError(t, client.Send(patient(t), streamMessage(name, "first")))
		if dataproxy.ShareOf(client, name) == 0 {
			full = append(full, name)
		} else {
			others = append(others, name)
		}
	}
	var senders sync.WaitGroup
	for _, name := range full[:2] {
		senders.Go(func() {
			for i := range 75 {
				client.SendAsync(context.Background(), streamMessage(name, "%d", i), func(dataproxy.Message, error) { <-release })
			}
		})
	}
	eventually(t, "both wait", func() bool { return strings.Contains(dataproxy.Leftovers(client), "2 callers wait") })
	for round := range 5 {
		for _, name := range others {
			client.SendAsync(context.Background(), streamMessage(name, "round %d", round), nil)
		}
		dataproxy.Relieve(client)
	}
	free()
	senders.Wait()
	require.NoError(t, client.Flush(patient(t)))
	frames := 0
	for _, r := range c.Received() {
		if slices.Contains(others, r.Stream) {
			frames++
		}
	}
	require.Equal(t, 2*len(others), frames, "one for the first message of each, one for the five after it")
	settled(t, client)
}
