package dataproxy

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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

	name    string
	good    codeSeries // of code 0, looked up once: a success costs no label look-up
	pending []prometheus.Gauge

	mu  sync.Mutex
	bad map[Code]codeSeries
}

// codeSeries are the series of one result code.
type codeSeries struct {
	messages   prometheus.Counter
	size, time prometheus.Observer
}

var (
	sizeBuckets = prometheus.ExponentialBuckets(1024, 2, 9) // 1 KiB to 256 KiB
	timeBuckets = []float64{5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000}
)

func newMetrics(registry prometheus.Registerer, name string, workers int) (*metrics, error) {
	m := &metrics{name: name, bad: make(map[Code]codeSeries)}
	var errs []error
	counter := func(metric, help, label string) *prometheus.CounterVec {
		v, err := register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{Name: metric, Help: help}, []string{"name", label}))
		errs = append(errs, err)
		return v
	}
	histogram := func(metric, help string, buckets []float64) *prometheus.HistogramVec {
		v, err := register(registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: metric, Help: help, Buckets: buckets},
			[]string{"name", "code"}))
		errs = append(errs, err)
		return v
	}
	m.errorCount = counter("data_proxy_error_count", "errors by code: refused messages, failed attempts, unmatched answers", "code")
	m.retryCount = counter("data_proxy_retry_count", "batches written again, by worker", "worker")
	m.timeoutCount = counter("data_proxy_timeout_count", "connections given up because an answer took too long, by worker", "worker")
	m.msgCount = counter("data_proxy_msg_count", "messages that have their result, by code", "code")
	m.connCount = counter("data_proxy_update_conn_count", "connections opened or failed to open, by code", "code")
	m.batchSize = histogram("data_proxy_batch_size", "bytes of a batch before compression", sizeBuckets)
	m.batchTime = histogram("data_proxy_batch_time", "milliseconds from the opening of a batch to its result", timeBuckets)
	gauge, err := register(registry, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "data_proxy_pending_msg_gauge",
		Help: "messages without a result, by worker"}, []string{"name", "worker"}))
	m.pendingGauge = gauge
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("option WithMetricsRegistry: %w", err)
	}
	m.good = m.series(CodeOK)
	for i := range workers {
		m.pending = append(m.pending, m.pendingGauge.WithLabelValues(name, strconv.Itoa(i)))
	}
	return m, nil
}

// register returns the collector that is registered already under the same name, so that clients of one registry share it.
func register[C prometheus.Collector](registry prometheus.Registerer, collector C) (C, error) {
	err := registry.Register(collector)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing, nil
		}
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
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.bad[err.Code]
	if !ok {
		s = m.series(err.Code)
		m.bad[err.Code] = s
	}
	return s
}

// result counts a batch that has its result, and the messages settled with it.
func (m *metrics) result(err *Error, messages, size int, took time.Duration) {
	s := m.of(err)
	s.messages.Add(float64(messages))
	s.size.Observe(float64(size))
	s.time.Observe(float64(took) / float64(time.Millisecond))
}

// messages counts messages that were settled one by one, or refused.
func (m *metrics) messages(err *Error, n int) {
	m.of(err).messages.Add(float64(n))
	m.failed(err.Code)
}

func (m *metrics) failed(code Code) {
	m.errorCount.WithLabelValues(m.name, strconv.Itoa(int(code))).Inc()
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

// queued changes the number of messages without a result of a worker.
func (m *metrics) queued(worker, delta int) { m.pending[worker].Add(float64(delta)) }
