package transport

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Scenario N9: an idle connection beats, so that the node does not close it; traffic makes beats needless.
func TestN9_IdleConnectionSendsHeartbeats(t *testing.T) {
	cfg := config()
	cfg.HeartbeatInterval = 20 * time.Millisecond
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1), dataproxytest.WithReadIdle(2*time.Second))
	s := connect(t, cluster.Node(0).Addr(), cfg)
	start := time.Now()
	require.Eventually(t, func() bool { return cluster.Node(0).Heartbeats() > 20 }, patience, time.Millisecond)
	require.GreaterOrEqual(t, time.Since(start), 20*cfg.HeartbeatInterval*9/10, "it beats too often")
	select {
	case <-s.ended:
		require.Fail(t, "ended", "%v", s.reason)
	default:
	}
	s.send(t, 1, "x")
	require.Equal(t, uint64(1), s.next(t).Seq)
}

// Scenario N9: after an answer that took longer than the interval no heartbeat was sent until the ack time-out, by when a node may have
// closed the connection.
func TestN9_LateAnswerDoesNotPutOffTheNextHeartbeat(t *testing.T) {
	cfg := config()
	cfg.HeartbeatInterval = 20 * time.Millisecond
	beats := make(chan struct{}, 1000)
	connect(t, server(t, prover(func(conn net.Conn) {
		for late := 5 * cfg.HeartbeatInterval; ; late = 0 {
			if _, err := readFrame(conn); err != nil {
				return
			}
			beats <- struct{}{}
			time.Sleep(late)
			_, _ = conn.Write(wire.Heartbeat)
		}
	})), cfg)
	for range 5 {
		select {
		case <-beats:
		case <-time.After(patience / 2):
			t.Fatal("no heartbeat comes any more")
		}
	}
}
