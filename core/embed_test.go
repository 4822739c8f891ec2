package dataproxy_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// tagLedger notes the results that a binding gets.
type tagLedger struct {
	mu      sync.Mutex
	results map[dataproxy.Tag][]error
	order   map[string][]uintptr // by stream
	batches []dataproxy.BatchResult
}

func (l *tagLedger) handle(r *dataproxy.BatchResult) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, tag := range r.Tags {
		var err error
		if r.Err != nil {
			err = r.Err
		}
		l.results[tag] = append(l.results[tag], err)
		l.order[r.StreamID] = append(l.order[r.StreamID], tag.A)
	}
	copied := *r
	copied.Tags = nil
	l.batches = append(l.batches, copied)
	if len(l.batches)%3 == 0 {
		panic("a bug of the binding")
	}
}

func embedder(t *testing.T, c *dataproxytest.Cluster, opts ...dataproxy.Option) (dataproxy.Embedder, *tagLedger) {
	l := &tagLedger{results: make(map[dataproxy.Tag][]error), order: make(map[string][]uintptr)}
	client := connect(t, c, append(opts, dataproxy.WithResultHandler(l.handle))...)
	return client.(dataproxy.Embedder), l
}

// A binding counts on one result for each tag, in the order of acceptance within a stream, also when its handler panics.
func TestEachTagHasOneResultInOrder(t *testing.T) {
	const n = 5000
	c := cluster(t)
	// So few batches that no lane has 64 of them waiting: from then on it would share its streams with others.
	client, l := embedder(t, c, dataproxy.WithBatchingMaxMessages(500))
	scratch := []byte("message 0000")
	for i := range n {
		copy(scratch[8:], fmt.Sprintf("%04d", i))
		msg := dataproxy.Message{StreamID: fmt.Sprint("stream", i%7), Payload: scratch}
		require.NoError(t, client.Submit(context.Background(), &msg, dataproxy.Tag{A: uintptr(i), B: 7}))
	}
	fault(t, client.Submit(context.Background(), &dataproxy.Message{StreamID: "s"}, dataproxy.Tag{}), dataproxy.CodeLogInvalid)
	require.NoError(t, client.Flush(patient(t)))
	require.Len(t, l.results, n)
	for i := range n {
		require.Equal(t, []error{nil}, l.results[dataproxy.Tag{A: uintptr(i), B: 7}])
	}
	for stream, order := range l.order {
		require.IsIncreasing(t, order, stream)
	}
	for _, b := range l.batches {
		require.Contains(t, batchIDs(c), string(b.AppendBatchID(nil)))
		require.Equal(t, 1, b.Attempts)
		require.NotNil(t, nodeOf(c, b.Node))
		require.Equal(t, "test_group", b.GroupID)
	}
	require.Len(t, receivedPayloads(c), n)
	settled(t, client)
}

// Messages that expire while their batch is tried again and again: what is told of the attempt must be that of the result.
func TestTagsThatExpireWhileTheirBatchIsRetried(t *testing.T) {
	const n = 600
	c := cluster(t)
	client, l := embedder(t, c, dataproxy.WithMaxRetries(1000), dataproxy.WithRetryInitialInterval(time.Millisecond))
	standing(c, dataproxytest.ErrorCode(114))
	for i := range n {
		msg := dataproxy.Message{StreamID: "s", Payload: fmt.Append(nil, i)}
		for accepted := false; !accepted; { // on a busy machine some expire before that
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(20+i%100)*time.Millisecond)
			defer cancel()
			if i%10 == 0 {
				ctx = context.Background()
			}
			err := client.Submit(ctx, &msg, dataproxy.Tag{A: uintptr(i)})
			if accepted = err == nil; !accepted {
				fault(t, err, dataproxy.CodeContextExpired)
			}
		}
	}
	eventually(t, "all but a tenth expired", func() bool { return client.Stats().Failed == n*9/10 })
	standing(c, dataproxytest.Fault{})
	require.NoError(t, client.Flush(patient(t)))
	require.Len(t, l.results, n)
	for tag, errs := range l.results {
		require.Len(t, errs, 1)
		if tag.A%10 != 0 {
			fault(t, errs[0], dataproxy.CodeContextExpired)
		} else {
			require.NoError(t, errs[0])
		}
	}
	for _, b := range l.batches {
		if b.Err != nil {
			require.Equal(t, b.Err.Attempts, b.Attempts)
			require.Equal(t, b.Err.Node, b.Node)
		}
	}
	settled(t, client)
}

// SendResult says where a message went; that must be what the wire shows.
func TestSendResultNamesBatchNodeAndAttempts(t *testing.T) {
	c := cluster(t)
	client, _ := embedder(t, c, dataproxy.WithRetryInitialInterval(time.Millisecond))
	msg := message("x")
	result, err := client.SendResult(patient(t), &msg)
	require.NoError(t, err)
	last := c.Received()[0]
	require.Equal(t, dataproxy.Result{BatchID: last.Attr["mid"], Node: c.Nodes()[last.Node].Addr(), Attempts: 1}, result)
	c.Nodes()[last.Node].Fault(dataproxytest.ErrorCode(114))
	result, err = client.SendResult(patient(t), &msg)
	require.NoError(t, err)
	last = c.Received()[2]
	require.Equal(t, dataproxy.Result{BatchID: last.Attr["mid"], Node: c.Nodes()[last.Node].Addr(), Attempts: 2}, result)
	standing(c, dataproxytest.ErrorCode(123))
	result, err = client.SendResult(patient(t), &msg)
	e := fault(t, err, dataproxy.CodeServerError)
	require.Equal(t, dataproxy.Result{BatchID: e.BatchID, Node: e.Node, Attempts: 1}, result)
	// With Submit's messages in between, each kind gets its own result.
	standing(c, dataproxytest.Fault{})
	var both sync.WaitGroup
	both.Go(func() {
		for i := range 500 {
			_ = client.Submit(context.Background(), &dataproxy.Message{StreamID: "test_stream", Payload: []byte("y")}, dataproxy.Tag{A: uintptr(i)})
		}
	})
	for range 100 {
		_, err := client.SendResult(patient(t), &msg)
		require.NoError(t, err)
	}
	both.Wait()
	require.NoError(t, client.Flush(patient(t)))
	settled(t, client)
}
