package dataproxy_test

import (
	"context"
	"fmt"
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
	client.SubmitTaken(&dataproxy.Message{StreamID: "s"}, payloads, tags, at)
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
		[]dataproxy.Tag{{A: 1}, {A: 2}, {A: 3}}, time.Now())
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
	eventually(t, "a result behind the close", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.results) == 4 })
	fault(t, l.results[dataproxy.Tag{A: 10}][0], dataproxy.CodeClosed)
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
