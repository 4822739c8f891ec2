//go:build !windows

package dataproxy_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/cputime"
)

// A client that has nothing to do must cost next to nothing: default options do not reserve their buffers, and no goroutine
// polls.
func TestF6_IdleClientCostsNothing(t *testing.T) {
	c := cluster(t, dataproxytest.WithDigestRecorder())
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	eventually(t, "the clients of other tests are gone", func() bool { return ours() == 0 })
	before := heap()
	client := connect(t, c)
	for i := range 20000 {
		client.SendAsync(context.Background(), streamMessage(fmt.Sprint("stream", i%10), "%0100d", i), nil)
	}
	require.NoError(t, client.Flush(patient(t)))
	eventually(t, "8 lanes", func() bool { return even(client, 3) })
	settled(t, client)
	eventually(t, "the goroutines that have nothing to do are gone", func() bool { return ours() == 8+1 })
	require.Less(t, heap()-before, int64(8<<20), "heap")
	wait := time.Second
	if long() {
		wait = time.Minute
	}
	cpu := func() time.Duration {
		least := wait
		for range 5 {
			before := cputime.Total()
			<-time.After(wait)
			if least = min(least, cputime.Total()-before); least < wait/50 {
				break
			}
		}
		return least
	}
	least := cpu()
	require.Equal(t, 9, ours())
	if least >= wait/50 { // is that the client, or what tests before it have left to the collector, and a machine that is busy?
		client.Close()
		least -= cpu()
	}
	require.Less(t, least, wait/50, "CPU")
}
