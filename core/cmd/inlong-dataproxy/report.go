package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/cputime"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/tail"
)

// report is the outcome of a send; in this form --json prints it.
type report struct {
	Language    string  `json:"language"`
	Lines       int64   `json:"lines"`
	Acked       int64   `json:"acked"`
	Stored      int64   `json:"stored"` // kept in the spool, not acked yet
	Failed      int64   `json:"failed"`
	Waiting     int64   `json:"waiting"` // had no result at the end
	Skipped     int64   `json:"skipped"`
	Kept        int64   `json:"kept"`         // of those that failed, in the file of --failed
	MaybeTwice  int64   `json:"maybe_twice"`  // this run or the next one sends them anew, though a node may have them
	GivenUp     int64   `json:"given_up"`     // of the spool, stored by this run or an earlier one: refused for good, too old or unreadable
	LostBatches int64   `json:"lost_batches"` // of the spool, which the disk did not give back
	Seconds     float64 `json:"seconds"`
	CPUSeconds  float64 `json:"cpu_seconds"`

	Failures  []failure   `json:"failures"`
	LostBytes int64       `json:"lost_bytes"` // at least, of files that were truncated or deleted before they were read
	Losses    []tail.Loss `json:"losses"`
	Unread    []string    `json:"unread"` // files that could not be read, with the reason

	saves bool
}

func (s *shipment) report(started clock) *report {
	wall, cpu := started.passed()
	r := &report{
		Language: "go",
		Acked:    s.acked.Load(), Stored: s.spooled.Load(), Skipped: s.skipped.Load(), Kept: s.kept.Load(),
		Seconds: wall.Seconds(), CPUSeconds: cpu.Seconds(), Failures: s.failures.all(), Losses: s.files.Losses(), Unread: s.files.Faults(),
		saves: s.saves,
	}
	for _, f := range r.Failures { // not s.lost: results may come yet, and the sum is to be that of what is listed
		r.Failed += f.Count
	}
	r.Lines = s.lines.Load()
	if r.MaybeTwice = s.twice.Load(); s.saves {
		r.MaybeTwice += s.files.Ahead()
	}
	r.Waiting = max(r.Lines-r.Acked-r.Stored-r.Failed, 0)
	for _, loss := range r.Losses {
		r.LostBytes += loss.Bytes
	}
	spool := s.client.Stats().Spool
	r.GivenUp, r.LostBatches = max(spool.GivenUp-s.refused.Load(), 0), spool.Lost
	return r
}

// verdict is what was not right, nil if all was.
func (r *report) verdict() error {
	switch {
	case r.LostBytes > 0:
		return &exitError{exitFailure, fmt.Errorf("at least %d bytes were lost: their files were truncated or deleted before they were read", r.LostBytes)}
	case r.Waiting > 0 && r.saves && r.Failed == 0:
		return &exitError{exitFailure, fmt.Errorf("%s not acked; the next run sends them", were(r.Waiting))}
	case r.Acked+r.Stored < r.Lines:
		return &exitError{exitFailure, fmt.Errorf("%d of %d lines were not sent", r.Lines-r.Acked-r.Stored, r.Lines)}
	case r.GivenUp+r.LostBatches > 0:
		return &exitError{exitFailure, errors.New("not all that the spool had kept can be delivered")}
	case len(r.Unread) > 0:
		return &exitError{exitInput, errors.New(strings.Join(r.Unread, "; "))}
	}
	return nil
}

// end is how the program ends, if it came to that without an error of its own, or was interrupted.
func (r *report) end(interrupted bool) error {
	err := r.verdict()
	switch {
	case !interrupted:
		return err
	case err == nil:
		return &exitError{exitInterrupted, errInterrupted}
	}
	return &exitError{exitInterrupted, fmt.Errorf("interrupted before the end: %w", err)}
}

func were(lines int64) string {
	if lines == 1 {
		return "1 line was"
	}
	return fmt.Sprintf("%d lines were", lines)
}

func (r *report) print(w io.Writer) {
	rate := 0.0
	if r.Seconds > 0 {
		rate = float64(r.Lines) / r.Seconds
	}
	waiting := ""
	if r.Waiting > 0 {
		waiting = fmt.Sprintf(", %d without a result", r.Waiting)
	}
	fmt.Fprintf(w, "%s: %d acked, %d failed%s; %s skipped; %.3f s, %.0f lines/s\n",
		plural(r.Lines, "line"), r.Acked, r.Failed, waiting, plural(r.Skipped, "empty line"), r.Seconds, rate)
	printFailures(w, "line", r.Failures)
	if r.Stored > 0 {
		fmt.Fprintf(w, "  %s not acked, and kept by --spool-dir; to deliver them: the next run, or inlong-dataproxy spool drain DIR\n", were(r.Stored))
	}
	if r.Kept > 0 {
		fmt.Fprintf(w, "  %s kept in the file of --failed; to send them again: inlong-dataproxy send --format failed FILE\n", were(r.Kept))
	}
	if r.MaybeTwice > 0 {
		fmt.Fprintf(w, "  %s may arrive twice: sent again by this run or the next, though a node may have it\n", plural(r.MaybeTwice, "line"))
	}
	if r.GivenUp > 0 {
		fmt.Fprintf(w, "  %s given up that the spool had kept: the log says why\n", were(r.GivenUp))
	}
	if r.LostBatches > 0 {
		fmt.Fprintf(w, "  %s of the spool lost: the disk did not give them back\n", batches(int(r.LostBatches)))
	}
	for _, loss := range r.Losses {
		fmt.Fprintf(w, "  lost: at least %d bytes of %s, which were not read before %s\n", loss.Bytes, loss.File, loss.Why)
	}
}

// clock measures the time that passes and the CPU that this process uses.
type clock struct {
	wall time.Time
	cpu  time.Duration
}

func startClock() clock { return clock{time.Now(), cputime.Total()} }

func (c clock) passed() (wall, cpu time.Duration) { return time.Since(c.wall), cputime.Total() - c.cpu }
