package main

import (
	"runtime/metrics"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	longestLatency = 10 * time.Minute // longer ones count as this
	latencyDigits  = 3
	latencyShards  = 16
)

// latencies collects the times of acked messages. Callbacks of one stream run one at a time, so that a shard's lock is mostly
// free.
type latencies struct {
	shards [latencyShards]shard
	all    *hdrhistogram.Histogram
	recent *hdrhistogram.Histogram // of one interval
}

type shard struct {
	mu    sync.Mutex
	times *hdrhistogram.Histogram // since the last look; guarded by mu
}

func newLatencies() *latencies {
	l := &latencies{all: newHistogram(), recent: newHistogram()}
	for i := range l.shards {
		l.shards[i].times = newHistogram()
	}
	return l
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longestLatency.Microseconds(), latencyDigits)
}

func (l *latencies) shard(stream int64) *shard { return &l.shards[stream%latencyShards] }

func (s *shard) record(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.times.RecordValue(min(max(d, time.Microsecond), longestLatency).Microseconds()) // in range, so it is taken
}

// point is what happened in one interval.
type point struct {
	At      float64 `json:"at_seconds"` // its end, since the start
	Seconds float64 `json:"seconds"`
	Sent    int64   `json:"sent"` // taken by a send call
	Acked   int64   `json:"acked"`
	Failed  int64   `json:"failed"`
	// Messages that were read back from the spool and then acked.
	Replayed int64   `json:"replayed"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	Max      float64 `json:"max_us"`
	// These are of the interval's end.
	PendingMessages int64 `json:"pending_messages"`
	PendingBytes    int64 `json:"pending_bytes"`
	Stored          int64 `json:"stored_messages"` // in the spool
	HeapBytes       int64 `json:"heap_bytes"`      // of this whole process, with what the garbage collector has not freed yet
	Connections     int   `json:"connections"`     // that messages can go to
	Nodes           int   `json:"nodes"`           // with such a connection
}

// look takes what was recorded since the last call, which is a point of its own, or goes to that of the last call.
func (l *latencies) look(apart bool) {
	if apart {
		l.recent.Reset()
	}
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		if s.times.TotalCount() > 0 {
			l.recent.Merge(s.times)
			l.all.Merge(s.times)
			s.times.Reset()
		}
		s.mu.Unlock()
	}
}

// point is the last look, which began and ended at these seconds since the start.
func (l *latencies) point(began, ended float64) point {
	return point{At: ended, Seconds: ended - began, Acked: l.recent.TotalCount(),
		P50: float64(l.recent.ValueAtPercentile(50)), P99: float64(l.recent.ValueAtPercentile(99)), Max: float64(l.recent.Max())}
}

// heapBytes is what the heap of this process holds, with what the garbage collector has not freed yet.
func heapBytes() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// latency is the distribution of all, in microseconds.
type latency struct {
	Min   float64 `json:"min"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99_9"`
	P9999 float64 `json:"p99_99"`
	Max   float64 `json:"max"`
}

func (l *latencies) total() latency {
	at := func(percentile float64) float64 { return float64(l.all.ValueAtPercentile(percentile)) }
	if l.all.TotalCount() == 0 {
		return latency{}
	}
	return latency{Min: float64(l.all.Min()), Mean: l.all.Mean(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), P9999: at(99.99),
		Max: float64(l.all.Max())}
}
