package dataproxy_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// spoolSeries returns the values of the series of spools, by name and state.
func spoolSeries(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				if l.GetName() == "state" {
					name += " " + l.GetValue()
				}
			}
			values[name] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return values
}

// No alert can be made of what is on the disk: it is in no metric, or stays in one after the end of its client.
func TestMetricsTellWhatIsInTheSpool(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(2))
	registry := prometheus.NewRegistry()
	opts := []dataproxy.Option{dataproxy.WithMetricsRegistry(registry), dataproxy.WithSendTimeout(200 * time.Millisecond)}
	connect(t, c, opts...).Close()
	require.NotContains(t, spoolSeries(t, registry), "data_proxy_spool_messages", "without a spool there is none")
	dir := t.TempDir()
	client := connect(t, c, append(opts, dataproxy.WithSpoolDir(dir))...)
	require.EqualValues(t, 1, spoolSeries(t, registry)["data_proxy_spool_state ok"])
	down(t, c, client)
	for i := range 100 {
		client.SendAsync(context.Background(), streamMessage("s", "%d", i), nil)
	}
	eventually(t, "100 in the spool", func() bool { return spoolSeries(t, registry)["data_proxy_spool_messages"] == 100 })
	require.Positive(t, spoolSeries(t, registry)["data_proxy_spool_bytes"])
	eventually(t, "they become older", func() bool { return spoolSeries(t, registry)["data_proxy_spool_oldest_seconds"] > 1 })
	client.Close()
	values := spoolSeries(t, registry)
	for _, name := range []string{"messages", "bytes", "oldest_seconds", "state ok", "state full", "state failed", "replayed_count"} {
		require.Zero(t, values["data_proxy_spool_"+name], name)
	}
	up(c)
	next := connect(t, c, append(opts, dataproxy.WithSpoolDir(dir))...)
	eventually(t, "all are replayed", func() bool { return spoolSeries(t, registry)["data_proxy_spool_replayed_count"] == 100 })
	eventually(t, "nothing is left", func() bool { return spoolSeries(t, registry)["data_proxy_spool_messages"] == 0 })
	next.Close()
}
