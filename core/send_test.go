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

// A Send that returns nil without the node having the very bytes is a false "sent".
func TestSendReturnsWhenTheNodeHasTheBytes(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	for _, payload := range []string{"hello", "\n", "ends in newline\n", "\x00\x01\xff\x00", "é日", "x"} {
		require.NoError(t, client.Send(patient(t), message(payload)))
	}
	var got []string
	for _, m := range c.Messages() {
		got = append(got, string(m))
	}
	require.Equal(t, []string{"hello", "\n", "ends in newline\n", "\x00\x01\xff\x00", "é日", "x"}, got)
}

// One message without a callback, or with two, breaks the promise of one result.
func TestEveryAsyncMessageHasOneResultAndArrives(t *testing.T) {
	const n = 10000
	c := cluster(t)
	client := connect(t, c)
	results := make([]int, n)
	var mu sync.Mutex
	for i := range n {
		client.SendAsync(context.Background(), message(fmt.Sprintf("line %06d", i)), func(m dataproxy.Message, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil || string(m.Payload) != fmt.Sprintf("line %06d", i) {
				t.Errorf("message %d: %q, %v", i, m.Payload, err)
			}
			results[i]++
		})
	}
	require.NoError(t, client.Flush(patient(t)))
	for i, r := range results {
		require.Equal(t, 1, r, "results of message %d", i)
	}
	var got []string
	for _, m := range c.Messages() {
		got = append(got, string(m))
	}
	slices.Sort(got)
	require.Len(t, slices.Compact(got), n)
	require.EqualValues(t, n, client.Stats().Acked)
}

// A linger added to a synchronous send would cost each caller 20 ms.
func TestSyncSendDoesNotWaitForTheLinger(t *testing.T) {
	client := connect(t, cluster(t), dataproxy.WithBatchingMaxPublishDelay(5*time.Second))
	start := time.Now()
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			for range 10 {
				if err := client.Send(patient(t), message("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	require.Less(t, time.Since(start), 5*time.Second)
}

// A caller of SendBatch whose context ended gave its messages up one by one, each under the lock of its batch: 786,000 of them took 0.4 s.
// Those of one batch are given up together, which their common error shows, also where streams alternate.
func TestSendBatchGivesUpBatchByBatch(t *testing.T) {
	c := cluster(t)
	standing(c, dataproxytest.Silence())
	client := connect(t, c, dataproxy.WithBatchingMaxMessages(50), dataproxy.WithBatchingMaxPublishDelay(time.Minute), dataproxy.WithSendTimeout(10*time.Minute))
	hurry(t, client)
	msgs := make([]dataproxy.Message, 200)
	for i := range msgs {
		msgs[i] = streamMessage(fmt.Sprint("stream", i%2), "%d", i)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	results := make(chan []error)
	go func() { results <- client.SendBatch(ctx, msgs) }()
	eventually(t, "all are accepted", func() bool { return client.Stats().Accepted == 200 })
	cancel()
	batches := map[error]bool{}
	for i, err := range <-results {
		require.Equal(t, fmt.Sprint("stream", i%2), fault(t, err, dataproxy.CodeContextExpired).StreamID)
		batches[err] = true
	}
	require.Equal(t, 4, len(batches))
	require.EqualValues(t, 200, client.Stats().Failed)
}
