package dataproxy_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A message must have its result when its deadline passes, wherever it is then, and must not be written after that: the
// caller has already acted on the failure.
func TestD8_DeadlineHoldsWhereverTheMessageIs(t *testing.T) {
	const deadline = 50 * time.Millisecond
	for _, where := range []string{"queue", "flight", "back-off", "ordered queue"} {
		for _, by := range []string{"context", "send timeout"} {
			t.Run(where+" by "+by, func(t *testing.T) {
				c := cluster(t, dataproxytest.WithNodes(1))
				opts := []dataproxy.Option{dataproxy.WithBatchingMaxPublishDelay(0),
					dataproxy.WithRetryInitialInterval(10 * time.Second), dataproxy.WithOrdered(where == "ordered queue")}
				if by == "send timeout" {
					opts = append(opts, dataproxy.WithSendTimeout(deadline))
				}
				client := connect(t, c, opts...)
				hurry(t, client)
				node := c.Nodes()[0]
				switch where {
				case "queue":
					node.Kill()
					eventually(t, "no lane is usable", func() bool { return usableLanes(client) == 0 })
				case "flight":
					node.Standing(dataproxytest.DropAnswer())
				case "back-off":
					node.Standing(dataproxytest.ErrorCode(114))
				case "ordered queue":
					node.Standing(dataproxytest.DropAnswer())
					client.SendAsync(context.Background(), message("ahead"), nil)
				}
				ctx := context.Background()
				slack, start := watch(), time.Now()
				if by == "context" {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, deadline)
					defer cancel()
				}
				result := make(chan error, 1)
				client.SendAsync(ctx, message("expires"), func(_ dataproxy.Message, err error) { result <- err })
				err := <-result
				took := time.Since(start)
				code := dataproxy.CodeSendTimeout
				if by == "context" {
					code = dataproxy.CodeContextExpired
				}
				e := fault(t, err, code)
				require.GreaterOrEqual(t, took, deadline-time.Millisecond)
				require.Less(t, took, deadline+50*time.Millisecond+slack())
				require.True(t, e.Retriable())
				switch maybe := e.Persisted() == dataproxy.MaybeWritten; {
				case where == "back-off": // refused: the node does not have it
					require.Equal(t, 1, e.Attempts)
					require.False(t, maybe, "%v", e)
				case !maybe:
					require.Zero(t, receivedPayloads(c)["expires"], "%v", e)
				case where == "ordered queue":
					return // the batch ahead expired a moment earlier, and this one was just written
				default: // a busy node reads it later
					eventually(t, "the node has it", func() bool { return receivedPayloads(c)["expires"] > 0 })
				}
				// Never written later, when the way is free.
				frames := len(c.Received())
				node.ClearFaults()
				node.Revive()
				eventually(t, "a lane is usable", func() bool { return usableLanes(client) > 0 })
				probe := streamMessage("other_stream", "probe")
				for client.Send(patient(t), probe) != nil { // the send timeout is short
				}
				for _, r := range c.Received()[frames:] {
					require.NotContains(t, fmt.Sprintf("%s", r.Items), "expires")
				}
			})
		}
	}
}

// On a busy machine a batch's timer comes late, and its writer may be first: it must look at the time itself.
func TestD8_WriterLeavesOutWhatExpired(t *testing.T) {
	client := connect(t, cluster(t))
	msg := message("x")
	frame, err := dataproxy.LateFrameOf(client, &msg)
	require.Empty(t, frame)
	require.Equal(t, dataproxy.NotWritten, fault(t, err, dataproxy.CodeSendTimeout).Persisted())
}

// A linger longer than the time a message has used to let it expire unsent.
func TestD8_LingerDoesNotOutliveADeadline(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(5*time.Second))
	client.SendAsync(context.Background(), message("no hurry"), nil) // the batch is open, its linger runs
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	result := make(chan error, 1)
	client.SendAsync(ctx, message("in a hurry"), func(_ dataproxy.Message, err error) { result <- err })
	require.NoError(t, <-result)
}

// "Never", written as a deadline in a far year or as the longest duration, was added to the time since the start and overflowed: the
// message failed at once, with its deadline over.
func TestDeadlineThatIsCenturiesAwayBoundsNothing(t *testing.T) {
	client := connect(t, cluster(t))
	far, cancel := context.WithDeadline(context.Background(), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
	defer cancel()
	longest, stop := context.WithTimeout(context.Background(), math.MaxInt64)
	defer stop()
	for _, ctx := range []context.Context{far, longest} {
		require.NoError(t, client.Send(ctx, message("x")))
		result := make(chan error, 1)
		client.SendAsync(ctx, message("x"), func(_ dataproxy.Message, err error) { result <- err })
		require.NoError(t, <-result)
		require.NoError(t, errors.Join(client.SendBatch(ctx, []dataproxy.Message{message("x"), message("y")})...))
	}
}

// Send must return when its context ends, whatever the message waits for, and say whether it may have been written.
func TestSendObeysItsContextInEveryState(t *testing.T) {
	cause := errors.New("the user went away")
	for _, where := range []string{"before", "queue", "flight"} {
		for _, how := range []string{"deadline", "cancel"} {
			t.Run(where+" "+how, func(t *testing.T) {
				c := cluster(t, dataproxytest.WithNodes(1))
				client := connect(t, c, dataproxy.WithAckTimeout(patience))
				hurry(t, client)
				want, there := dataproxy.NotWritten, func(string) bool { return true }
				switch where {
				case "queue":
					c.Nodes()[0].Kill()
					eventually(t, "no lane is usable", func() bool { return usableLanes(client) == 0 })
					there = func(string) bool { return client.Stats().PendingMessages == 1 }
				case "flight":
					c.Nodes()[0].Standing(dataproxytest.DropAnswer())
					want = dataproxy.MaybeWritten
					there = func(payload string) bool { return receivedPayloads(c)[payload] == 1 }
				}
				// giveUp sends a message whose context ends when it is there, or by its deadline, and reports whether it was there then.
				giveUp := func(payload string, left time.Duration) (was bool) {
					ctx, cancel := context.WithCancelCause(context.Background())
					defer cancel(nil)
					if how == "deadline" {
						var stop context.CancelFunc
						ctx, stop = context.WithTimeoutCause(ctx, left, cause)
						defer stop()
					}
					if where == "before" {
						cancel(cause)
					}
					result := make(chan error, 1)
					go func() { result <- client.Send(ctx, message(payload)) }()
					for was = there(payload); !was && ctx.Err() == nil; was = there(payload) {
						time.Sleep(time.Millisecond)
					}
					if how == "cancel" {
						cancel(cause)
					}
					<-ctx.Done()
					var err error
					inTime(t, 100*time.Millisecond, "send", func() { err = <-result })
					e := fault(t, err, dataproxy.CodeContextExpired)
					if was {
						require.Equal(t, want, e.Persisted(), "%v", e)
					}
					if how == "cancel" {
						require.ErrorIs(t, err, cause)
					}
					return was
				}
				left, tries := 40*time.Millisecond, 1
				for !giveUp(fmt.Sprint("x", tries), left) { // a busy machine had not brought it there by then
					left, tries = 2*left, tries+1
					require.Less(t, left, patience)
				}
				if where != "before" { // what was given up must not be sent when the way is free
					c.Nodes()[0].ClearFaults()
					c.Nodes()[0].Revive()
					require.NoError(t, client.Send(patient(t), message("later")))
					require.Equal(t, map[bool]int{true: 1, false: 0}[where == "flight"], receivedPayloads(c)[fmt.Sprint("x", tries)])
					c.Nodes()[0].Kill() // ends the wait for the answer that does not come
				}
				settled(t, client)
			})
		}
	}
}

// A SendBatch whose context ends must return, with a result for each message: acked for those that were.
func TestSendBatchObeysItsContext(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c)
	hurry(t, client)
	c.Nodes()[0].Handle(func(r dataproxytest.Record) dataproxytest.Fault {
		if r.Stream == "unanswered" {
			return dataproxytest.DropAnswer()
		}
		return dataproxytest.Fault{}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Millisecond)
	defer cancel()
	var errs []error
	inTime(t, 160*time.Millisecond, "batch", func() {
		errs = client.SendBatch(ctx, []dataproxy.Message{streamMessage("answered", "a"), streamMessage("unanswered", "b"),
			streamMessage("answered", "c"), streamMessage("unanswered", "d")})
	})
	require.Len(t, errs, 4)
	require.NoError(t, errs[0])
	require.NoError(t, errs[2])
	for _, i := range []int{1, 3} {
		require.Equal(t, dataproxy.MaybeWritten, fault(t, errs[i], dataproxy.CodeContextExpired).Persisted())
	}
}

// Messages of one batch with different deadlines: those that expire leave the batch, the others are sent, and only those.
func TestSomeMessagesOfABatchExpireAndTheOthersGo(t *testing.T) {
	const n = 200
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithBatchingMaxMessages(20))
	c.Nodes()[0].Kill()
	eventually(t, "no lane is usable", func() bool { return usableLanes(client) == 0 })
	notes := newLedger()
	for i := range n {
		ctx := context.Background()
		if i%3 == 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond+time.Duration(i)*time.Millisecond/10)
			defer cancel()
		}
		notes.send(ctx, client, message(fmt.Sprintf("message %03d", i)))
	}
	eventually(t, "a third expired", func() bool { return notes.count() == (n+2)/3 })
	require.EqualValues(t, n-(n+2)/3, client.Stats().PendingMessages)
	c.Nodes()[0].Revive()
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	require.Equal(t, n-(n+2)/3, c.Count())
	require.Equal(t, n-(n+2)/3, len(notes.acked()))
	for _, r := range c.Received() {
		require.True(t, r.Whole)
		require.Equal(t, fmt.Sprint(len(r.Items)), r.Attr["cnt"])
	}
	settled(t, client)
}

// A batch whose messages expire one by one while it is on its way: an ack that comes then is for the rest only.
func TestAckBehindExpiredMessagesOfItsBatch(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	standing(c, dataproxytest.Delay(150*time.Millisecond))
	soon, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	notes := newLedger()
	for i := range 30 {
		ctx := context.Background()
		if i%2 == 0 {
			ctx = soon
		}
		notes.send(ctx, client, message(fmt.Sprint("message ", i)))
	}
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	require.Equal(t, 15, len(notes.acked()))
	s := client.Stats()
	require.EqualValues(t, 15, s.Acked)
	require.EqualValues(t, 15, s.Failed)
	settled(t, client)
}

// Callers that give up at the very moment of the ack: one result each, and none of another caller.
func TestContextsThatEndWithTheAck(t *testing.T) {
	c := cluster(t, dataproxytest.WithDigestRecorder())
	client := connect(t, c)
	standing(c, dataproxytest.Delay(time.Millisecond))
	each(32, func(i int) {
		for n := range rounds(100, 2000) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(800+(i*37+n*13)%700)*time.Microsecond)
			msg := streamMessage(fmt.Sprint("stream", i%4), "%d/%d", i, n)
			var err error
			if i%2 == 0 {
				err = client.Send(ctx, msg)
			} else if errs := client.SendBatch(ctx, []dataproxy.Message{msg, msg}); errs != nil {
				err = errors.Join(errs...)
			}
			if err != nil && !isCode(err, dataproxy.CodeContextExpired) {
				t.Error(err)
			}
			cancel()
		}
	})
	require.NoError(t, client.Flush(patient(t)))
	settled(t, client)
	s := client.Stats()
	require.Equal(t, s.Accepted, s.Acked+s.Failed)
}

// validUntil is a context whose deadline comes from outside, say a request's "valid until": it knows the wall clock alone.
type validUntil struct {
	context.Context
	until time.Time
}

func (v validUntil) Deadline() (time.Time, bool) { return v.until, true }

// The deadline of such a context was measured against the client's start: after a step of the clock, or a machine's sleep, every
// message failed at once, or had no result for as long as the step was.
func TestDeadlineHoldsAfterTheClockWasStepped(t *testing.T) {
	const deadline = 200 * time.Millisecond
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			c := cluster(t, dataproxytest.WithNodes(1))
			client := connect(t, c)
			hurry(t, client)
			c.Nodes()[0].Standing(dataproxytest.DropAnswer())
			dataproxy.StepClock(client, step)
			slack, start := watch(), time.Now()
			result := make(chan error, 1)
			client.SendAsync(validUntil{context.Background(), time.Unix(0, start.Add(deadline).UnixNano())}, message("expires"),
				func(_ dataproxy.Message, err error) { result <- err })
			fault(t, <-result, dataproxy.CodeContextExpired)
			took := time.Since(start)
			require.GreaterOrEqual(t, took, deadline-2*time.Millisecond)
			require.Less(t, took, deadline+slack())
		})
	}
}

// nosyContext looks at something each time it is asked for a value.
type nosyContext struct {
	context.Context
	look func()
}

func (c nosyContext) Value(key any) any {
	c.look()
	return c.Context.Value(key)
}

// A context is the user's code too: one that sends, say a log line through the client, was asked why it had ended under the stream's
// lock, and waited for itself.
func TestContextMaySendWhenItIsAskedWhyItEnded(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	answer := make(chan struct{})
	c.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault {
		<-answer
		return dataproxytest.Fault{}
	})
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithBatchingMaxPublishDelay(time.Minute))
	defer close(answer)
	go func() { _ = client.Send(context.Background(), message("first")) }()
	eventually(t, "the lane is busy", func() bool { return c.Node(0).Frames() == 1 })
	ctx, cancel := context.WithCancel(patient(t))
	looks := 0
	nosy := nosyContext{ctx, func() {
		if ctx.Err() != nil {
			looks++
			client.SendAsync(context.Background(), message("of the context"), nil)
		}
	}}
	result := make(chan error, 1)
	go func() { result <- client.Send(nosy, message("x")) }()
	eventually(t, "its batch is open", func() bool { return client.Stats().Accepted == 2 })
	cancel()
	select {
	case err := <-result:
		fault(t, err, dataproxy.CodeContextExpired)
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(patience):
		t.Fatal("Send waits for itself") // and so would a close
	}
	require.Positive(t, looks)
}
