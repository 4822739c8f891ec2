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

// memoLog keeps what a client logs.
type memoLog struct {
	dataproxy.Logger
	mu    sync.Mutex
	lines []string
}

func newMemoLog() *memoLog { return &memoLog{Logger: dataproxy.NopLogger()} }

func (l *memoLog) keep(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, text)
}

func (l *memoLog) Error(args ...any)            { l.keep(fmt.Sprint(args...)) }
func (l *memoLog) Errorf(f string, args ...any) { l.keep(fmt.Sprintf(f, args...)) }
func (l *memoLog) Warn(args ...any)             { l.keep(fmt.Sprint(args...)) }
func (l *memoLog) Warnf(f string, args ...any)  { l.keep(fmt.Sprintf(f, args...)) }

func (l *memoLog) count(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// A callback that panics must cost neither the process nor the results of the messages around it, and must not fill the log, nor write
// lines of its own or escape sequences there.
func TestF5_PanicInACallbackHurtsNobody(t *testing.T) {
	const n, bug = 500, "a bug of the user\n\x1b[31mred"
	c := cluster(t)
	log := newMemoLog()
	client := connect(t, c, dataproxy.WithLogger(log))
	var called atomic.Int64
	for i := range n {
		client.SendAsync(context.Background(), message(fmt.Sprint("panics ", i)), func(dataproxy.Message, error) {
			called.Add(1)
			panic(bug)
		})
	}
	client.SendAsync(context.Background(), message(""), func(dataproxy.Message, error) { panic(bug) })
	require.NoError(t, client.Flush(patient(t)))
	require.EqualValues(t, n, called.Load())
	require.EqualValues(t, n, client.Stats().Acked)
	require.NoError(t, client.Send(patient(t), message("continues")))
	require.Equal(t, 1, log.count(`a callback panicked: "a bug of the user\n\x1b[31mred"`), "log lines")
	settled(t, client)
}

// A callback that ends its goroutine must not take the results behind it along, nor leave the close waiting for it.
func TestF5_GoexitInCallbacksHurtsNobody(t *testing.T) {
	const n = 200
	c := cluster(t)
	client := connect(t, c)
	var called atomic.Int64
	for i := range n {
		client.SendAsync(context.Background(), message(fmt.Sprint("exits ", i)), func(dataproxy.Message, error) {
			called.Add(1)
			runtime.Goexit()
		})
	}
	require.NoError(t, client.Flush(patient(t)))
	require.EqualValues(t, n, called.Load())
	settled(t, client)
	inTime(t, time.Second, "close", client.Close)
	require.Zero(t, dataproxy.Completing(client), "goroutines that call callbacks")
}

// A callback that sleeps holds up the results of its own lane and no others.
func TestF5_SlowCallbackDelaysOneLaneOnly(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	release := make(chan struct{})
	entered := make(chan struct{})
	client.SendAsync(context.Background(), streamMessage("slow", "x"), func(dataproxy.Message, error) {
		close(entered)
		<-release
	})
	<-entered
	var done atomic.Int64
	for i := range 80 {
		client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", i), "x"),
			func(dataproxy.Message, error) { done.Add(1) })
	}
	eventually(t, "most of the streams continue", func() bool { return done.Load() >= 40 })
	close(release)
	require.NoError(t, client.Flush(patient(t)))
	require.EqualValues(t, 80, done.Load())
}

// Send inside a callback: its message may share a batch with others whose callbacks are due behind the one that waits.
func TestF5_CallbackMaySendAndWait(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(time.Second))
	results := make(chan error, 3)
	client.SendAsync(context.Background(), message("outer"), func(dataproxy.Message, error) {
		client.SendAsync(context.Background(), message("inner, async"), func(_ dataproxy.Message, err error) { results <- err })
		results <- client.Send(context.Background(), message("inner, sync"))
		for _, err := range client.SendBatch(context.Background(), []dataproxy.Message{message("batch 1"), message("batch 2")}) {
			t.Error(err)
		}
		results <- nil
	})
	inTime(t, 10*time.Second, "flush", func() { _ = client.Flush(context.Background()) })
	for range 3 {
		require.NoError(t, <-results)
	}
	require.Equal(t, 5, c.Count())
	settled(t, client)
}

// A synchronous send must have its result when the node answered, not when somebody's callback returns.
func TestF5_SendIsNotHeldUpByACallbackOfItsBatch(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(time.Second))
	hurry(t, client)
	release, entered := make(chan struct{}), make(chan struct{})
	defer close(release)
	client.SendAsync(context.Background(), message("slow"), func(dataproxy.Message, error) {
		close(entered)
		<-release
	})
	inTime(t, 2*time.Second, "send", func() {
		if err := client.Send(context.Background(), message("in the same batch")); err != nil {
			t.Error(err)
		}
	})
	<-entered
	client.SendAsync(context.Background(), message("waits"), nil)
	inTime(t, 2*time.Second, "send after it", func() {
		if err := client.Send(context.Background(), message("after it")); err != nil {
			t.Error(err)
		}
	})
	standing(c, dataproxytest.Silence())
	client.SendAsync(context.Background(), message("waits too"), nil)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	inTime(t, 150*time.Millisecond, "send whose context ends", func() {
		if err := client.Send(ctx, message("ends")); !isCode(err, dataproxy.CodeContextExpired) {
			t.Error(err)
		}
	})
	inTime(t, 150*time.Millisecond, "batch whose context ended", func() {
		for _, err := range client.SendBatch(ctx, []dataproxy.Message{message("late"), message("late")}) {
			if !isCode(err, dataproxy.CodeContextExpired) {
				t.Error(err)
			}
		}
	})
}

// Flush and Close inside a callback would wait for that callback: they begin and return.
func TestF5_CallbackMayFlushAndClose(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	ended := make(chan error, 2)
	client.SendAsync(context.Background(), message("flushes"), func(dataproxy.Message, error) {
		ended <- client.Flush(context.Background())
		client.Close()
		_, err := client.Shutdown(context.Background())
		ended <- err
	})
	for range 2 {
		fault(t, <-ended, dataproxy.CodeWorkerBusy)
	}
	inTime(t, time.Second, "close", client.Close)
	fault(t, client.Send(context.Background(), message("after")), dataproxy.CodeClosed)
}

// Close in a callback while another goroutine closes: each must not wait for the other.
func TestF4_CloseInACallbackWhileClosing(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	entered := make(chan struct{})
	client.SendAsync(context.Background(), message("closes"), func(dataproxy.Message, error) {
		close(entered)
		for client.Send(context.Background(), message("is it closing?")) == nil {
		}
		client.Close()
	})
	<-entered
	inTime(t, time.Second, "close", client.Close)
	settled(t, client)
}

// Callbacks that take longer than a close has: it must not outstay its deadline for them, nor call one later, nor two of a
// stream at a time; and what was not called must be said. (It used to stay up to 2 s, and to report success.)
func TestF3_CloseDoesNotWaitForSlowCallbacks(t *testing.T) {
	for _, pause := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond} {
		const n = 1000
		c := cluster(t)
		client := connect(t, c)
		var called, inside atomic.Int64
		for range n {
			client.SendAsync(context.Background(), message("x"), func(dataproxy.Message, error) {
				if inside.Add(1) > 1 {
					t.Error("two callbacks of one stream at a time")
				}
				time.Sleep(pause)
				called.Add(1)
				inside.Add(-1)
			})
		}
		soon, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		var report dataproxy.CloseReport
		var err error
		inTime(t, 150*time.Millisecond, "close", func() { report, err = client.Shutdown(soon) })
		after := called.Load()
		fault(t, err, dataproxy.CodeContextExpired)
		require.GreaterOrEqual(t, report.Uncalled, n-after-1, "%v", pause)
		eventually(t, "the last callback returns", func() bool { return inside.Load() == 0 })
		time.Sleep(2 * pause) // time in which a further one would be called
		require.LessOrEqual(t, called.Load(), after+1, "%v", pause)
	}
}

// Results of the close itself must all come: callbacks that cost little are no reason to leave one out. What a close has no time left
// for, on a machine that lets nobody run, is in its report.
func TestF3_CloseLeavesNoResultOut(t *testing.T) {
	const n = 2000
	c := cluster(t)
	standing(c, dataproxytest.Silence())
	ended, end := context.WithCancel(context.Background())
	end()
	for range 10 {
		client := connect(t, c, dataproxy.WithWorkerNum(1))
		var results atomic.Int64
		for range n {
			client.SendAsync(context.Background(), message("x"), func(dataproxy.Message, error) {
				results.Add(1)
			})
		}
		var report dataproxy.CloseReport
		inTime(t, time.Second, "close", func() { report, _ = client.Shutdown(ended) })
		if results.Load() == n {
			return
		}
		require.LessOrEqual(t, int64(n), results.Load()+report.Uncalled)
	}
	require.Fail(t, "each close has left results out")
}

// Users keep unguarded state in the callbacks of one stream: two of them must never run at a time, whatever lanes, retries
// and deadlines do.
func TestCallbacksOfOneStreamNeverOverlap(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithMaxRetries(20), dataproxy.WithRetryInitialInterval(time.Millisecond),
		dataproxy.WithBatchingMaxMessages(2), dataproxy.WithBatchingMaxPublishDelay(time.Millisecond))
	for i := range 60 {
		c.Nodes()[i%3].Fault(dataproxytest.ErrorCode(114), dataproxytest.ResetAfterRead(), dataproxytest.Delay(3*time.Millisecond))
	}
	var inside [5]atomic.Int32
	var refused atomic.Int64
	unguarded := make([]int, len(inside))
	for i := range 4000 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+i%200)*time.Millisecond)
		defer cancel()
		stream := i % len(inside)
		msg := streamMessage(fmt.Sprint("stream", stream), "%d", i)
		if i%3 > 0 { // they travel in batches of their own
			msg.Attributes = map[string]string{"color": fmt.Sprint(i % 7)}
		}
		client.SendAsync(ctx, msg, func(_ dataproxy.Message, err error) {
			var e *dataproxy.Error
			if errors.As(err, &e) && e.BatchID == "" { // its context was over before: on the sender's goroutine
				refused.Add(1)
				return
			}
			if inside[stream].Add(1) != 1 {
				t.Error("two at a time")
			}
			unguarded[stream]++
			runtime.Gosched()
			inside[stream].Add(-1)
		})
	}
	require.NoError(t, client.Flush(patient(t)))
	total := int(refused.Load())
	for _, n := range unguarded {
		total += n
	}
	require.Equal(t, 4000, total)
	settled(t, client)
}

// A nil callback says "I do not want to know"; it must not be called.
func TestCallbackMayBeNil(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	client.SendAsync(context.Background(), message("x"), nil)
	client.SendAsync(context.Background(), message(""), nil)
	require.NoError(t, client.Flush(patient(t)))
	require.Equal(t, 1, c.Count())
	require.EqualValues(t, 1, client.Stats().Refused)
}

// What a callback gets is what was sent: the caller matches results by it.
func TestCallbackGetsTheMessageBack(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	type key struct{ n int }
	at := time.UnixMilli(1700000000001)
	sent := dataproxy.Message{StreamID: "test_stream", Payload: []byte("payload"), Headers: map[string]string{"h": "1"},
		MetaData: &key{7}, Attributes: map[string]string{"a": "b"}, Time: at}
	for _, f := range []func(){func() {}, func() { standing(c, dataproxytest.ErrorCode(109)) }} {
		f()
		for _, groupID := range []string{"", "other_group"} {
			msg := sent
			msg.GroupID = groupID
			got := make(chan dataproxy.Message, 1)
			client.SendAsync(context.Background(), msg, func(m dataproxy.Message, _ error) { got <- m })
			back := <-got
			if groupID == "" {
				msg.GroupID = "test_group"
			}
			require.Equal(t, msg, back)
			require.Same(t, sent.MetaData, back.MetaData)
		}
	}
	// Nothing of Headers and MetaData goes out.
	for _, r := range c.Received() {
		require.NotContains(t, r.RawAttr, "h=1")
	}
}

// The payload of a failed message is the caller's to keep: a later batch must not be written over it.
func TestPayloadOfAFailedMessageMayBeKept(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	standing(c, dataproxytest.ErrorCode(109))
	kept := make(chan []byte, 100)
	for range 100 {
		client.SendAsync(context.Background(), message("failed"), func(m dataproxy.Message, _ error) { kept <- m.Payload })
	}
	require.NoError(t, client.Flush(patient(t)))
	standing(c, dataproxytest.Fault{})
	for range 1000 {
		client.SendAsync(context.Background(), message("later!"), nil)
	}
	require.NoError(t, client.Flush(patient(t)))
	for range 100 {
		require.Equal(t, "failed", string(<-kept))
	}
}
