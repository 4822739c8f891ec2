package dataproxy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/multierr"
)

// metrics are the client's Prometheus series. The names, labels, kinds and buckets are those of the existing Go SDK.
type metrics struct {
	errorCount   *prometheus.CounterVec
	retryCount   *prometheus.CounterVec
	timeoutCount *prometheus.CounterVec
	msgCount     *prometheus.CounterVec
	connCount    *prometheus.CounterVec
	pendingGauge *prometheus.GaugeVec
	batchSize    *prometheus.HistogramVec
	batchTime    *prometheus.HistogramVec

	streams *streamMetrics

	name    string
	good    codeSeries // of code 0, looked up once, so that a success needs no label look-up
	pending []prometheus.Gauge

	// By Code, looked up once and without a lock: thousands of callers may fail at the same moment.
	bad    sync.Map // of codeSeries
	faults sync.Map // of prometheus.Counter
}

// codeSeries are the series of one result code.
type codeSeries struct {
	messages   prometheus.Counter
	size, time prometheus.Observer
}

func newMetrics(registry prometheus.Registerer, name string, workers, streams int) (*metrics, error) {
	m := &metrics{name: name}
	r := registrar{registry: registry}
	m.msgCount, m.errorCount = r.counter(metricMessages), r.counter(metricErrors)
	m.retryCount, m.timeoutCount = r.counter(metricRetries), r.counter(metricTimeouts)
	m.connCount, m.pendingGauge = r.counter(metricConnections), r.gauge(metricPending)
	m.batchSize, m.batchTime = r.histogram(metricBatchSize), r.histogram(metricBatchTime)
	if err := r.err(); err != nil {
		return nil, err
	}
	var err error
	if m.streams, err = newStreamMetrics(registry, name, streams); err != nil {
		return nil, err
	}
	m.good = m.series(CodeOK)
	for i := range workers {
		m.pending = append(m.pending, m.pendingGauge.WithLabelValues(name, strconv.Itoa(i)))
	}
	return m, nil
}

// registrar makes metrics from the table, and collects the errors.
type registrar struct {
	registry prometheus.Registerer
	fault    error
}

func registered[C prometheus.Collector](r *registrar, info *metricInfo, collector C) C {
	v, err := register(r.registry, info, collector)
	r.fault = multierr.Append(r.fault, err)
	return v
}

func (r *registrar) counter(of int) *prometheus.CounterVec {
	info := &metricTable[of]
	return registered(r, info, prometheus.NewCounterVec(prometheus.CounterOpts{Name: info.name, Help: info.help}, info.labels()))
}

func (r *registrar) gauge(of int) *prometheus.GaugeVec {
	info := &metricTable[of]
	return registered(r, info, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: info.name, Help: info.help}, info.labels()))
}

func (r *registrar) histogram(of int) *prometheus.HistogramVec {
	info := &metricTable[of]
	return registered(r, info, prometheus.NewHistogramVec(
		prometheus.HistogramOpts{Name: info.name, Help: info.help, Buckets: info.upTo}, info.labels()))
}

func (r *registrar) err() error {
	if r.fault == nil {
		return nil
	}
	return fmt.Errorf("option WithMetricsRegistry: %w; give the client a registry of its own, or this one by "+
		"prometheus.WrapRegistererWithPrefix", r.fault)
}

func (i *metricInfo) labels() []string {
	if i.label == "" {
		return []string{"name"}
	}
	return append([]string{"name"}, strings.Split(i.label, ", ")...)
}

// register returns the collector that is registered already under the same name, so that clients of one registry share it,
// also with clients of the existing SDK.
func register[C prometheus.Collector](registry prometheus.Registerer, info *metricInfo, collector C) (C, error) {
	err := registry.Register(collector)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing, nil
		}
	}
	if err != nil {
		err = fmt.Errorf("the %s %s, labels %s, help %q, cannot be registered beside another metric of that name: %w",
			info.kind, info.name, strings.Join(info.labels(), " and "), info.help, err)
	}
	return collector, err
}

func (m *metrics) series(code Code) codeSeries {
	label := strconv.Itoa(int(code))
	return codeSeries{
		messages: m.msgCount.WithLabelValues(m.name, label),
		size:     m.batchSize.WithLabelValues(m.name, label),
		time:     m.batchTime.WithLabelValues(m.name, label),
	}
}

func (m *metrics) of(err *Error) codeSeries {
	if err == nil {
		return m.good
	}
	s, ok := m.bad.Load(err.Code)
	if !ok {
		s = m.series(err.Code)
		m.bad.Store(err.Code, s)
	}
	return s.(codeSeries)
}

// addPending counts messages of st that were accepted, or, as a negative number, have their results.
func (m *metrics) addPending(st *stream, n int) { m.pending[st.share.index].Add(float64(n)) }

// messages counts messages that have their result.
func (m *metrics) messages(err *Error, n int) { m.of(err).messages.Add(float64(n)) }

// batch counts a batch whose last message has its result.
func (m *metrics) batch(err *Error, b *batch) {
	s := m.of(err)
	s.size.Observe(float64(len(b.body.b)))
	s.time.Observe(float64(time.Since(b.opened)) / float64(time.Millisecond))
}

func (m *metrics) failed(code Code) { m.failedTimes(code, 1) }

func (m *metrics) failedTimes(code Code, n int) {
	fault, ok := m.faults.Load(code)
	if !ok {
		fault = m.errorCount.WithLabelValues(m.name, strconv.Itoa(int(code)))
		m.faults.Store(code, fault)
	}
	fault.(prometheus.Counter).Add(float64(n))
}

func (m *metrics) connected(code Code) {
	m.connCount.WithLabelValues(m.name, strconv.Itoa(int(code))).Inc()
	if code != CodeOK {
		m.failed(code)
	}
}

func (m *metrics) retry(worker int) { m.retryCount.WithLabelValues(m.name, strconv.Itoa(worker)).Inc() }

func (m *metrics) timeout(worker int) {
	m.timeoutCount.WithLabelValues(m.name, strconv.Itoa(worker)).Inc()
}
