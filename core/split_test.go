package dataproxy_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// shrinking is a cluster whose nodes close on a frame of more than 4096 bytes, and whose Manager says so after a while.
func shrinking(t *testing.T, opts ...dataproxytest.Option) *dataproxytest.Cluster {
	return cluster(t, append(opts, dataproxytest.WithMaxMessageLength(4096))...)
}

// listWith is the Manager's answer with another maxPacketLength.
func listWith(c *dataproxytest.Cluster, limit int) string {
	var nodes []string
	for i, n := range c.Nodes() {
		host, port, _ := net.SplitHostPort(n.Addr())
		nodes = append(nodes, fmt.Sprintf(`{"id":%d,"ip":%q,"port":%s,"protocolType":"TCP","nodeLoad":65535}`, i+1, host, port))
	}
	return fmt.Sprintf(`{"success":true,"errMsg":null,"data":{"clusterId":1,"load":20,"maxPacketLength":%d,"nodeList":[%s]}}`,
		limit, strings.Join(nodes, ","))
}

// A lazy client learns how long a frame may be only when batches are full already. They used to be written all the same: each
// node closed the connection, and after three attempts all of their messages had failed.
func TestLongBatchesAreSplitWhenTheLimitShrinks(t *testing.T) {
	for name, opts := range map[string][]dataproxy.Option{
		"text":    nil,
		"binary":  {dataproxy.WithMessageFormat(dataproxy.Binary)},
		"ordered": {dataproxy.WithOrdered(true)},
	} {
		t.Run(name, func(t *testing.T) {
			c := shrinking(t)
			c.Manager().Fault(dataproxytest.Delay(300 * time.Millisecond))
			client := connect(t, c, append(opts, dataproxy.WithLazyStart(true), dataproxy.WithCompression(dataproxy.None),
				dataproxy.WithMaxRetries(0))...)
			notes := newLedger()
			for i := range 200 {
				notes.send(context.Background(), client, streamMessage("s", "0 %d %0*d", i, 10+i*17%1500, 0))
			}
			errs := make([]error, 20)
			each(20, func(i int) { errs[i] = client.Send(patient(t), streamMessage("sync", "%d %0*d", i, 900, 0)) })
			batch := make([]dataproxy.Message, 20)
			for i := range batch {
				batch[i] = streamMessage("batch", "%d %0*d", i, 900, 0)
			}
			require.Nil(t, client.SendBatch(patient(t), batch))
			for _, err := range errs {
				require.NoError(t, err)
			}
			require.NoError(t, client.Flush(patient(t)))
			notes.balanced(t, c)
			require.Len(t, notes.acked(), 200)
			require.Equal(t, 240, c.Count())
			if name == "ordered" {
				last := -1
				for _, m := range c.Messages() {
					var i, rest int
					if n, _ := fmt.Sscanf(string(m), "0 %d %d", &i, &rest); n == 2 {
						require.Equal(t, last+1, i)
						last = i
					}
				}
				require.Equal(t, 199, last)
			}
			settled(t, client)
		})
	}
}

// Of a batch whose frame has become too long, what fits alone arrives; a message that does not is refused with its own code. And
// anyone who gives up on a message finds it wherever it is now.
func TestSplitBatchesKeepEveryPromise(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithUpdateInterval(10*time.Millisecond), dataproxy.WithCompression(dataproxy.None),
		dataproxy.WithBatchingMaxPublishDelay(300*time.Millisecond), dataproxy.WithRetryInitialInterval(20*time.Millisecond), dataproxy.WithMaxRetries(100))
	hurry(t, client)
	standing(c, dataproxytest.ErrorCode(114)) // so that the batches are on their way when the limit shrinks
	notes := newLedger()
	for i := range 60 {
		size := 100
		if i%10 == 3 {
			size = 5000
		}
		ctx := context.Background()
		if i%10 == 5 {
			soon, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
			defer cancel()
			ctx = soon
		}
		notes.send(ctx, client, streamMessage("s", "%d %0*d", i, size, 0))
	}
	results := make(chan error, 10)
	for i := range 10 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+i)*100*time.Millisecond)
		defer cancel()
		go func() { results <- client.Send(ctx, streamMessage("s", "sync %d %0800d", i, 0)) }()
	}
	time.Sleep(100 * time.Millisecond)
	c.Manager().Standing(dataproxytest.HTTPBody(listWith(c, 2048)))
	eventually(t, "those that are too long have failed", func() bool { return notes.count() >= 12 })
	eventually(t, "senders give up", func() bool { return len(results) == 10 })
	for range 10 {
		fault(t, <-results, dataproxy.CodeContextExpired)
	}
	standing(c, dataproxytest.Fault{})
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	notes.mu.Lock()
	for payload, errs := range notes.results {
		var i int
		fmt.Sscan(payload, &i)
		switch {
		case i%10 == 3:
			e := fault(t, errs[0], dataproxy.CodeLogTooLong)
			require.Equal(t, dataproxy.NotWritten, e.Persisted(), "a node that refuses takes nothing")
			require.False(t, e.Retriable())
		case i%10 == 5:
			fault(t, errs[0], dataproxy.CodeContextExpired)
		default:
			require.NoError(t, errs[0], payload[:4])
		}
	}
	notes.mu.Unlock()
	settled(t, client)
}

// One message of a waiting batch that had become too long, not the first, took those after it along: they had no result, a flush never
// returned, a close left callbacks out, and MetaData went to the wrong message.
func TestMessageThatBecomesTooLongLeavesTheOthersTheirResults(t *testing.T) {
	for _, ends := range []string{"acked", "expired", "closed"} {
		for _, long := range []int{0, 2, 4} {
			for _, metaData := range []bool{false, true} {
				for _, ordered := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s, too long %d, with MetaData %v, ordered %v", ends, long, metaData, ordered), func(t *testing.T) {
						t.Parallel()
						oneBecomesTooLong(t, ends, long, metaData, ordered)
					})
				}
			}
		}
	}
}

func oneBecomesTooLong(t *testing.T, ends string, long int, metaData, ordered bool) {
	c := cluster(t, dataproxytest.WithNodes(1))
	timeout := patience
	if ends == "expired" {
		timeout = 300 * time.Millisecond
	}
	client := connect(t, c, dataproxy.WithUpdateInterval(10*time.Millisecond), dataproxy.WithSendTimeout(timeout), dataproxy.WithOrdered(ordered),
		dataproxy.WithBatchingMaxMessages(5), dataproxy.WithBatchingMaxPublishDelay(time.Minute), dataproxy.WithCompression(dataproxy.None))
	hurry(t, client)
	c.Node(0).Kill()
	eventually(t, "no lane is usable", func() bool { return usableLanes(client) == 0 })
	results := make([]error, 5)
	var left sync.WaitGroup
	left.Add(5)
	for i := range 5 {
		m := streamMessage("s", "%d", i)
		if i == long {
			m = streamMessage("s", "%d %020000d", i, 0)
		}
		if metaData {
			m.MetaData = i
		}
		client.SendAsync(context.Background(), m, func(m dataproxy.Message, err error) {
			if metaData && m.MetaData != i || !metaData && m.MetaData != nil || !strings.HasPrefix(string(m.Payload), fmt.Sprint(i)) {
				t.Errorf("message %d came back as %.2s with the MetaData %v", i, m.Payload, m.MetaData)
			}
			results[i] = err
			left.Done()
		})
	}
	c.Manager().Standing(dataproxytest.HTTPBody(listWith(c, 10000)))
	eventually(t, "the limit is lower", func() bool { return dataproxy.FrameLimit(client) == 10000 })
	if ends != "acked" {
		c.Node(0).Standing(dataproxytest.ErrorCode(114))
	}
	c.Node(0).Revive()
	if ends == "closed" {
		eventually(t, "a frame is refused", func() bool { return c.Node(0).Frames() > 0 })
		dataproxy.SetCallbackGrace(client, patience)
		over, cancel := context.WithCancel(context.Background())
		cancel()
		report, _ := client.Shutdown(over)
		require.Zero(t, report.Uncalled)
	} else {
		require.NoError(t, client.Flush(patient(t)))
	}
	left.Wait()
	for i, err := range results {
		switch {
		case i == long:
			require.Error(t, err)
		case ends == "acked":
			require.NoError(t, err)
		default:
			require.Error(t, err)
		}
	}
	settled(t, client)
}

// Of an ordered stream only the first part is on its way. When that one was split again, what was after it used to be forgotten: it
// failed at its deadline, never written, and later batches went past it.
func TestPartOfAnOrderedBatchIsSplitAgain(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithOrdered(true), dataproxy.WithUpdateInterval(10*time.Millisecond), dataproxy.WithMaxRetries(1000),
		dataproxy.WithCompression(dataproxy.None), dataproxy.WithRetryInitialInterval(time.Millisecond), dataproxy.WithSendTimeout(patience),
		dataproxy.WithBatchingMaxPublishDelay(time.Minute)) // on a busy machine the first batch left before it was whole
	hurry(t, client)
	var seen atomic.Int64 // messages of the last frame
	var take atomic.Bool
	c.Node(0).Handle(func(r dataproxytest.Record) dataproxytest.Fault {
		seen.Store(int64(len(r.Items)))
		if take.Load() {
			return dataproxytest.Fault{}
		}
		return dataproxytest.ErrorCode(114)
	})
	notes := newLedger()
	for i := range 60 {
		notes.send(context.Background(), client, streamMessage("s", "%d %0800d", i, 0))
	}
	shrink := func(limit int, most int64) {
		c.Manager().Standing(dataproxytest.HTTPBody(listWith(c, limit)))
		eventually(t, "a shorter frame", func() bool { n := seen.Load(); return n > 0 && n <= most })
	}
	eventually(t, "the whole batch is refused", func() bool { return seen.Load() == 50 })
	shrink(8192, 10)
	shrink(2048, 2)
	take.Store(true)
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	require.Len(t, notes.acked(), 60)
	for i, m := range c.Messages() {
		require.True(t, strings.HasPrefix(string(m), fmt.Sprint(i, " ")), "%d. message is %.3s", i, m)
	}
	settled(t, client)
}

// The page of codes said that a message which is too long was never written. One whose answer was lost before the limit shrank may be.
func TestMessageThatBecomesTooLongMayBeWritten(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithUpdateInterval(10*time.Millisecond), dataproxy.WithMaxRetries(1000), dataproxy.WithSendTimeout(patience))
	c.Node(0).Standing(dataproxytest.ResetAfterRead())
	result := make(chan error, 1)
	client.SendAsync(context.Background(), message(strings.Repeat("x", 5000)), func(_ dataproxy.Message, err error) { result <- err })
	eventually(t, "its answer is lost", func() bool { return client.Stats().Retries > 0 })
	c.Manager().Standing(dataproxytest.HTTPBody(listWith(c, 2048)))
	require.Equal(t, dataproxy.MaybeWritten, fault(t, <-result, dataproxy.CodeLogTooLong).Persisted())
}

// A close while batches are split must find every part.
func TestF2_CloseWhileBatchesAreSplit(t *testing.T) {
	for range rounds(20, 200) {
		c := shrinking(t)
		c.Manager().Fault(dataproxytest.Delay(20 * time.Millisecond))
		client := connect(t, c, dataproxy.WithLazyStart(true), dataproxy.WithCompression(dataproxy.None))
		notes := newLedger()
		for i := range 400 {
			notes.send(context.Background(), client, streamMessage(fmt.Sprint("s", i%4), "%d %0900d", i, 0))
		}
		ctx, cancel := context.WithTimeout(context.Background(), 21*time.Millisecond)
		report, _ := client.Shutdown(ctx)
		cancel()
		notes.uncalled = report.Uncalled
		notes.balanced(t, c)
		settled(t, client)
	}
}
