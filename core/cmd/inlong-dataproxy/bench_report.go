package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// benchReport is the outcome of a benchmark; in this form --json prints it.
type benchReport struct {
	Mode           string    `json:"mode"` // "async" or "sync"
	Mock           bool      `json:"mock"`
	Size           int       `json:"size"`
	Streams        int       `json:"streams"`
	Callers        int       `json:"callers"`
	Rate           float64   `json:"rate,omitempty"` // that was asked for
	Messages       int64     `json:"messages"`
	Acked          int64     `json:"acked"`
	Stored         int64     `json:"stored"` // had this result; delivered later, but for those left
	Left           int64     `json:"left"`   // in the spool
	Failed         int64     `json:"failed"`
	Seconds        float64   `json:"seconds"`
	PerSecond      float64   `json:"messages_per_second"` // acked
	BytesPerSecond float64   `json:"bytes_per_second"`    // of payloads
	CPUSeconds     float64   `json:"cpu_seconds"`
	CPUPerMessage  float64   `json:"cpu_ns_per_message"`
	Latency        latency   `json:"latency_us"` // of acked messages
	Failures       []failure `json:"failures"`
	Intervals      []point   `json:"intervals"`
}

func (l *benchLoad) report(wall, cpu time.Duration, points []point) *benchReport {
	acked, failed := l.counts()
	stored := l.stored.Load()
	r := &benchReport{
		Mode: "async", Mock: l.mock, Size: l.size, Streams: l.streams, Callers: l.callers, Rate: l.rate,
		Messages: acked + stored + failed, Acked: acked, Stored: stored, Left: l.client.Stats().Spool.Messages, Failed: failed, Seconds: wall.Seconds(), CPUSeconds: cpu.Seconds(),
		PerSecond: float64(acked) / wall.Seconds(), CPUPerMessage: float64(cpu) / float64(max(acked+stored+failed, 1)),
		Latency: l.times.total(), Failures: l.failures.all(), Intervals: points,
	}
	r.BytesPerSecond = r.PerSecond * float64(l.size)
	if l.sync {
		r.Mode = "sync"
	}
	return r
}

func (r *benchReport) print(w io.Writer) {
	rate, where := "as many as possible", ""
	if r.Rate > 0 {
		rate = fmt.Sprintf("%.0f messages/s wanted", r.Rate)
	}
	if r.Mock {
		where = "; against a mock on this machine"
	}
	fmt.Fprintf(w, "%s, %s, %s, %d B a message, %s%s\n", r.Mode, plural(r.Callers, "caller"), plural(r.Streams, "stream"), r.Size, rate, where)
	fmt.Fprintf(w, "  messages    %d acked, %d failed in %.2f s\n", r.Acked, r.Failed, r.Seconds)
	if r.Stored > 0 {
		fmt.Fprintf(w, "  spool       %d stored through an outage, %d of them left\n", r.Stored, r.Left)
	}
	fmt.Fprintf(w, "  throughput  %.0f messages/s, %.1f MiB/s; %s CPU a message\n", r.PerSecond, r.BytesPerSecond/(1<<20),
		short(r.CPUPerMessage/1000))
	if l := r.Latency; r.Acked > 0 {
		fmt.Fprintf(w, "  latency     p50 %s, p90 %s, p99 %s, p99.9 %s, p99.99 %s, max %s; mean %s\n", short(l.P50), short(l.P90), short(l.P99),
			short(l.P999), short(l.P9999), short(l.Max), short(l.Mean))
	}
	printFailures(w, "message", r.Failures)
}

func plural[number int | int64](n number, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// short writes microseconds with three digits that count.
func short(us float64) string {
	d := time.Duration(us * 1000)
	if d <= 0 {
		return "0"
	}
	unit := time.Duration(math.Pow10(max(int(math.Log10(float64(d)))-2, 0)))
	return strings.ReplaceAll(d.Round(unit).String(), "µ", "u")
}
