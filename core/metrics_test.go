package dataproxy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// families returns the registry's metrics by name.
func families(t *testing.T, r *prometheus.Registry) map[string]*dto.MetricFamily {
	t.Helper()
	list, err := r.Gather()
	require.NoError(t, err)
	all := make(map[string]*dto.MetricFamily)
	for _, f := range list {
		all[f.GetName()] = f
	}
	return all
}

// value sums the series of a metric that carry these labels, as "label=value"; of a histogram it is the number of observations.
func value(t *testing.T, r *prometheus.Registry, metric string, labels ...string) (sum float64) {
	t.Helper()
	for _, m := range families(t, r)[metric].GetMetric() {
		var has []string
		for _, l := range m.GetLabel() {
			has = append(has, l.GetName()+"="+l.GetValue())
		}
		if slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(has, l) }) {
			continue
		}
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return sum
}

// measured makes a client with a registry to read from.
func measured(t *testing.T, c *dataproxytest.Cluster, opts ...dataproxy.Option) (dataproxy.FullClient, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	return connect(t, c, append([]dataproxy.Option{dataproxy.WithMetricsRegistry(registry)}, opts...)...), registry
}

// Dashboards and alerts made for the existing SDK must keep working: its names, labels, kinds and buckets.
func TestMetricsAreThoseOfTheSeed(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	c.Node(0).Fault(dataproxytest.ErrorCode(100), dataproxytest.ErrorCode(114), dataproxytest.Delay(0), dataproxytest.Silence())
	client, registry := measured(t, c, dataproxy.WithAckTimeout(50*time.Millisecond))
	fault(t, client.Send(patient(t), message("x")), dataproxy.CodeServerError)
	require.NoError(t, client.Send(patient(t), message("retried")))
	require.NoError(t, client.Send(patient(t), message("retried after a time-out")))
	client.Close()
	want := map[string]struct {
		kind  dto.MetricType
		label string
	}{
		"data_proxy_error_count":       {dto.MetricType_COUNTER, "code"},
		"data_proxy_retry_count":       {dto.MetricType_COUNTER, "worker"},
		"data_proxy_timeout_count":     {dto.MetricType_COUNTER, "worker"},
		"data_proxy_msg_count":         {dto.MetricType_COUNTER, "code"},
		"data_proxy_update_conn_count": {dto.MetricType_COUNTER, "code"},
		"data_proxy_pending_msg_gauge": {dto.MetricType_GAUGE, "worker"},
		"data_proxy_batch_size":        {dto.MetricType_HISTOGRAM, "code"},
		"data_proxy_batch_time":        {dto.MetricType_HISTOGRAM, "code"},
	}
	buckets := map[string][]float64{
		"data_proxy_batch_size": {1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144},
		"data_proxy_batch_time": {5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000},
	}
	for name, family := range families(t, registry) {
		w, ok := want[name]
		require.True(t, ok, "one that the seed does not have: %s", name)
		delete(want, name)
		require.Equal(t, w.kind, family.GetType(), name)
		for _, m := range family.GetMetric() {
			require.Len(t, m.GetLabel(), 2, name)
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			require.Equal(t, "dataproxy-go", labels["name"], name)
			require.Contains(t, labels, w.label, name)
			if bounds, ok := buckets[name]; ok {
				var got []float64
				for _, b := range m.GetHistogram().GetBucket() {
					got = append(got, b.GetUpperBound())
				}
				require.Equal(t, bounds, got, name)
			}
		}
	}
	require.Empty(t, want, "missing")
}

// counts checks metrics, each named without its prefix and with the labels it has.
func counts(t *testing.T, r *prometheus.Registry, want map[string]float64) {
	t.Helper()
	for series, n := range want {
		metric, labels, _ := strings.Cut(series, " ")
		require.EqualValues(t, n, value(t, r, "data_proxy_"+metric, strings.Fields(labels)...), series)
	}
}

// Each outcome is counted before its result is seen: a test, and a health check, may read right after it.
func TestEachOutcomeIsCountedOnce(t *testing.T) {
	t.Run("success", func(t *testing.T) {
		client, registry := measured(t, cluster(t), dataproxy.WithBatchingMaxPublishDelay(time.Minute)) // no batch is cut short
		for i := range 5 {
			require.NoError(t, client.Send(patient(t), message("x")))
			counts(t, registry, map[string]float64{"msg_count code=0": float64(i + 1), "batch_size code=0": float64(i + 1), "batch_time code=0": float64(i + 1)})
		}
		require.Nil(t, client.SendBatch(patient(t), slices.Repeat([]dataproxy.Message{message("y")}, 50)))
		counts(t, registry, map[string]float64{"msg_count": 55, "batch_size": 6, "error_count": 0, "retry_count": 0, "timeout_count": 0,
			"pending_msg_gauge": 0})
	})
	t.Run("refused by the server", func(t *testing.T) {
		c := cluster(t)
		standing(c, dataproxytest.ErrorCode(109))
		client, registry := measured(t, c)
		require.Len(t, client.SendBatch(patient(t), []dataproxy.Message{message("x"), message("y"), message("z")}), 3)
		counts(t, registry, map[string]float64{"msg_count code=10011": 3, "msg_count": 3, "error_count code=10011": 1, "error_count": 1,
			"batch_size code=10011": 1, "batch_time code=10011": 1, "retry_count": 0, "pending_msg_gauge": 0})
	})
	t.Run("refused by the client", func(t *testing.T) {
		client, registry := measured(t, cluster(t), dataproxy.WithMaxFrameSize(2048))
		over, cancel := context.WithCancel(context.Background())
		cancel()
		require.Error(t, client.Send(patient(t), message("")))
		require.Error(t, client.Send(patient(t), message(strings.Repeat("x", 4096))))
		require.Error(t, client.Send(over, message("x")))
		client.Close()
		require.Error(t, client.Send(patient(t), message("x")))
		for _, code := range []int{10010, 10009, 10005, 10003} {
			counts(t, registry, map[string]float64{fmt.Sprintf("msg_count code=%d", code): 1, fmt.Sprintf("error_count code=%d", code): 1})
		}
		counts(t, registry, map[string]float64{"msg_count": 4, "error_count": 4, "batch_size": 0})
	})
	t.Run("queue full", func(t *testing.T) {
		client, registry := measured(t, cluster(t), dataproxy.WithMaxPendingMessages(1), dataproxy.WithWorkerNum(1),
			dataproxy.WithBatchingMaxPublishDelay(time.Minute))
		client.SendAsync(patient(t), message("x"), nil)
		fault(t, client.Send(patient(t), message("y")), dataproxy.CodeQueueFull)
		counts(t, registry, map[string]float64{"msg_count code=10004": 1, "error_count code=10004": 1})
	})
	t.Run("retried on another node", func(t *testing.T) {
		c := cluster(t, dataproxytest.WithNodes(1))
		c.Node(0).Fault(dataproxytest.ErrorCode(114))
		client, registry := measured(t, c, dataproxy.WithRetryInitialInterval(time.Millisecond))
		require.NoError(t, client.Send(patient(t), message("x")))
		counts(t, registry, map[string]float64{"retry_count": 1, "msg_count code=0": 1, "msg_count": 1, "error_count code=10011": 1, "batch_size": 1})
	})
	t.Run("connection closed", func(t *testing.T) {
		c := cluster(t, dataproxytest.WithNodes(1))
		c.Node(0).Standing(dataproxytest.CloseAfterRead())
		client, registry := measured(t, c, dataproxy.WithMaxRetries(0))
		fault(t, client.Send(patient(t), message("x")), dataproxy.CodeConnClosedByPeer)
		counts(t, registry, map[string]float64{"msg_count code=10015": 1, "error_count code=10015": 1, "retry_count": 0, "batch_size code=10015": 1})
	})
	t.Run("deadline", func(t *testing.T) {
		c := cluster(t)
		standing(c, dataproxytest.Silence())
		client, registry := measured(t, c, dataproxy.WithSendTimeout(30*time.Millisecond), dataproxy.WithAckTimeout(time.Minute))
		hurry(t, client)
		fault(t, client.Send(patient(t), message("x")), dataproxy.CodeSendTimeout)
		counts(t, registry, map[string]float64{"msg_count code=10001": 1, "msg_count": 1, "timeout_count": 1, "batch_size code=10001": 1})
	})
	t.Run("ack time-out", func(t *testing.T) {
		c := cluster(t, dataproxytest.WithNodes(1))
		c.Node(0).Fault(dataproxytest.Silence())
		client, registry := measured(t, c, dataproxy.WithAckTimeout(30*time.Millisecond))
		require.NoError(t, client.Send(patient(t), message("x")))
		counts(t, registry, map[string]float64{"timeout_count": 1, "retry_count": 1, "error_count code=10001": 1, "msg_count code=0": 1})
	})
	t.Run("answer of nothing", func(t *testing.T) {
		c := cluster(t, dataproxytest.WithNodes(1))
		c.Node(0).Fault(dataproxytest.DuplicateAnswer())
		client, registry := measured(t, c)
		require.NoError(t, client.Send(patient(t), message("x")))
		eventually(t, "the double is counted", func() bool { return value(t, registry, "data_proxy_error_count", "code=10014") == 1 })
		counts(t, registry, map[string]float64{"msg_count": 1, "error_count": 1})
	})
	t.Run("connections", func(t *testing.T) {
		c := cluster(t)
		c.Node(0).Standing(dataproxytest.RefuseConnect())
		_, registry := measured(t, c, dataproxy.WithWorkerNum(6))
		eventually(t, "six lanes", func() bool { return value(t, registry, "data_proxy_update_conn_count", "code=0") == 6 })
		eventually(t, "each failed one is an error, too", func() bool { // more may fail between two looks
			failed := value(t, registry, "data_proxy_update_conn_count", "code=10006")
			return failed > 0 && failed == value(t, registry, "data_proxy_error_count", "code=10006")
		})
	})
}

// The gauge shows where messages wait: up while they are in flight, back to nothing afterwards, also when they failed.
func TestPendingGaugeComesBackToZero(t *testing.T) {
	c := cluster(t)
	standing(c, dataproxytest.Silence())
	client, registry := measured(t, c)
	hurry(t, client)
	for range 120 {
		client.SendAsync(context.Background(), message("x"), nil)
	}
	eventually(t, "all wait for their answers", func() bool { return value(t, registry, "data_proxy_pending_msg_gauge") == 120 })
	for _, n := range c.Nodes() {
		n.ClearFaults()
		n.ResetConnections()
	}
	require.NoError(t, client.Flush(patient(t)))
	require.Zero(t, value(t, registry, "data_proxy_pending_msg_gauge"))
	require.EqualValues(t, 120, value(t, registry, "data_proxy_msg_count", "code=0"))

	standing(c, dataproxytest.Silence())
	client.SendAsync(context.Background(), message("x"), nil)
	eventually(t, "it is in flight", func() bool { return value(t, registry, "data_proxy_pending_msg_gauge") == 1 })
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = client.Shutdown(now)
	eventually(t, "nothing is pending", func() bool { return value(t, registry, "data_proxy_pending_msg_gauge") == 0 })
}

// In an outage nothing is written, which is when somebody looks: what waits must show, and how it ends.
func TestAnOutageShowsInTheMetrics(t *testing.T) {
	c := cluster(t)
	client, registry := measured(t, c, dataproxy.WithSendTimeout(time.Second), dataproxy.WithBatchingMaxMessages(10),
		dataproxy.WithBatchingMaxPublishDelay(time.Minute)) // no batch is cut short
	for _, n := range c.Nodes() {
		n.Kill()
	}
	eventually(t, "no lane is usable", func() bool { return usableLanes(client) == 0 })
	for range 100 {
		client.SendAsync(context.Background(), message("x"), nil)
	}
	require.EqualValues(t, 100, value(t, registry, "data_proxy_pending_msg_gauge"))
	require.NoError(t, client.Flush(patient(t)))
	counts(t, registry, map[string]float64{"pending_msg_gauge": 0, "msg_count code=10001": 100, "msg_count": 100,
		"batch_size code=10001": 10, "batch_time code=10001": 10, "timeout_count": 10, "retry_count": 0})
	require.Zero(t, client.Stats().Retries)
	client.SendAsync(context.Background(), message("x"), nil)
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = client.Shutdown(now)
	counts(t, registry, map[string]float64{"pending_msg_gauge": 0, "msg_count code=10003": 1, "error_count code=10003": 1})
}

// Two clients of one name in one registry share the series, or have their own by name.
func TestClientsShareARegistry(t *testing.T) {
	c, registry := cluster(t), prometheus.NewRegistry()
	for _, name := range []string{"", "", "other"} {
		client := connect(t, c, dataproxy.WithMetricsRegistry(registry), dataproxy.WithMetricsName("same"+name))
		require.NoError(t, client.Send(patient(t), message("x")))
		defer client.Close()
	}
	require.EqualValues(t, 2, value(t, registry, "data_proxy_msg_count", "name=same"))
	require.EqualValues(t, 1, value(t, registry, "data_proxy_msg_count", "name=sameother"))
}

// seedCollectors are the metrics as the existing Go SDK makes them, help texts included.
func seedCollectors() map[string]prometheus.Collector {
	all := map[string]prometheus.Collector{
		"data_proxy_pending_msg_gauge": prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "data_proxy_pending_msg_gauge",
			Help: "Gauge of pending message"}, []string{"name", "worker"}),
		"data_proxy_batch_size": prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "data_proxy_batch_size",
			Help: "Histogram of batch size", Buckets: prometheus.ExponentialBuckets(1024, 2, 9)}, []string{"name", "code"}),
		"data_proxy_batch_time": prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "data_proxy_batch_time",
			Help: "Histogram of batch time in milliseconds", Buckets: []float64{5, 10, 20}}, []string{"name", "code"}),
	}
	for name, text := range map[string][2]string{
		"data_proxy_error_count":       {"Counter of error events", "code"},
		"data_proxy_retry_count":       {"Counter of retry batches", "worker"},
		"data_proxy_timeout_count":     {"Counter of timeout batches", "worker"},
		"data_proxy_msg_count":         {"Counter of message", "code"},
		"data_proxy_update_conn_count": {"Counter of update connection events", "code"},
	} {
		all[name] = prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: text[0]}, []string{"name", text[1]})
	}
	return all
}

// A program that moves from the existing SDK has clients of both for a while, and one registry: whichever comes second must
// find the other's metrics and share them. A help text that differs by a word makes NewClient fail.
func TestClientsShareARegistryWithTheExistingSDK(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprintf("theirs first: %v", first), func(t *testing.T) {
			c, registry, theirs := cluster(t), prometheus.NewRegistry(), seedCollectors()
			register := func() {
				for name, collector := range theirs {
					err := registry.Register(collector)
					var already prometheus.AlreadyRegisteredError
					if errors.As(err, &already) { // what the existing SDK does then
						require.IsType(t, collector, already.ExistingCollector, name)
						theirs[name], err = already.ExistingCollector, nil
					}
					require.NoError(t, err, name)
				}
			}
			if first {
				register()
			}
			client := connect(t, c, dataproxy.WithMetricsRegistry(registry))
			if !first {
				register()
			}
			theirs["data_proxy_msg_count"].(*prometheus.CounterVec).WithLabelValues("dataproxy-go", "0").Inc()
			require.NoError(t, client.Send(patient(t), message("x")))
			require.EqualValues(t, 2, value(t, registry, "data_proxy_msg_count", "name=dataproxy-go", "code=0"))
			require.EqualValues(t, 1, value(t, registry, "data_proxy_batch_time"))
		})
	}
}

// What cannot be shared must be named, with what to do about it.
func TestAForeignMetricOfOurNameIsNamed(t *testing.T) {
	c := cluster(t)
	for name, foreign := range map[string]prometheus.Collector{
		"other labels": prometheus.NewCounter(prometheus.CounterOpts{Name: "data_proxy_msg_count", Help: "Counter of message"}),
		"other help": prometheus.NewCounterVec(prometheus.CounterOpts{Name: "data_proxy_msg_count", Help: "of somebody else"},
			[]string{"name", "code"}),
		"other kind": prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "data_proxy_msg_count", Help: "Counter of message"},
			[]string{"name", "code"}),
	} {
		t.Run(name, func(t *testing.T) {
			taken := prometheus.NewRegistry()
			taken.MustRegister(foreign)
			_, err := dataproxy.NewClient(append(basics(c), dataproxy.WithMetricsRegistry(taken))...)
			require.ErrorContains(t, err, "option WithMetricsRegistry: ")
			require.ErrorContains(t, err, "the counter data_proxy_msg_count, labels name and code, ")
			require.ErrorContains(t, err, "give the client a registry of its own")
			connect(t, c, dataproxy.WithMetricsRegistry(prometheus.WrapRegistererWithPrefix("my_", taken)))
		})
	}
}
