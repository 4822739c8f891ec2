package dataproxy_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A batch that lost its node comes again after the next one: a consumer that keeps the last of two copies has another order than one that
// keeps the first.
func TestWhatComesAgainWithOrderedComesBeforeTheNext(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(3))
	client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithOrdered(true), dataproxy.WithMaxPendingBytes(1<<20),
		dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithRetryInitialInterval(time.Millisecond))
	for _, n := range c.Nodes() {
		n.Standing(dataproxytest.Delay(2 * time.Millisecond)) // most kills hit a frame that is kept and not answered
	}
	loads, again := 0, 0
	for ; loads < rounds(3, 200) || again == 0; loads++ {
		c.Reset()
		again += killedUnderLoad(t, c, client)
	}
	t.Logf("%d loads, %d frames came again", loads, again)
	settled(t, client)
}

// killedUnderLoad sends while nodes are killed and come back, and returns how many frames came again.
func killedUnderLoad(t *testing.T, c *dataproxytest.Cluster, client dataproxy.FullClient) (again int) {
	t.Helper()
	const messages = 6000
	sending, sent := context.WithCancel(patient(t))
	go func() {
		defer sent()
		payload := strings.Repeat("x", 600)
		for i := range messages {
			client.SendAsync(context.Background(), streamMessage("s", "0 %d %s", i, payload), nil)
		}
	}()
	for sending.Err() == nil {
		_ = c.WaitCount(sending, c.Count()+rand.IntN(messages/4))
		for _, n := range c.Nodes() {
			n.Kill()
		}
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond) // for memory to fill up, or not
		up(c)
	}
	require.NoError(t, client.Flush(patient(t)))
	eventually(t, "nothing is left", func() bool { return client.Stats().Spool.Messages == 0 })
	return comesAgain(t, c, messages)
}

// comesAgain checks that each frame is the next one, or the one before it once more, and returns how many are that.
func comesAgain(t *testing.T, c *dataproxytest.Cluster, messages int) (again int) {
	t.Helper()
	next := 0
	var last [][]byte
	for _, r := range c.Received() {
		if len(last) > 0 && bytes.Equal(r.Items[0], last[0]) {
			require.Equal(t, len(last), len(r.Items))
			again++
			continue
		}
		for _, item := range r.Items {
			var stream, number int
			_, err := fmt.Sscanf(string(item), "%d %d", &stream, &number)
			require.NoError(t, err)
			require.Equal(t, next, number, "after %.20s", last)
			next++
		}
		last = r.Items
	}
	require.Equal(t, messages, next)
	return again
}
