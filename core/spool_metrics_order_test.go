package dataproxy

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// Where the disk hangs another goroutine tells the metrics, too: what it had seen earlier came later, and the counter panicked.
func TestSpoolMetricsThatAreToldInTheOtherOrderDoNotFall(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := newSpoolMetrics(registry, "a")
	require.NoError(t, err)
	seen := SpoolStats{State: SpoolOK, Lost: 30, Errors: 20, Replayed: 50, GivenUp: 10}
	m.tell(seen)
	require.NotPanics(t, func() { m.tell(SpoolStats{State: SpoolOK}) })
	seen.Lost++
	m.tell(seen)
	families, err := registry.Gather()
	require.NoError(t, err)
	sum := 0.0
	for _, f := range families {
		sum += f.Metric[0].GetCounter().GetValue()
	}
	require.InDelta(t, 111, sum, 0.5)
}
