package main

import (
	"fmt"
	"io"
	"time"
)

// report is the outcome of a send; in this form --json prints it.
type report struct {
	Language   string  `json:"language"`
	Lines      int64   `json:"lines"`
	Acked      int64   `json:"acked"`
	Failed     int64   `json:"failed"`
	Skipped    int64   `json:"skipped"`
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`

	Failures []failure `json:"failures"`
}

func (s *shipment) report(started clock) *report {
	wall, cpu := started.passed()
	r := &report{
		Language: "go",
		Lines:    s.lines.Load(), Acked: s.acked.Load(), Failed: s.failed.Load(), Skipped: s.skipped.Load(),
		Seconds: wall.Seconds(), CPUSeconds: cpu.Seconds(), Failures: s.failures.all(),
	}
	return r
}

func (r *report) print(w io.Writer) {
	rate := 0.0
	if r.Seconds > 0 {
		rate = float64(r.Lines) / r.Seconds
	}
	fmt.Fprintf(w, "%s: %d acked, %d failed; %s skipped; %.3f s, %.0f lines/s\n",
		plural(r.Lines, "line"), r.Acked, r.Failed, plural(r.Skipped, "empty line"), r.Seconds, rate)
	printFailures(w, "line", r.Failures)
}

// clock measures the time that passes and the CPU that this process uses.
type clock struct {
	wall time.Time
	cpu  time.Duration
}

func startClock() clock { return clock{time.Now(), cpuTime()} }

func (c clock) passed() (wall, cpu time.Duration) { return time.Since(c.wall), cpuTime() - c.cpu }
