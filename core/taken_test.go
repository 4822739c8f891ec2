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

func take(client dataproxy.Embedder, first, n int, at time.Time) {
	var payloads [][]byte
	var tags []dataproxy.Tag
	for i := range n {
		payloads = append(payloads, fmt.Append(nil, "message ", first+i))
		tags = append(tags, dataproxy.Tag{A: uintptr(first + i)})
	}
	client.SubmitTaken(&dataproxy.Message{StreamID: "s"}, payloads, tags, at, false)
}

// A message that the binding has accepted was lost where the client had no room for it: it goes in beyond the bound, in order.
func TestTakenMessagesHaveRoom(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		t.Run(fmt.Sprint("ordered ", ordered), func(t *testing.T) {
			c := cluster(t)
			client, l := embedder(t, c, dataproxy.WithMaxPendingMessages(10), dataproxy.WithOrdered(ordered),
				dataproxy.WithAckTimeout(time.Second))
			standing(c, dataproxytest.Silence())
			take(client, 0, 1000, time.Now())
			require.EqualValues(t, 1000, client.Intake().Messages)
			fault(t, client.Submit(context.Background(), &dataproxy.Message{StreamID: "s", Payload: []byte("x")}, dataproxy.Tag{}), dataproxy.CodeQueueFull)
			standing(c, dataproxytest.Fault{})
			require.NoError(t, client.Flush(patient(t)))
			require.Len(t, l.results, 1000)
			if ordered {
				require.IsIncreasing(t, l.order["s"])
			}
			require.Zero(t, client.Intake().Messages)
			settled(t, client)
		})
	}
}

// What the client refuses of it is its one result, counted as that of any message that was accepted.
func TestTakenMessagesThatAreRefusedHaveAResult(t *testing.T) {
	c := cluster(t)
	client, l := embedder(t, c, dataproxy.WithMaxFrameSize(2000))
	longest := client.Intake().LongestPayload
	client.SubmitTaken(&dataproxy.Message{StreamID: "s"}, [][]byte{make([]byte, longest), make([]byte, 2000), []byte("x")},
		[]dataproxy.Tag{{A: 1}, {A: 2}, {A: 3}}, time.Now(), false)
	require.NoError(t, client.Flush(patient(t)))
	require.Equal(t, []error{nil}, l.results[dataproxy.Tag{A: 1}])
	fault(t, l.results[dataproxy.Tag{A: 2}][0], dataproxy.CodeLogTooLong)
	require.Equal(t, []error{nil}, l.results[dataproxy.Tag{A: 3}])
	stats := client.Stats()
	require.EqualValues(t, 3, stats.Accepted)
	require.EqualValues(t, 1, stats.Failed)
	require.Zero(t, stats.Refused)
	settled(t, client)
	client.Close()
	take(client, 10, 1, time.Now())
	eventually(t, "a result after the close", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.results) == 4 })
	fault(t, l.results[dataproxy.Tag{A: 10}][0], dataproxy.CodeClosed)
}

// The sweep of a close and the hand-over of a message wrote into the same batch: a result came twice, or never, or the process ended.
func TestTakenMessagesBesideACloseHaveOneResult(t *testing.T) {
	const takers, times = 3, 60
	c := cluster(t)
	for range 12 {
		client, l := embedder(t, c, dataproxy.WithMaxFrameSize(2000), dataproxy.WithWorkerNum(2))
		var wg sync.WaitGroup
		middle := make(chan struct{}, takers)
		for g := range uintptr(takers) {
			wg.Go(func() {
				for i := range uintptr(times) {
					if i == times/3 {
						middle <- struct{}{}
					}
					client.SubmitTaken(&dataproxy.Message{StreamID: fmt.Sprint("stream", g)}, [][]byte{[]byte("a"), make([]byte, 3000), []byte("b")},
						[]dataproxy.Tag{{A: g, B: 3 * i}, {A: g, B: 3*i + 1}, {A: g, B: 3*i + 2}}, time.Now(), false)
				}
			})
		}
		<-middle
		_, _ = client.Shutdown(patient(t)) // its error counts what was handed over beside it
		wg.Wait()
		settled(t, client)
		require.Len(t, l.results, 3*takers*times)
		for tag, results := range l.results {
			require.Len(t, results, 1, tag)
		}
	}
}

// A close whose callbacks took too long calls no other one. What was handed over after it had no result at all.
func TestTakenMessagesBehindACloseThatWasLateHaveAResult(t *testing.T) {
	c := cluster(t)
	begun, stuck := make(chan struct{}), make(chan struct{})
	results := make(chan dataproxy.BatchResult, 10)
	client := connect(t, c, dataproxy.WithResultHandler(func(r *dataproxy.BatchResult) {
		if r.Err == nil {
			close(begun)
			<-stuck
		}
		results <- *r
	})).(dataproxy.Embedder)
	take(client, 0, 1, time.Now())
	<-begun
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := client.Shutdown(now)
	fault(t, err, dataproxy.CodeContextExpired)
	take(client, 1, 1, time.Now())
	close(stuck)
	require.Nil(t, (<-results).Err)
	select {
	case r := <-results:
		require.Equal(t, dataproxy.CodeClosed, r.Err.Code)
	case <-time.After(10 * time.Second):
		t.Fatal("no result")
	}
}

// Its deadline counts from where the binding took it, not from where the client saw it.
func TestTakenMessagesHaveTheirOwnDeadline(t *testing.T) {
	c := cluster(t)
	client, l := embedder(t, c, dataproxy.WithSendTimeout(time.Hour))
	standing(c, dataproxytest.Silence())
	take(client, 0, 1, time.Now().Add(-time.Hour))
	require.NoError(t, client.Flush(patient(t)))
	fault(t, l.results[dataproxy.Tag{}][0], dataproxy.CodeSendTimeout)
}

// What a binding has accepted in bulk was in flight beside the window, not in it: a slow network got all that its ring could take.
func TestTakenBulkIsInTheWindow(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client, _ := embedder(t, c, dataproxy.WithCompression(dataproxy.None))
	c.Node(0).Standing(dataproxytest.Silence())
	dataproxy.SetBulkWindow(client, 500)
	one := func(bulk bool) {
		client.SubmitTaken(&dataproxy.Message{StreamID: "s"}, [][]byte{make([]byte, 400)}, []dataproxy.Tag{{}}, time.Now(), bulk)
	}
	one(false)
	require.EqualValues(t, 500, client.Intake().Bulk, "single messages are not counted")
	one(true)
	require.Less(t, client.Intake().Bulk, int64(100))
	one(true)
	require.Zero(t, client.Intake().Bulk, "it is in, whatever there is")
	c.Node(0).Standing(dataproxytest.Fault{})
	require.NoError(t, client.Flush(patient(t)))
	require.GreaterOrEqual(t, client.Intake().Bulk, int64(500))
	settled(t, client)
}
