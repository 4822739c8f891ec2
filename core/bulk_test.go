package dataproxy_test

import (
	"context"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// outcomes counts results, however they come.
type outcomes struct{ acked, failed atomic.Int64 }

func (o *outcomes) note(_ dataproxy.Message, err error) { o.count(err, 1) }

func (o *outcomes) count(err error, messages int) {
	if err == nil {
		o.acked.Add(int64(messages))
	} else {
		o.failed.Add(int64(messages))
	}
}

func (o *outcomes) handle(r *dataproxy.BatchResult) {
	var err error
	if r.Err != nil {
		err = r.Err
	}
	o.count(err, len(r.Tags))
}

// bulkWays are the ways in that the bulk window bounds. Each brings all payloads and returns when they are accepted or have failed.
var bulkWays = map[string]func(client dataproxy.FullClient, payloads [][]byte, o *outcomes){
	"SendBulk": func(client dataproxy.FullClient, payloads [][]byte, o *outcomes) {
		for _, p := range payloads {
			client.SendBulk(context.Background(), dataproxy.Message{StreamID: "s", Payload: p}, o.note)
		}
	},
	"SendBatch": func(client dataproxy.FullClient, payloads [][]byte, o *outcomes) {
		messages := make([]dataproxy.Message, len(payloads))
		for i, p := range payloads {
			messages[i] = dataproxy.Message{StreamID: "s", Payload: p}
		}
		errs := client.SendBatch(context.Background(), messages)
		if errs == nil {
			o.count(nil, len(messages))
		}
		for _, err := range errs {
			o.count(err, 1)
		}
	},
	"SubmitPacked, which may not wait": func(client dataproxy.FullClient, payloads [][]byte, o *outcomes) {
		msg := dataproxy.Message{StreamID: "s"}
		for done := 0; done < len(payloads); {
			data, lengths := []byte(nil), []uint32(nil)
			for _, p := range payloads[done:min(len(payloads), done+1000)] {
				data, lengths = append(data, p...), append(lengths, uint32(len(p)))
			}
			n, err := client.(dataproxy.Embedder).SubmitPacked(context.Background(), &msg, data, lengths, dataproxy.Tag{}, true)
			if done += n; isCode(err, dataproxy.CodeQueueFull) {
				time.Sleep(10 * time.Millisecond) // as a program does that is told so
			} else if err != nil {
				o.count(err, 1)
				return
			}
		}
	},
}

// D18: what a bulk sender brings waits no longer than its deadline allows, however slow the network is, and also where a fast one becomes
// slow on the way. A queue bounded in bytes alone takes in what cannot be moved in time: of 60 MB over 1 MB/s half failed.
func TestD18_BulkFollowsTheNetwork(t *testing.T) {
	const size, count = 1000, 6000 // 6 MB at 1 MB/s, with a deadline of 3 s
	for way, send := range bulkWays {
		for _, compression := range []dataproxy.Compression{dataproxy.None, dataproxy.Snappy} {
			for _, slowFrom := range []int{0, 2000} {
				t.Run(fmt.Sprintf("%s, compression %s, slow from %d", way, compression, slowFrom), func(t *testing.T) {
					t.Parallel()
					c := cluster(t, dataproxytest.WithNodes(1))
					var o outcomes
					// One connection is the whole network.
					client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithSendTimeout(3*time.Second),
						dataproxy.WithCompression(compression), dataproxy.WithResultHandler(o.handle))
					random := rand.New(rand.NewSource(1))
					payloads := make([][]byte, count)
					for i := range payloads {
						payloads[i] = make([]byte, size)
						random.Read(payloads[i])
					}
					send(client, payloads[:slowFrom], &o)
					c.Node(0).Standing(dataproxytest.SlowRead(1_000_000))
					send(client, payloads[slowFrom:], &o)
					require.NoError(t, client.Flush(patient(t)))
					require.Zero(t, o.failed.Load())
					require.EqualValues(t, count, o.acked.Load())
					settled(t, client)
				})
			}
		}
	}
}

// heldNode is a client of one node that answers once it is told to, with a bulk window of so many bytes.
func heldNode(t *testing.T, window int64, opts ...dataproxy.Option) (client dataproxy.FullClient, c *dataproxytest.Cluster, answer func()) {
	c = cluster(t, dataproxytest.WithNodes(1))
	gate := make(chan struct{})
	answer = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(answer)
	c.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault {
		<-gate
		return dataproxytest.Fault{}
	})
	client = connect(t, c, opts...)
	dataproxy.SetBulkWindow(client, window)
	return client, c, answer
}

func inWindow(t *testing.T, client dataproxy.FullClient, waiting int) {
	t.Helper()
	eventually(t, "they wait", func() bool {
		return strings.Contains(dataproxy.Leftovers(client), fmt.Sprintf("%d wait for it", waiting))
	})
}

// Bulk senders wait for the window, each in order, and all of them come through; a message that is sent alone does not wait
// after them.
func TestBulkSendersWaitForTheirWindowAndSinglesDoNot(t *testing.T) {
	const senders, each = 20, 50
	client, c, answer := heldNode(t, 10_000, dataproxy.WithCompression(dataproxy.None))
	var acked atomic.Int64
	note := func(_ dataproxy.Message, err error) {
		if err == nil {
			acked.Add(1)
		}
	}
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for k := range each {
				client.SendBulk(context.Background(), streamMessage(fmt.Sprint("s", i), "%01000d", k), note)
			}
		})
	}
	inWindow(t, client, senders)
	// All may have looked before one of them was counted.
	require.LessOrEqual(t, client.Stats().Accepted, int64(10+senders))
	before := client.Stats().Accepted
	for range 100 {
		client.SendAsync(context.Background(), message("a single one"), note)
	}
	require.Equal(t, before+100, client.Stats().Accepted)
	answer()
	all.Wait()
	require.NoError(t, client.Flush(patient(t)))
	require.EqualValues(t, senders*each+100, acked.Load())
	require.Len(t, c.Messages(), senders*each+100)
	settled(t, client)
}

// A wait for the window ends with the caller's context, with the send timeout, and as soon as a close begins.
func TestWaitForTheBulkWindowEnds(t *testing.T) {
	client, _, _ := heldNode(t, 100, dataproxy.WithSendTimeout(time.Second))
	hurry(t, client)
	client.SendBulk(context.Background(), streamMessage("s", "%0200d", 1), nil)
	ctx, cancel := context.WithCancel(context.Background())
	results := make(chan error, 3)
	note := func(_ dataproxy.Message, err error) { results <- err }
	go client.SendBulk(ctx, message("its context ends"), note)
	inWindow(t, client, 1)
	cancel()
	fault(t, <-results, dataproxy.CodeContextExpired)

	go func() {
		results <- client.SendBatch(context.Background(), []dataproxy.Message{message("nothing is acked")})[0]
	}()
	fault(t, <-results, dataproxy.CodeSendTimeout)

	client.SendBulk(context.Background(), streamMessage("s", "%0200d", 2), nil)
	for range 2 {
		go client.SendBulk(context.Background(), message("the client is closed"), note)
	}
	inWindow(t, client, 2)
	closing, giveUp := context.WithCancel(context.Background())
	var closed sync.WaitGroup
	closed.Go(func() { _, _ = client.Shutdown(closing) })
	fault(t, <-results, dataproxy.CodeClosed) // while what is in flight is still waited for
	fault(t, <-results, dataproxy.CodeClosed)
	giveUp()
	closed.Wait()
}

// Where nothing is acked, a batch of many windows must not wait a send timeout for each of them.
func TestBatchLargerThanTheWindowReturnsInTimeWhereNothingIsAcked(t *testing.T) {
	client, _, _ := heldNode(t, 5_000, dataproxy.WithCompression(dataproxy.None), dataproxy.WithSendTimeout(500*time.Millisecond))
	hurry(t, client)
	messages := make([]dataproxy.Message, 1000)
	for i := range messages {
		messages[i] = streamMessage("s", "%0500d", i)
	}
	inTime(t, 700*time.Millisecond, "the batch", func() {
		for i, err := range client.SendBatch(context.Background(), messages) {
			e := fault(t, err, dataproxy.CodeSendTimeout)
			if i > 20 {
				require.Equal(t, dataproxy.NotWritten, e.Persisted())
			}
		}
	})
	settled(t, client)
}

// Who may not wait is told that the queue is full, in a callback too.
func TestFullBulkWindowIsAFullQueueForWhoMayNotWait(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client, _ := embedder(t, c, dataproxy.WithCompression(dataproxy.None))
	c.Node(0).Standing(dataproxytest.Silence())
	hurry(t, client)
	dataproxy.SetBulkWindow(client, 100)
	msg := dataproxy.Message{StreamID: "s"}
	payload := []byte(strings.Repeat("x", 200))
	n, err := client.SubmitMany(context.Background(), &msg, [][]byte{payload}, []dataproxy.Tag{{}}, true)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = client.SubmitMany(context.Background(), &msg, [][]byte{payload}, []dataproxy.Tag{{}}, true)
	fault(t, err, dataproxy.CodeQueueFull)
	require.Zero(t, n)
	n, err = client.SubmitMany(context.Background(), &msg, [][]byte{payload}, []dataproxy.Tag{{}}, false)
	require.NoError(t, err, "it does not come in bulk")
	require.Equal(t, 1, n)

	inside := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	client.SendAsync(ctx, streamMessage("s", "x"), func(dataproxy.Message, error) {
		client.SendBulk(context.Background(), streamMessage("s", "x"), func(_ dataproxy.Message, err error) { inside <- err })
	})
	fault(t, <-inside, dataproxy.CodeQueueFull)
}

// What compression saves on the wire is room for others: nothing else would use a compressed link.
func TestFramedBatchCountsInTheBulkWindowAsItIsOnTheWire(t *testing.T) {
	client, _, answer := heldNode(t, 10_000, dataproxy.WithCompression(dataproxy.Snappy))
	var acked atomic.Int64
	for range 20 { // 100,000 bytes
		client.SendBulk(context.Background(), streamMessage("s", "%05000d", 1), func(_ dataproxy.Message, err error) {
			if err == nil {
				acked.Add(1)
			}
		})
	}
	require.EqualValues(t, 20, client.Stats().Accepted)
	answer()
	require.NoError(t, client.Flush(patient(t)))
	require.EqualValues(t, 20, acked.Load())
	settled(t, client)
}

// An open batch holds its bytes for its whole linger, and no answer would give them back: who waits for them has it sealed.
func TestWaitForTheBulkWindowDoesNotWaitForTheLinger(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(5*time.Second))
	dataproxy.SetBulkWindow(client, 100)
	inTime(t, time.Second, "the waits", func() {
		for i := range 5 {
			client.SendBulk(context.Background(), streamMessage(fmt.Sprint("s", i), "%0200d", i), nil)
		}
	})
	require.NoError(t, client.Flush(patient(t)))
	require.Len(t, c.Messages(), 5)
	settled(t, client)
}
