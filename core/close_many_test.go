package dataproxy_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A call of Flush that gave up was remembered until the oldest batch had its result, behind a stuck callback for ever, and each batch
// that ended walked through all of them: 200,000 made a Send fifty times slower.
func TestFlushesThatGaveUpAreForgotten(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	stuck := make(chan struct{})
	client.SendAsync(context.Background(), streamMessage("stuck", "x"), func(dataproxy.Message, error) { <-stuck })
	waits := make(chan error)
	go func() { waits <- client.Flush(patient(t)) }()
	eventually(t, "it waits", func() bool { return dataproxy.Flushes(client) == 1 })
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for range 1000 {
		fault(t, client.Flush(ended), dataproxy.CodeContextExpired)
	}
	require.Equal(t, 1, dataproxy.Flushes(client), "the one that still waits")
	close(stuck)
	require.NoError(t, <-waits)
	require.Zero(t, dataproxy.Flushes(client))
}

// A Flush sealed the open batches of all streams before it looked at its context again: with 200,000 of them it took two seconds of the
// processor to give up.
func TestFlushOfVeryManyStreamsEndsWithItsContext(t *testing.T) {
	const streams = 2000
	client := connect(t, cluster(t), dataproxy.WithBatchingMaxPublishDelay(time.Minute), dataproxy.WithSendTimeout(5*time.Minute))
	for i := range streams {
		client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", i), "x"), nil)
	}
	require.Equal(t, streams, dataproxy.Open(client))
	dataproxy.SetCallbackGrace(client, 0)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	fault(t, client.Flush(ended), dataproxy.CodeContextExpired)
	require.Greater(t, dataproxy.Open(client), streams/2)
	dataproxy.SetCallbackGrace(client, patience)
	_ = client.Flush(ended)
	require.Zero(t, dataproxy.Open(client), "it has a moment, though its context has ended")
	require.NoError(t, client.Flush(patient(t)))
	require.EqualValues(t, streams, client.Stats().Acked)
}

// A close settled all that was pending before it looked at the time again: 800,000 batches took it seconds beyond its deadline.
func TestCloseReturnsInTimeHoweverMuchIsPending(t *testing.T) {
	const n = 100
	c := cluster(t)
	standing(c, dataproxytest.Silence())
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(0))
	var called atomic.Int64
	for range n {
		client.SendAsync(context.Background(), message("x"), func(dataproxy.Message, error) { called.Add(1) })
	}
	sent := make(chan error, 1)
	go func() { sent <- client.Send(context.Background(), streamMessage("another", "waits")) }()
	eventually(t, "all are accepted", func() bool { return client.Stats().Accepted == n+1 })
	letGo := sync.OnceFunc(dataproxy.HoldSweep(client))
	t.Cleanup(letGo)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	var report dataproxy.CloseReport
	inTime(t, 110*time.Millisecond, "close", func() {
		var err error
		report, err = client.Shutdown(ctx)
		fault(t, err, dataproxy.CodeContextExpired)
	})
	require.EqualValues(t, n+1, report.Unsent)
	require.EqualValues(t, n+1, report.Failed)
	require.EqualValues(t, n+1, report.ByCode[dataproxy.CodeClosed])
	require.EqualValues(t, n+1, client.Stats().Failed, "as the report has it, though the sweep is not over")
	before := called.Load()
	require.GreaterOrEqual(t, report.Uncalled, n-before, "callbacks that nobody calls")
	letGo()
	fault(t, <-sent, dataproxy.CodeClosed)
	settled(t, client)
	require.Equal(t, before, called.Load(), "callbacks after the close")
	require.EqualValues(t, n+1, client.Stats().Failed)
}

// Goroutines that do not end were waited for a second a kind, also where the time of the close was over: a pool whose Put blocks, a disk that
// is slow, a node cache on a file system that hangs.
func TestCloseReturnsInTimeWhateverItsGoroutinesWaitFor(t *testing.T) {
	for name, left := range map[string]time.Duration{"over at the start": 0, "over meanwhile": 50 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			gate := make(chan struct{})
			client := connect(t, cluster(t), dataproxy.WithBytePool(gatedBytes{gate}))
			defer close(gate)
			require.NoError(t, client.Send(patient(t), message("x")))
			ctx, cancel := context.WithTimeout(context.Background(), left)
			defer cancel()
			inTime(t, left+110*time.Millisecond, "close", func() { _, _ = client.Shutdown(ctx) })
		})
	}
}

// gatedBytes takes nothing back until its gate is open.
type gatedBytes struct{ gate <-chan struct{} }

func (gatedBytes) Get() []byte  { return make([]byte, 4096) }
func (p gatedBytes) Put([]byte) { <-p.gate }
