package dataproxy_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A program that names ever new streams would fill the memory of whatever keeps its metrics, and one message that is counted under no
// stream makes a sum that differs from the other metrics'.
func TestMetricsByStreamAreBounded(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client, registry := measured(t, c, dataproxy.WithMetricsStreams(2), dataproxy.WithMaxPendingMessages(40), dataproxy.WithWorkerNum(1))
	const messages, bytes = "data_proxy_stream_msg_count", "data_proxy_stream_bytes_count"
	require.Error(t, client.Send(patient(t), dataproxy.Message{StreamID: "no stream", Payload: []byte("takes no place")}))
	for i := range 4 {
		for range i + 1 {
			msg := streamMessage(fmt.Sprint("s", i), "%d", i)
			msg.Attributes = map[string]string{"other": fmt.Sprint(i)}
			require.NoError(t, client.Send(patient(t), msg))
		}
	}
	require.Error(t, client.Send(patient(t), dataproxy.Message{StreamID: "s1"}), "it is empty")
	require.Error(t, client.Send(patient(t), dataproxy.Message{GroupID: "its_group", StreamID: "s0"}), "it is empty, and of another group")
	for code, want := range map[string]map[string]float64{
		"code=0":     {"stream=s0": 1, "stream=s1": 2, "stream=other": 3 + 4, "stream=s2": 0, "group=": 7},
		"code=10010": {"stream=s0": 0, "stream=s1": 1, "stream=other": 1},
	} {
		for label, n := range want {
			require.InDelta(t, n, value(t, registry, messages, label, code), 0, label)
			if code == "code=0" {
				require.InDelta(t, n, value(t, registry, bytes, label, code), 0, "%s: a byte each", label)
			}
		}
	}
	c.Node(0).Standing(dataproxytest.Silence())
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	require.Error(t, client.Send(short, streamMessage("s1", "expires")))
	require.InDelta(t, 1, value(t, registry, messages, "stream=s1", fmt.Sprint("code=", int(dataproxy.CodeContextExpired))), 0)
	for i := range 60 {
		client.SendAsync(context.Background(), streamMessage("s0", "%d", i), nil)
	}
	require.Positive(t, value(t, registry, messages, "stream=s0", fmt.Sprint("code=", int(dataproxy.CodeQueueFull))))
	ended, cancelEnded := context.WithCancel(context.Background())
	cancelEnded()
	_, _ = client.Shutdown(ended)
	settled(t, client)
	// Together they are what the metric without streams counts, except of the message without a stream.
	require.InDelta(t, value(t, registry, "data_proxy_msg_count")-1, value(t, registry, messages), 0)
}

// A client that was not asked for it must not add series to somebody's registry.
func TestNothingIsCountedByStreamUnlessAsked(t *testing.T) {
	c := cluster(t)
	client, registry := measured(t, c)
	require.NoError(t, client.Send(patient(t), message("x")))
	require.NotContains(t, families(t, registry), "data_proxy_stream_msg_count")
}
