package dataproxy_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// inOrder checks that each sender's messages arrived in the order of sending, duplicates of an earlier one left out.
func inOrder(t *testing.T, c *dataproxytest.Cluster, streams, each int) {
	t.Helper()
	next := make([]int, streams)
	for _, m := range c.Messages() {
		var stream, number int
		_, err := fmt.Sscanf(string(m), "%d %d", &stream, &number)
		require.NoError(t, err)
		require.LessOrEqual(t, number, next[stream], "stream %d: a message came before one that was sent earlier", stream)
		next[stream] = max(next[stream], number+1)
	}
	for stream, n := range next {
		require.Equal(t, each, n, "stream %d", stream)
	}
}

// Resets under load: with the order promised, no batch may overtake another of its stream, on whatever lane it is sent again.
func TestD10_OrderHoldsThroughResetsAndRefusals(t *testing.T) {
	const streams = 5
	each := rounds(1000, 40000)
	c := cluster(t)
	client := connect(t, c, dataproxy.WithOrdered(true), dataproxy.WithMaxRetries(100),
		dataproxy.WithRetryInitialInterval(time.Millisecond), dataproxy.WithBatchingMaxMessages(20),
		dataproxy.WithAckTimeout(200*time.Millisecond))
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			n := c.Nodes()[i%3]
			switch i % 5 {
			case 0:
				n.ResetConnections()
			case 1:
				n.Fault(dataproxytest.ErrorCode(114), dataproxytest.CloseAfterRead())
			case 2:
				n.Fault(dataproxytest.ResetMidFrame(40), dataproxytest.ErrorCode(1))
			case 3:
				n.Fault(dataproxytest.DropAnswer())
			case 4:
				n.Fault(dataproxytest.Delay(5*time.Millisecond), dataproxytest.DuplicateAnswer())
			}
			// Not before something has arrived: on a busy machine faults would come faster than batches.
			for before, end := c.Count(), time.Now().Add(time.Second); ; {
				select {
				case <-stop:
					for _, n := range c.Nodes() {
						n.ClearFaults()
					}
					return
				case <-time.After(10 * time.Millisecond):
				}
				if c.Count() > before+20 || time.Now().After(end) {
					break
				}
			}
		}
	}()
	notes := newLedger()
	for i := range each {
		for s := range streams {
			notes.send(context.Background(), client, streamMessage(fmt.Sprint("stream", s), "%d %d", s, i))
		}
		if i%200 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	require.NoError(t, client.Flush(patient(t)))
	close(stop)
	<-ended
	notes.balanced(t, c)
	require.Equal(t, streams*each, len(notes.acked()))
	inOrder(t, c, streams, each)
	settled(t, client)
}

// An ordered stream whose first batch expires must continue with the next one; otherwise it is stuck for ever.
func TestOrderedStreamGoesOnBehindExpiredBatches(t *testing.T) {
	for _, where := range []string{"queued", "in flight", "in back-off", "waiting behind another"} {
		t.Run(where, func(t *testing.T) {
			c := cluster(t, dataproxytest.WithNodes(1))
			client := connect(t, c, dataproxy.WithOrdered(true), dataproxy.WithBatchingMaxPublishDelay(0),
				dataproxy.WithRetryInitialInterval(5*time.Second))
			node := c.Nodes()[0]
			notes := newLedger()
			switch where {
			case "queued":
				node.Kill()
				eventually(t, "no lane is usable", func() bool { return usableLanes(client) == 0 })
			case "in flight":
				node.Fault(dataproxytest.Delay(300 * time.Millisecond))
			case "in back-off":
				node.Fault(dataproxytest.ErrorCode(114))
			case "waiting behind another":
				node.Fault(dataproxytest.Delay(300 * time.Millisecond))
				notes.send(context.Background(), client, message("ahead"))
			}
			soon, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			for i := range 3 {
				notes.send(soon, client, message(fmt.Sprint("expires ", i)))
			}
			for i := range 3 {
				notes.send(context.Background(), client, message(fmt.Sprint("stays ", i)))
			}
			if where == "queued" {
				eventually(t, "three expire", func() bool { return notes.count() == 3 })
				node.Revive()
			}
			require.NoError(t, client.Flush(patient(t)))
			notes.balanced(t, c)
			want := []string{"stays 0", "stays 1", "stays 2"}
			if where == "waiting behind another" {
				want = append(want, "ahead")
			}
			require.ElementsMatch(t, want, notes.acked())
			settled(t, client)
		})
	}
}

// Callers that give up in an ordered stream, everywhere at once: it must neither get stuck nor send two batches at a time.
func TestOrderedStreamWithCallersThatGiveUp(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithOrdered(true), dataproxy.WithBatchingMaxMessages(3), dataproxy.WithMaxRetries(50),
		dataproxy.WithRetryInitialInterval(time.Millisecond))
	for i, n := range c.Nodes() {
		n.Standing(dataproxytest.Delay(time.Duration(i+1) * time.Millisecond))
		n.Fault(dataproxytest.ErrorCode(114), dataproxytest.CloseAfterRead())
	}
	each(16, func(i int) {
		for n := range rounds(60, 1000) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n%12)*time.Millisecond)
			if i%2 == 0 {
				_ = client.Send(ctx, message(fmt.Sprintf("%d/%d", i, n)))
			} else {
				client.SendAsync(ctx, message(fmt.Sprintf("%d/%d", i, n)), nil)
			}
			cancel()
		}
	})
	require.NoError(t, client.Flush(patient(t)))
	settled(t, client)
	require.NoError(t, client.Send(patient(t), message("continues")))
	settled(t, client)
}

// Messages of one stream with other attributes or event times travel in other batches, and those were lines of their own: each
// in order, but not one against the other.
func TestD10_OrderHoldsAcrossAttributesAndTimes(t *testing.T) {
	const n = 600
	c := cluster(t)
	client := connect(t, c, dataproxy.WithOrdered(true), dataproxy.WithMaxRetries(100),
		dataproxy.WithRetryInitialInterval(time.Millisecond), dataproxy.WithAddColumns(map[string]string{"__addcol1__w": "7"}))
	for i := range 60 {
		c.Nodes()[i%3].Fault(dataproxytest.ErrorCode(114), dataproxytest.Delay(2*time.Millisecond), dataproxytest.CloseAfterRead())
	}
	want := make(map[string]string)
	for i := range n {
		msg := streamMessage("test_stream", "0 %d", i)
		if k := i / 4 % 4; k > 0 {
			msg.Attributes = map[string]string{"color": fmt.Sprint(k), "a": "b"}
		}
		if i/3%2 > 0 {
			msg.Time = time.UnixMilli(1700000000000 + int64(i/3))
		}
		want[string(msg.Payload)] = fmt.Sprint(msg.Attributes)
		client.SendAsync(context.Background(), msg, func(m dataproxy.Message, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	require.NoError(t, client.Flush(patient(t)))
	inOrder(t, c, 1, n)
	for _, r := range c.Received() {
		got := map[string]string(nil)
		if color, ok := r.Attr["color"]; ok {
			got = map[string]string{"color": color, "a": r.Attr["a"]}
		}
		require.Equal(t, "7", r.Attr["__addcol1__w"])
		for _, item := range r.Items {
			require.Equal(t, want[string(item)], fmt.Sprint(got), "%s", item)
		}
	}
	settled(t, client)
}

// Callers of an ordered stream whose batch is on its way have to wait for it: each in a batch of its own, they would then wait
// for one another, a round trip each.
func TestCallersOfAnOrderedStreamShareTheNextBatch(t *testing.T) {
	const callers = 20
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithOrdered(true), dataproxy.WithBatchingMaxPublishDelay(time.Minute),
		dataproxy.WithRetryInitialInterval(time.Second))
	require.NoError(t, client.Send(patient(t), message("first")))
	c.Node(0).Fault(dataproxytest.ErrorCode(114))
	each(callers, func(i int) {
		for i > 0 && c.Node(0).Frames() < 2 { // the first caller's batch is in back-off when the others come
			time.Sleep(time.Millisecond)
		}
		if err := client.Send(patient(t), message("x")); err != nil {
			t.Error(err)
		}
	})
	require.EqualValues(t, 3, client.Stats().Batches)
	settled(t, client)
}

// A message that was given up while it was written left its stream free: when the node continued, or its lane was replaced, it arrived after
// later ones.
func TestOrderedStreamWaitsForAFrameThatWasGivenUp(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithOrdered(true), dataproxy.WithWorkerNum(2), dataproxy.WithMaxConnLifetime(300*time.Millisecond))
	read, goOn := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(release)
	for _, n := range c.Nodes() {
		n.Handle(func(r dataproxytest.Record) dataproxytest.Fault {
			if string(r.Items[0]) == "1" {
				close(read)
				<-goOn // read, and not stored yet
			}
			return dataproxytest.Fault{}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- client.Send(ctx, streamMessage("s", "1")) }()
	<-read
	cancel()
	require.Equal(t, dataproxy.MaybeWritten, fault(t, <-result, dataproxy.CodeContextExpired).Persisted())
	connections := func() (all int) {
		for _, n := range c.Nodes() {
			_, total := n.Connections()
			all += total
		}
		return all
	}
	before := connections()
	eventually(t, "its lane is replaced", func() bool { return connections() >= before+4 })
	notes := newLedger()
	for _, p := range []string{"2", "3"} {
		notes.send(context.Background(), client, streamMessage("s", "%s", p))
	}
	eventually(t, "other streams continue", func() bool { return client.Send(patient(t), streamMessage("t", "other")) == nil && c.Count() > 10 })
	require.Zero(t, notes.count(), "what is after it waits")
	release()
	require.NoError(t, client.Flush(patient(t)))
	require.Equal(t, []string{"1", "2", "3"}, slices.DeleteFunc(texts(c), func(text string) bool { return text == "other" }))
	require.Len(t, notes.acked(), 2)
	settled(t, client)
}

// A stream whose frame was given up must continue when its connection is, and when the node refuses it.
func TestOrderedStreamGoesOnBehindAFrameThatWasGivenUp(t *testing.T) {
	for _, end := range []dataproxytest.Fault{dataproxytest.Silence(), dataproxytest.ResetAfterRead(), dataproxytest.CloseAfterRead(),
		dataproxytest.ErrorCode(114), dataproxytest.ErrorCode(105)} {
		t.Run(fmt.Sprint(end.Kind, end.Code), func(t *testing.T) {
			t.Parallel()
			c := cluster(t)
			client := connect(t, c, dataproxy.WithOrdered(true), dataproxy.WithWorkerNum(2), dataproxy.WithAckTimeout(500*time.Millisecond))
			read, goOn := make(chan struct{}), make(chan struct{})
			for _, n := range c.Nodes() {
				n.Handle(func(r dataproxytest.Record) dataproxytest.Fault {
					if string(r.Items[0]) == "1" {
						close(read)
						<-goOn
						return end
					}
					return dataproxytest.Fault{}
				})
			}
			ctx, cancel := context.WithCancel(context.Background())
			result := make(chan error, 1)
			go func() { result <- client.Send(ctx, streamMessage("s", "1")) }()
			<-read
			cancel()
			fault(t, <-result, dataproxy.CodeContextExpired)
			close(goOn)
			require.NoError(t, client.Send(patient(t), streamMessage("s", "2")))
			settled(t, client)
		})
	}
}

func texts(c *dataproxytest.Cluster) (texts []string) {
	for _, m := range c.Messages() {
		texts = append(texts, string(m))
	}
	return texts
}
