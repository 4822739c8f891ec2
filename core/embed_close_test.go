package dataproxy_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// The close counted a batch as called as soon as its handler was: a binding that calls one callback after the other, and stops when the
// close has returned, left some out that no report had.
func TestBatchWhoseHandlerRunsAtTheEndOfTheCloseIsUncalled(t *testing.T) {
	for range 5 {
		c := cluster(t)
		first, rest, hold := make(chan struct{}), make(chan struct{}), make(chan struct{})
		client := connect(t, c, dataproxy.WithResultHandler(func(r *dataproxy.BatchResult) {
			if r.Tags[0].A == 0 {
				close(first)
				<-rest
				return
			}
			<-hold
		})).(dataproxy.Embedder)
		msg := dataproxy.Message{StreamID: "s", Payload: []byte("x")}
		require.NoError(t, client.Submit(context.Background(), &msg, dataproxy.Tag{}))
		<-first
		_, err := client.SubmitPacked(context.Background(), &msg, []byte("xx"), []uint32{1, 1}, dataproxy.Tag{A: 1}, false)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return client.Stats().Acked == 3 }, 10*time.Second, time.Millisecond)
		go func() { // the second handler begins when the close has counted what is left, which ends the connections first
			for live := 1; live > 0; time.Sleep(100 * time.Microsecond) {
				live = 0
				for _, n := range c.Nodes() {
					now, _ := n.Connections()
					live += now
				}
			}
			close(rest)
		}()
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		report, err := client.Shutdown(ended)
		require.ErrorIs(t, err, dataproxy.ErrContextExpired)
		require.GreaterOrEqual(t, report.Uncalled, int64(2))
		close(hold)
	}
}
