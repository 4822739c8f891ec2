package dataproxy_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/inlongmsg"
)

// A stored batch that was too long for a frame was cut, and its first messages went under its id. The next client found the whole batch
// on the disk, cut it elsewhere, and sent other messages under the same id: a consumer took them for a double, and lost them.
func TestAStoredBatchThatIsCutLeavesItsIDToTheWhole(t *testing.T) {
	for name, opts := range map[string][]dataproxy.Option{"text": nil, "binary": {dataproxy.WithMessageFormat(dataproxy.Binary)}, "ordered": {dataproxy.WithOrdered(true)}} {
		t.Run(name, func(t *testing.T) {
			c, dir := cluster(t, dataproxytest.WithNodes(1)), t.TempDir()
			opts = append(opts, dataproxy.WithSpoolDir(dir), dataproxy.WithCompression(dataproxy.None))
			c.Manager().Standing(dataproxytest.HTTPBody(listWith(c, 4000)))
			c.Manager().Fault(dataproxytest.Delay(200 * time.Millisecond)) // the batch is full before the limit is known
			c.Node(0).Standing(dataproxytest.DropAnswer())
			client := connect(t, c, append(opts, dataproxy.WithLazyStart(true))...)
			payloads := numbered(40, "a message of some hundred and sixty bytes, which is long enough for forty of them to have no room in one frame of those that the Manager allows them, or two")
			for _, payload := range payloads {
				client.SendAsync(context.Background(), message(payload), func(dataproxy.Message, error) {})
			}
			require.NoError(t, c.WaitCount(patient(t), 1))
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, _ = client.Shutdown(ctx)

			c.Node(0).ClearFaults()
			c.Manager().Standing(dataproxytest.HTTPBody(listWith(c, 3000)))
			client = connect(t, c, opts...)
			eventually(t, "all is delivered", func() bool { return client.Stats().Spool.Batches == 0 && len(arrived(c)) == len(payloads) })
			require.NotZero(t, client.Stats().Spool.Replayed)
			dedup, ids, left := inlongmsg.NewDedup(1000), make(frameItems), make(map[string]bool)
			c.Each(func(r dataproxytest.Record) bool {
				ids.add(t, r)
				if !dedup.Seen(&inlongmsg.Message{Blocks: []inlongmsg.Block{{Attr: r.RawAttr, Items: r.Items}}}) {
					for _, item := range r.Items {
						left[string(item)] = true
					}
				}
				return true
			})
			require.Len(t, left, len(payloads))
			require.Greater(t, c.Count(), len(payloads), "nothing was sent again")
		})
	}
}
