package dataproxy_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// What a client holds while nothing is acked, beside the payload bytes that max_pending_bytes counts. TUNING.md has the figures.
func BenchmarkPendingMemory(b *testing.B) {
	for _, c := range []struct{ size, streams, batch int }{{100, 100, 50}, {1024, 100, 50}, {100, 5000, 1}} {
		b.Run(fmt.Sprintf("size=%d/streams=%d/batch=%d", c.size, c.streams, c.batch), func(b *testing.B) {
			heap := func() float64 {
				runtime.GC()
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return float64(m.HeapAlloc)
			}
			before := heap()
			client, err := dataproxy.NewClient(dataproxy.WithStaticNodes("127.0.0.1:1"), dataproxy.WithGroupID("test_group"),
				dataproxy.WithLazyStart(true), dataproxy.WithLogger(dataproxy.NopLogger()), dataproxy.WithMaxPendingBytes(16<<20),
				dataproxy.WithBatchingMaxMessages(c.batch))
			require.NoError(b, err)
			payload := make([]byte, c.size)
			for i, full := 0, 0; full < c.streams; i++ {
				refused := false
				client.SendAsync(context.Background(), dataproxy.Message{StreamID: fmt.Sprint("stream", i%c.streams), Payload: payload},
					func(_ dataproxy.Message, err error) { refused = err != nil })
				if refused {
					full++
				}
			}
			pending := client.Stats()
			b.ReportMetric((heap()-before)/float64(pending.PendingBytes), "heap/bytes")
			b.ReportMetric(float64(pending.PendingMessages), "messages")
			b.ReportMetric(0, "ns/op")
			ended, end := context.WithCancel(context.Background())
			end()
			_, _ = client.Shutdown(ended)
		})
	}
}
