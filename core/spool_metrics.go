package dataproxy

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// spoolMetrics are the Prometheus series of a client with a spool, and the values that it has added to them.
type spoolMetrics struct {
	messages, bytes, oldest          prometheus.Gauge
	states                           map[SpoolState]prometheus.Gauge
	replayed, givenUp, errored, lost prometheus.Counter

	mu   sync.Mutex
	told SpoolStats
}

func newSpoolMetrics(registry prometheus.Registerer, name string) (*spoolMetrics, error) {
	r := registrar{registry: registry}
	messages, bytes, oldest, state := r.gauge(metricSpoolMessages), r.gauge(metricSpoolBytes), r.gauge(metricSpoolOldest), r.gauge(metricSpoolState)
	replayed, givenUp := r.counter(metricSpoolReplayed), r.counter(metricSpoolGivenUp)
	errored, lost := r.counter(metricSpoolErrors), r.counter(metricSpoolLost)
	if err := r.err(); err != nil {
		return nil, err
	}
	m := &spoolMetrics{
		messages: messages.WithLabelValues(name), bytes: bytes.WithLabelValues(name), oldest: oldest.WithLabelValues(name),
		replayed: replayed.WithLabelValues(name), givenUp: givenUp.WithLabelValues(name), errored: errored.WithLabelValues(name),
		lost: lost.WithLabelValues(name), states: map[SpoolState]prometheus.Gauge{},
	}
	for _, s := range []SpoolState{SpoolOK, SpoolFull, SpoolFailed} {
		m.states[s] = state.WithLabelValues(name, string(s))
	}
	return m, nil
}

// tell updates the series. Other clients may count in them, too.
func (m *spoolMetrics) tell(now SpoolStats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.messages.Add(float64(now.Messages - m.told.Messages))
	m.bytes.Add(float64(now.Bytes - m.told.Bytes))
	m.oldest.Set(now.OldestAge.Seconds())
	grow(m.replayed, &now.Replayed, m.told.Replayed)
	grow(m.givenUp, &now.GivenUp, m.told.GivenUp)
	grow(m.errored, &now.Errors, m.told.Errors)
	grow(m.lost, &now.Lost, m.told.Lost)
	if now.State != m.told.State {
		if before := m.states[m.told.State]; before != nil {
			before.Dec()
		}
		if after := m.states[now.State]; after != nil {
			after.Inc()
		}
	}
	m.told = now
}

// grow raises a counter to now. Two goroutines call it, so an older value may come after a newer one, and a counter panics if it is
// lowered.
func grow(c prometheus.Counter, now *int64, told int64) {
	*now = max(*now, told)
	c.Add(float64(*now - told))
}

// end removes this client's part from the gauges: nobody watches the folder for it any more.
func (m *spoolMetrics) end(now SpoolStats) {
	m.tell(now)
	last := m.told
	last.Messages, last.Bytes, last.OldestAge, last.State = 0, 0, 0, SpoolOff
	m.tell(last)
}
