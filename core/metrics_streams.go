package dataproxy

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// otherStreams is the label of the streams that have none of their own. No group is empty, so it is no stream's label.
const otherStreams = "other"

// streamMetrics has series for each of the first streams that a client sends to, and one for all others. It is nil without
// metrics_streams.
type streamMetrics struct {
	messages, bytes *prometheus.CounterVec
	name            string
	most            int
	others          *streamSeries

	mu  sync.Mutex
	all map[streamKey]*streamSeries
}

func newStreamMetrics(registry prometheus.Registerer, name string, most int) (*streamMetrics, error) {
	if most == 0 {
		return nil, nil
	}
	r := registrar{registry: registry}
	m := &streamMetrics{messages: r.counter(metricStreamMessages), bytes: r.counter(metricStreamBytes), name: name, most: most,
		all: make(map[streamKey]*streamSeries)}
	m.others = &streamSeries{of: m, stream: otherStreams, codes: make(map[Code]streamCounters)}
	return m, r.err()
}

// streamSeries are the series of one stream, with all its attributes.
type streamSeries struct {
	of            *streamMetrics
	group, stream string

	mu    sync.Mutex
	codes map[Code]streamCounters // looked up once each
}

type streamCounters struct{ messages, bytes prometheus.Counter }

// series returns the series of a stream whose ids are checked: a message that is refused for its ids must not take a place. The
// series stays when the stream is swept out, because a counter that starts again at 0 would look like another one.
func (m *streamMetrics) series(group, stream string) *streamSeries {
	if m == nil {
		return nil
	}
	key := streamKey{group: group, stream: stream}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.all[key]
	switch {
	case s != nil:
		return s
	case len(m.all) == m.most:
		return m.others
	}
	s = &streamSeries{of: m, group: group, stream: stream, codes: make(map[Code]streamCounters)}
	m.all[key] = s
	return s
}

func (s *streamSeries) add(err *Error, messages, bytes int) {
	code := CodeOK
	if err != nil {
		code = err.Code
	}
	s.mu.Lock()
	c, ok := s.codes[code]
	if !ok {
		labels := []string{s.of.name, s.group, s.stream, strconv.Itoa(int(code))}
		c = streamCounters{s.of.messages.WithLabelValues(labels...), s.of.bytes.WithLabelValues(labels...)}
		s.codes[code] = c
	}
	s.mu.Unlock()
	c.messages.Add(float64(messages))
	c.bytes.Add(float64(bytes))
}

// completed counts messages of a batch that have their results.
func (s *streamSeries) completed(done *completion) {
	if s == nil {
		return
	}
	bytes := 0
	if done.indexes != nil {
		for _, i := range done.indexes {
			bytes += len(done.b.payload(int(i)))
		}
	} else {
		for i := range done.b.count() {
			if !done.b.settledAlone(i) {
				bytes += len(done.b.payload(i))
			}
		}
	}
	s.add(done.err, done.messages, bytes)
}

// refused counts a message that was not taken.
func (s *streamSeries) refused(err *Error, payload []byte) {
	if s != nil {
		s.add(err, 1, len(payload))
	}
}
