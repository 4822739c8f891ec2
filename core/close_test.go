package dataproxy_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// betweenChecks is a context whose deadline is asked for between a message's first check and its way into a batch.
type betweenChecks struct {
	context.Context
	once sync.Once
	do   func()
}

func (c *betweenChecks) Deadline() (time.Time, bool) {
	c.once.Do(c.do)
	return c.Context.Deadline()
}

// A message that was let in before a close began and reaches its batch after the sweep would never have a result.
func TestF2_MessageThatComesBehindTheSweepIsRefused(t *testing.T) {
	client := connect(t, cluster(t))
	began := false
	ctx := &betweenChecks{Context: patient(t), do: func() { began = true; client.Close() }}
	inTime(t, time.Second, "send", func() {
		if err := client.Send(ctx, message("x")); !isCode(err, dataproxy.CodeClosed) {
			t.Error(err)
		}
	})
	require.True(t, began)
	require.Empty(t, dataproxy.Leftovers(client))
}

// Closing under load: a message that was accepted at the same moment must neither be lost nor get its result twice or after
// the close, and nothing may panic.
func TestF2_CloseUnderLoadAndResets(t *testing.T) {
	c := cluster(t, dataproxytest.WithDigestRecorder())
	for range rounds(25, 1000) {
		client, err := dataproxy.NewClient(append(basics(c), dataproxy.WithBatchingMaxPublishDelay(time.Millisecond))...)
		require.NoError(t, err)
		var accepted, results, late atomic.Int64
		var closed atomic.Bool
		stop := make(chan struct{})
		var once sync.Once
		end := func() { once.Do(func() { close(stop) }) }
		t.Cleanup(end)
		var senders sync.WaitGroup
		for i := range 8 {
			senders.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					msg := streamMessage(fmt.Sprint("stream", n%3), "sender %d message %d", i, n)
					if i == 0 {
						_ = client.Send(context.Background(), msg)
						continue
					}
					accepted.Add(1)
					client.SendAsync(context.Background(), msg, func(_ dataproxy.Message, err error) {
						results.Add(1)
						// A refusal, which knows no batch, comes on the sender's goroutine, whenever that sends.
						var e *dataproxy.Error
						if closed.Load() && !(errors.As(err, &e) && e.BatchID == "") {
							late.Add(1)
						}
					})
				}
			})
		}
		eventually(t, "some results", func() bool { return results.Load() > 100 })
		for _, n := range c.Nodes()[:2] {
			n.ResetConnections()
		}
		inTime(t, 10*time.Second, "close", client.Close)
		closed.Store(true)
		end()
		senders.Wait()
		require.Empty(t, dataproxy.Leftovers(client))
		require.Equal(t, accepted.Load(), results.Load(), "results")
		require.Zero(t, late.Load(), "callbacks after the close")
	}
}

// A node that never answers must not hold up the close, and what it did not ack must not be called sent.
func TestF3_CloseWithASilentServer(t *testing.T) {
	const n = 1000
	c := cluster(t)
	client := connect(t, c)
	standing(c, dataproxytest.Silence())
	notes := newLedger()
	for i := range n {
		notes.send(context.Background(), client, message(fmt.Sprint("message ", i)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var report dataproxy.CloseReport
	second := make(chan struct{})
	go func() {
		defer close(second)
		soon, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		for client.Send(soon, message("is it closing?")) == nil {
		}
		inTime(t, 110*time.Millisecond, "a second close with an earlier deadline", func() { _, _ = client.Shutdown(soon) })
	}()
	inTime(t, 1100*time.Millisecond, "close", func() {
		var err error
		if report, err = client.Shutdown(ctx); err == nil {
			t.Error("the close had to give messages up and says nothing")
		}
	})
	<-second
	require.EqualValues(t, n, report.ByCode[dataproxy.CodeClosed])
	require.GreaterOrEqual(t, report.Unsent, int64(n))
	require.Zero(t, report.Acked)
	notes.balanced(t, c)
	require.Empty(t, notes.acked())
	for payload, errs := range notes.results {
		e := fault(t, errs[0], dataproxy.CodeClosed)
		require.Equal(t, dataproxy.MaybeWritten, e.Persisted(), payload)
		require.False(t, e.Retriable())
	}
	again, _ := client.Shutdown(context.Background())
	require.Equal(t, report, again)
	settled(t, client)
}

// What a message that never left the client is told at the close: sending it again elsewhere cannot duplicate it.
func TestMessagesThatWereNeverWrittenSaySoAtTheClose(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c)
	c.Nodes()[0].Kill()
	eventually(t, "no lane is usable", func() bool { return usableLanes(client) == 0 })
	notes := newLedger()
	for i := range 120 {
		notes.send(context.Background(), client, message(fmt.Sprint("message ", i)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	inTime(t, 200*time.Millisecond, "close", func() { _, _ = client.Shutdown(ctx) })
	notes.balanced(t, c)
	for _, errs := range notes.results {
		e := fault(t, errs[0], dataproxy.CodeClosed)
		require.Equal(t, dataproxy.NotWritten, e.Persisted())
		require.Zero(t, e.Attempts)
	}
}

func usableLanes(client dataproxy.FullClient) (n int) {
	for _, l := range client.Stats().Lanes {
		if l.Usable {
			n++
		}
	}
	return n
}

// Close twice, and every call after a close, must be refused at once and with one and the same code.
func TestF4_CallsAfterClose(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	require.NoError(t, client.Send(patient(t), message("x")))
	report, err := client.Shutdown(patient(t))
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Acked)
	client.Close()
	again, err := client.Shutdown(patient(t))
	require.NoError(t, err)
	require.Equal(t, report, again)
	inTime(t, time.Second, "calls after the close", func() {
		fault(t, client.Send(context.Background(), message("x")), dataproxy.CodeClosed)
		calls := 0
		client.SendAsync(context.Background(), message("x"), func(m dataproxy.Message, err error) {
			calls++
			fault(t, err, dataproxy.CodeClosed)
		})
		require.Equal(t, 1, calls)
		errs := client.SendBatch(context.Background(), []dataproxy.Message{message("x"), message("y")})
		require.Len(t, errs, 2)
		for _, err := range errs {
			fault(t, err, dataproxy.CodeClosed)
		}
		require.NoError(t, client.Flush(context.Background()))
	})
	require.Equal(t, 1, c.Count())
	require.EqualValues(t, 4, client.Stats().Refused)
}

// Close from many goroutines at once: each returns when the client is closed, none before.
func TestF4_CloseFromManyGoroutines(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	notes := newLedger()
	for i := range 2000 {
		notes.send(context.Background(), client, message(fmt.Sprint(i)))
	}
	each(16, func(int) {
		client.Close()
		if left := dataproxy.Leftovers(client); left != "" {
			t.Error(left)
		}
	})
	notes.balanced(t, c)
	require.Equal(t, 2000, len(notes.acked()))
}

// Flush from many threads: each waits for what was accepted before it, and none for what comes later without end.
func TestF4_FlushFromManyGoroutinesUnderLoad(t *testing.T) {
	c := cluster(t, dataproxytest.WithDigestRecorder())
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(5*time.Second))
	stop := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				client.SendAsync(context.Background(), streamMessage("endless", "%d", n), nil)
				if n%10 == 0 {
					runtime.Gosched()
				}
			}
		}
	})
	each(16, func(i int) {
		for n := range 20 {
			var done atomic.Bool
			client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", i), "%d", n),
				func(dataproxy.Message, error) { done.Store(true) })
			if err := client.Flush(patient(t)); err != nil || !done.Load() {
				t.Errorf("after the flush: %v, called: %v", err, done.Load())
			}
		}
	})
	close(stop)
	sender.Wait()
	require.NoError(t, client.Flush(patient(t)))
	settled(t, client)
}

// Flush must obey its context when a node does not answer.
func TestFlushObeysItsContext(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	hurry(t, client)
	standing(c, dataproxytest.Silence())
	client.SendAsync(context.Background(), message("x"), nil)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	inTime(t, 130*time.Millisecond, "flush", func() { fault(t, client.Flush(ctx), dataproxy.CodeContextExpired) })
}

// A callback that never returns must not keep the close, nor callers that wait for other results, past the deadline; and
// after the close no other callback may start.
func TestCloseWithACallbackThatNeverReturns(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithBatchingMaxPublishDelay(0))
	release, entered := make(chan struct{}), make(chan struct{})
	client.SendAsync(context.Background(), message("stuck"), func(dataproxy.Message, error) {
		close(entered)
		<-release
	})
	<-entered
	var behind atomic.Int64
	for range 20 {
		client.SendAsync(context.Background(), message("behind"), func(dataproxy.Message, error) { behind.Add(1) })
	}
	standing(c, dataproxytest.Silence())
	sent := make(chan error, 1)
	go func() { sent <- client.Send(context.Background(), message("waits")) }()
	eventually(t, "the last message is at the node", func() bool { return receivedPayloads(c)["waits"] > 0 })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	var report dataproxy.CloseReport
	inTime(t, 200*time.Millisecond, "close", func() { report, _ = client.Shutdown(ctx) })
	select {
	case err := <-sent:
		fault(t, err, dataproxy.CodeClosed)
	case <-time.After(time.Second):
		t.Error("the sender still waits")
	}
	after := behind.Load()
	require.Zero(t, after, "callbacks beside the one that runs")
	require.GreaterOrEqual(t, report.Uncalled, int64(20))
	close(release)
	settled(t, client)
	require.Equal(t, after, behind.Load())
}

// A closed client must not hold on to threads, sockets, goroutines or timers.
func TestF7_OpenAndCloseLeavesNothing(t *testing.T) {
	c := cluster(t, dataproxytest.WithDigestRecorder())
	baseline := func() (goroutines, sockets int, heap uint64) {
		eventually(t, "the nodes see the connections end", func() bool {
			for _, n := range c.Nodes() {
				if live, _ := n.Connections(); live > 0 {
					return false
				}
			}
			return true
		})
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return ours(), openSockets(t), m.HeapAlloc
	}
	cycle := func() {
		client, err := dataproxy.NewClient(basics(c)...)
		require.NoError(t, err)
		client.SendAsync(context.Background(), message("x"), nil)
		require.NoError(t, client.Send(patient(t), message("y")))
		client.Close()
	}
	cycle()
	goroutines, sockets, heap := baseline()
	for range rounds(40, 200) {
		cycle()
	}
	eventually(t, "the goroutines are gone", func() bool { return ours() <= goroutines })
	_, socketsNow, heapNow := baseline()
	require.LessOrEqual(t, socketsNow, sockets, "sockets")
	require.Less(t, int64(heapNow)-int64(heap), int64(4<<20), "heap")
}

// ours counts the goroutines that run code of the client.
func ours() (n int) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "/core.(*") || strings.Contains(stack, "/core/internal/connections.") || strings.Contains(stack, "/core/internal/transport.") {
			n++
		}
	}
	return n
}

// A call that has nothing to wait for succeeds, also with a context that has ended: not now and then, as the dice fall.
func TestF4_EndedContextIsNoFaultWhereNothingIsWaitedFor(t *testing.T) {
	client := connect(t, cluster(t))
	require.NoError(t, client.Send(patient(t), message("x")))
	ended, end := context.WithCancel(context.Background())
	end()
	for range 50 {
		require.NoError(t, client.Flush(ended))
	}
	client.Close()
	for range 50 {
		report, err := client.Shutdown(ended)
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Acked)
	}
}
