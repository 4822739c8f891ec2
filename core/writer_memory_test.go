package dataproxy_test

import (
	"bytes"
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// The pool of the writers' buffers looks at the lengths of what it gets back, and drops from the 42,000th buffer on what is longer
// than most were. It was told lengths of 0: a client that had run for a while made a buffer for each write.
func TestWritersUseTheirBuffersAgainAfterManyWrites(t *testing.T) {
	const size, writes, measured = 2000, 75_000, 2000 // a writer may live through two of them
	c := cluster(t, dataproxytest.WithoutRecorder())
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithCompression(dataproxy.None))
	msg := streamMessage("test_stream", "%s", bytes.Repeat([]byte("x"), size))
	bytesEach := func() uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range measured {
			require.NoError(t, client.Send(context.Background(), msg))
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / measured
	}
	early := bytesEach()
	for range writes {
		require.NoError(t, client.Send(context.Background(), msg))
	}
	late := bytesEach()
	require.Less(t, late, early+size/2, "bytes a send")
}
