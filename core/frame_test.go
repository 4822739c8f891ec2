package dataproxy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// frameWatch sees every frame that a node reads, and says what becomes of it.
type frameWatch struct {
	mu    sync.Mutex
	ids   frameItems
	seen  [][]string // the messages of each frame, in the order of arrival
	fault func(n int, items []string) dataproxytest.Fault
}

func watchFrames(t *testing.T, c *dataproxytest.Cluster, fault func(n int, items []string) dataproxytest.Fault) *frameWatch {
	w := &frameWatch{ids: make(frameItems), fault: fault}
	for _, n := range c.Nodes() {
		n.Handle(func(r dataproxytest.Record) dataproxytest.Fault {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ids.add(t, r)
			items := make([]string, 0, len(r.Items))
			for _, item := range r.Items {
				items = append(items, strings.Fields(string(item))[0])
			}
			w.seen = append(w.seen, items)
			return w.fault(len(w.seen), items)
		})
	}
	return w
}

func (w *frameWatch) frames() [][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([][]string(nil), w.seen...)
}

// What had expired in a frame was left out when the frame was written again, under the same id: a consumer that knows doubles by their
// ids took the first copy for another batch, or threw away the only copy of a message.
func TestD16_WrittenFrameStaysWholeUnderItsID(t *testing.T) {
	for _, lost := range []dataproxytest.Fault{dataproxytest.DropAnswer(), dataproxytest.ResetAfterRead(), dataproxytest.ErrorCode(114)} {
		for _, ends := range []string{"deadline", "caller"} {
			for _, format := range []dataproxy.MessageFormat{dataproxy.Text, dataproxy.Binary} {
				t.Run(fmt.Sprint(lost.Kind, " ", ends, " ", format), func(t *testing.T) {
					t.Parallel()
					c := cluster(t)
					client := connect(t, c, dataproxy.WithAckTimeout(400*time.Millisecond), dataproxy.WithBatchingMaxMessages(3),
						dataproxy.WithBatchingMaxPublishDelay(time.Minute), dataproxy.WithMessageFormat(format), dataproxy.WithMaxRetries(100))
					written, expired := make(chan struct{}), make(chan struct{})
					w := watchFrames(t, c, func(n int, _ []string) dataproxytest.Fault {
						if n > 1 {
							return dataproxytest.Fault{}
						}
						close(written)
						<-expired // the first frame is in flight until one of its messages has its result
						return lost
					})
					ctx, cancel := context.WithCancel(context.Background())
					if ends == "deadline" {
						ctx, cancel = context.WithTimeout(context.Background(), 200*time.Millisecond)
					}
					defer cancel()
					notes := newLedger()
					notes.send(context.Background(), client, streamMessage("s", "a"))
					notes.send(context.Background(), client, streamMessage("s", "b"))
					result := make(chan error, 1)
					if ends == "deadline" {
						client.SendAsync(ctx, streamMessage("s", "c"), func(_ dataproxy.Message, err error) { result <- err })
					} else {
						go func() { result <- client.Send(ctx, streamMessage("s", "c")) }()
						<-written
						cancel()
					}
					fault(t, <-result, dataproxy.CodeContextExpired)
					close(expired)
					require.NoError(t, client.Flush(patient(t)))
					notes.balanced(t, c)
					require.Len(t, notes.acked(), 2)
					require.Equal(t, [][]string{{"a", "b", "c"}, {"a", "b", "c"}}, w.frames())
					settled(t, client)
				})
			}
		}
	}
}

// A message that expired between two attempts was said to be not written, and then it was, with the others of its frame: anyone who sent it
// again made a double.
func TestMessageThatExpiresBetweenTwoAttemptsMayBeWritten(t *testing.T) {
	for name, alone := range map[string]bool{"beside others": false, "alone": true} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, dataproxytest.WithNodes(1))
			client := connect(t, c, dataproxy.WithBatchingMaxMessages(2), dataproxy.WithBatchingMaxPublishDelay(time.Minute),
				dataproxy.WithRetryInitialInterval(time.Second))
			w := watchFrames(t, c, func(n int, _ []string) dataproxytest.Fault {
				if n == 1 {
					return dataproxytest.ErrorCode(114)
				}
				return dataproxytest.Fault{}
			})
			soon, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			result := make(chan error, 2)
			client.SendAsync(soon, streamMessage("s", "a"), func(_ dataproxy.Message, err error) { result <- err })
			other, want, frames := context.Background(), dataproxy.MaybeWritten, [][]string{{"a", "b"}, {"a", "b"}}
			if alone {
				other, want, frames = soon, dataproxy.NotWritten, frames[:1]
			}
			client.SendAsync(other, streamMessage("s", "b"), nil)
			require.Equal(t, want, fault(t, <-result, dataproxy.CodeContextExpired).Persisted())
			require.NoError(t, client.Flush(patient(t)))
			require.Equal(t, frames, w.frames())
			settled(t, client)
		})
	}
}

// A message must not be written for the first time after its deadline, and a frame that nobody needs any more not again.
func TestD8_WhatExpiredBeforeItsFirstWriteIsNotInTheFrame(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithBatchingMaxMessages(3), dataproxy.WithBatchingMaxPublishDelay(time.Minute), dataproxy.WithAckTimeout(300*time.Millisecond))
	c.Node(0).Kill()
	eventually(t, "no lane is usable", func() bool { return usableLanes(client) == 0 })
	w := watchFrames(t, c, func(n int, items []string) dataproxytest.Fault {
		if n == 1 || items[0] == "d" {
			return dataproxytest.ResetAfterRead()
		}
		return dataproxytest.Fault{}
	})
	soon, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	notes := newLedger()
	for i, payload := range []string{"a", "b", "c"} {
		ctx := context.Background()
		if i == 1 {
			ctx = soon
		}
		notes.send(ctx, client, streamMessage("s", "%s", payload))
	}
	eventually(t, "b has expired", func() bool { return notes.count() == 1 })
	c.Node(0).Revive()
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	require.Equal(t, [][]string{{"a", "c"}, {"a", "c"}}, w.frames())
}

// A frame that has to be cut when a node may have it already came again as a shorter one under the same id, or its parts did.
func TestD16_BatchThatIsCutHasNewIDs(t *testing.T) {
	for name, opts := range map[string][]dataproxy.Option{
		"text": nil, "binary": {dataproxy.WithMessageFormat(dataproxy.Binary)}, "ordered": {dataproxy.WithOrdered(true)},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			lines := newMemoLog()
			client := connect(t, c, append(opts, dataproxy.WithUpdateInterval(10*time.Millisecond), dataproxy.WithMaxRetries(1000), dataproxy.WithLogger(lines),
				dataproxy.WithRetryInitialInterval(time.Millisecond), dataproxy.WithBatchingMaxMessages(6), dataproxy.WithCompression(dataproxy.None),
				dataproxy.WithBatchingMaxPublishDelay(time.Minute))...) // one batch, however slow the sender is
			losses := 0
			w := watchFrames(t, c, func(n int, items []string) dataproxytest.Fault {
				switch { // each id is lost at least once, and the whole batch as long as it comes
				case len(items) == 6:
					return dataproxytest.ResetAfterRead()
				case losses < 3:
					losses++
					return dataproxytest.ResetAfterRead()
				}
				return dataproxytest.Fault{}
			})
			notes := newLedger()
			for i := range 6 {
				notes.send(context.Background(), client, streamMessage("s", "%d %0800d", i, 0))
			}
			eventually(t, "it is written", func() bool { return len(w.frames()) > 1 })
			c.Manager().Standing(dataproxytest.HTTPBody(listWith(c, 2048)))
			eventually(t, "the limit is lower", func() bool { return dataproxy.FrameLimit(client) == 2048 })
			require.NoError(t, client.Flush(patient(t)))
			notes.balanced(t, c)
			require.Len(t, notes.acked(), 6)
			eventually(t, "a line tells of it", func() bool { return lines.count("other ids") == 1 })
			var last [][]string
			for _, items := range w.frames() {
				if len(items) < 6 && (len(last) == 0 || last[len(last)-1][0] != items[0]) {
					last = append(last, items)
				}
			}
			require.Equal(t, [][]string{{"0", "1"}, {"2", "3"}, {"4", "5"}}, last)
			settled(t, client)
		})
	}
}

// The results of a batch that goes in several frames named one frame for all of them, or the node that had another part.
func TestResultsOfACutBatchNameTheFrameOfTheirMessages(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	frameOf := make(map[uintptr]string)
	var mu sync.Mutex
	client := connect(t, c, dataproxy.WithUpdateInterval(10*time.Millisecond), dataproxy.WithBatchingMaxMessages(7), dataproxy.WithCompression(dataproxy.None),
		dataproxy.WithBatchingMaxPublishDelay(time.Minute), dataproxy.WithResultHandler(func(r *dataproxy.BatchResult) {
			mu.Lock()
			defer mu.Unlock()
			for _, tag := range r.Tags {
				frameOf[tag.A] = fmt.Sprint(string(r.AppendBatchID(nil)), " ", r.Node, " ", r.Attempts, " ", r.Err == nil)
			}
		}))
	c.Node(0).Kill()
	eventually(t, "no lane is usable", func() bool { return usableLanes(client) == 0 })
	soon, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	for i := range 7 {
		ctx := context.Background()
		if i == 6 {
			ctx = soon
		}
		m := streamMessage("s", "%d %0800d", i, 0)
		require.NoError(t, client.(dataproxy.Embedder).Submit(ctx, &m, dataproxy.Tag{A: uintptr(i)}))
	}
	eventually(t, "the last one expires", func() bool { mu.Lock(); defer mu.Unlock(); return len(frameOf) == 1 })
	c.Manager().Standing(dataproxytest.HTTPBody(listWith(c, 2048)))
	eventually(t, "the limit is lower", func() bool { return dataproxy.FrameLimit(client) == 2048 })
	c.Node(0).Revive()
	require.NoError(t, client.Flush(patient(t)))
	mu.Lock()
	defer mu.Unlock()
	frames := c.Received()
	require.Len(t, frames, 3)
	for i := range 6 {
		require.Equal(t, fmt.Sprint(frames[i/2].Attr["mid"], " ", c.Node(0).Addr(), " 1 true"), frameOf[uintptr(i)])
	}
	settled(t, client)
}
