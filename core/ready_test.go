package dataproxy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// atOnce is a context that ended before.
func atOnce() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// notReady waits until Ready says that it is not, with each of the parts.
func notReady(t *testing.T, client dataproxy.FullClient, kind error, parts ...string) {
	t.Helper()
	eventually(t, "not ready: "+strings.Join(parts, ", "), func() bool {
		err := client.Ready(atOnce())
		return errors.Is(err, kind) && !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(err.Error(), part) })
	})
}

// A client without nodes can be told from a good one by a message that fails some time later only.
func TestReadyFollowsTheNodes(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	require.NoError(t, client.Ready(atOnce()))
	for _, n := range c.Nodes() {
		n.Kill()
	}
	notReady(t, client, dataproxy.ErrNoAvailableWorker, c.Node(0).Addr(), c.Node(1).Addr(), c.Node(2).Addr())
	waiting := make(chan error)
	go func() { waiting <- client.Ready(patient(t)) }()
	c.Node(1).Revive()
	require.NoError(t, <-waiting)
	require.NoError(t, client.Send(patient(t), streamMessage("s", "x")))
}

// The Manager's fault is the reason while no node is known.
func TestReadySaysWhatTheManagerSaid(t *testing.T) {
	c := cluster(t)
	c.Manager().Standing(dataproxytest.HTTPStatus(503, ""))
	client := connect(t, c, dataproxy.WithLazyStart(true))
	notReady(t, client, dataproxy.ErrNoEndpoint, "503")
	c.Manager().ClearFaults()
	require.NoError(t, client.Ready(patient(t)))
}

// A node that answers heartbeats and takes no data cannot be used.
func TestReadySaysThatNodesTakeNothing(t *testing.T) {
	c := cluster(t)
	standing(c, dataproxytest.ServiceStopped())
	client := connect(t, c)
	hurry(t, client)
	client.SendAsync(context.Background(), streamMessage("s", "x"), nil)
	notReady(t, client, dataproxy.ErrNoAvailableWorker, "it takes nothing now: server code 2")
	for _, n := range c.Nodes() {
		n.ClearFaults()
	}
	require.NoError(t, client.Ready(patient(t)))
}

// A wait that a close does not end outlives the client; one inside a callback would wait for a lane that waits for it.
func TestReadyEndsWithTheClientAndNeverWaitsInACallback(t *testing.T) {
	c := cluster(t)
	c.Manager().Standing(dataproxytest.HTTPStatus(503, ""))
	client := connect(t, c, dataproxy.WithLazyStart(true))
	fromCallback := make(chan error, 1)
	client.SendAsync(context.Background(), streamMessage("s", "x"), func(dataproxy.Message, error) { fromCallback <- client.Ready(context.Background()) })
	waiting := make(chan error, 1)
	go func() { waiting <- client.Ready(context.Background()) }()
	_, _ = client.Shutdown(atOnce())
	require.ErrorIs(t, <-waiting, dataproxy.ErrClosed)
	require.ErrorIs(t, <-fromCallback, dataproxy.ErrClosed)
	require.ErrorIs(t, client.Ready(atOnce()), dataproxy.ErrClosed)

	c2 := cluster(t)
	client2 := connect(t, c2)
	client2.SendAsync(context.Background(), streamMessage("s", "x"), func(dataproxy.Message, error) {
		for _, n := range c2.Nodes() {
			n.Kill()
		}
		for client2.Ready(context.Background()) == nil { // must come back each time
			time.Sleep(time.Millisecond)
		}
		fromCallback <- client2.Ready(context.Background())
	})
	require.ErrorIs(t, <-fromCallback, dataproxy.ErrNoAvailableWorker)
}
