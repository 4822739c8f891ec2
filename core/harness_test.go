package dataproxy_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// patience bounds what a test waits for; one that works never waits that long, also where other processes hold up each step of it.
const patience = time.Minute

func TestMain(m *testing.M) {
	if dir := os.Getenv(spoolHelperKey); dir != "" {
		spoolClient(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// cluster starts a fake Manager and nodes for one test.
func cluster(t *testing.T, opts ...dataproxytest.Option) *dataproxytest.Cluster {
	t.Helper()
	return dataproxytest.Start(t, opts...)
}

// connect makes a client of the cluster with its own metrics registry; it is closed when the test ends.
func connect(t *testing.T, c *dataproxytest.Cluster, opts ...dataproxy.Option) dataproxy.FullClient {
	t.Helper()
	client, err := dataproxy.NewClient(append(basics(c), opts...)...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func basics(c *dataproxytest.Cluster) []dataproxy.Option {
	return []dataproxy.Option{
		dataproxy.WithURL(c.URL()), dataproxy.WithGroupID("test_group"), dataproxy.WithLogger(dataproxy.NopLogger()),
		dataproxy.WithMetricsRegistry(prometheus.NewRegistry()),
	}
}

func message(payload string) dataproxy.Message {
	return dataproxy.Message{StreamID: "test_stream", Payload: []byte(payload)}
}

// patient is a context that ends with patience.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, patience, time.Millisecond, what)
}
