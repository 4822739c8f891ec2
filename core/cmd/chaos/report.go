package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Limits of what is measured. On a busy machine a result that is late is excused by a few of its stalls: it passes that many
// goroutines, each of which may have to wait for a processor. A fail-over has no excuse: its limit is wide.
const (
	maxFailover = time.Second
	maxLate     = 300 * time.Millisecond
	maxStalls   = 4
	maxGrowth   = 32 << 20 // bytes of heap
)

// Tally is what the judge counted, in messages.
type Tally struct {
	Sent         int64            `json:"sent"` // given to a send call
	Results      int64            `json:"results"`
	Acked        int64            `json:"acked"`
	Failed       int64            `json:"failed"`
	FailedByCode map[string]int64 `json:"failed_by_code"`
	Received     int64            `json:"received"`   // that a node took, each counted once
	Duplicates   int64            `json:"duplicates"` // more arrivals of those
	Stragglers   int64            `json:"stragglers"` // received after they were reported as failed
	Taken        int64            `json:"-"`          // arrivals in all

	Lost           int64  `json:"lost"`            // acked and not received
	Missing        int64  `json:"missing"`         // without a result
	Doubled        int64  `json:"doubled"`         // results beyond the first
	FalseSuccesses int64  `json:"false_successes"` // acked though no node answered with success
	OrderBreaks    int64  `json:"order_breaks"`
	Early          int64  `json:"early"`    // failed with time left, though nothing was wrong with them
	EarlyOf        string `json:"early_of"` // one of them: a stream and its error
	Altered        int64  `json:"altered"`  // arrived in another form or stream than sent
	Changed        int64  `json:"changed"`  // frames that came under the id of another one

	Failovers       int64         `json:"failovers"` // batches that were un-acked on a connection that died, and measured
	WorstFailover   time.Duration `json:"worst_failover_ns"`
	WorstFailoverOf string        `json:"worst_failover_of"`
	WorstLate       time.Duration `json:"worst_late_ns"` // result or return of a call after its deadline
	WorstLateOf     string        `json:"worst_late_of"` // a stream and the result's code, or a call
}

// Footprint is what the process holds, clients and cluster together.
type Footprint struct {
	Heap       uint64 `json:"heap"` // bytes, after a collection
	RSS        uint64 `json:"rss"`  // bytes; 0 where unknown
	Goroutines int    `json:"goroutines"`
}

// Report is the outcome of a run.
type Report struct {
	Seed     uint64        `json:"seed"`
	Duration time.Duration `json:"duration_ns"`
	Tally
	Accepted int64     `json:"accepted"` // by the clients' own count
	Refused  int64     `json:"refused"`  // by the clients' own count
	Retries  int64     `json:"retries"`
	Uncalled int64     `json:"uncalled"` // results that a close gave in its own report only, in its hurry
	Start    Footprint `json:"start"`    // all connected, nothing sent
	End      Footprint `json:"end"`      // all delivered, still connected
	Before   Footprint `json:"before"`
	After    Footprint `json:"after"` // all closed
	// WorstStall is by how much a timer of this program was late at worst: so much of lateness is the machine's.
	WorstStall time.Duration `json:"worst_stall_ns"`
	Broken     []string      `json:"broken"`
}

func footprint() Footprint {
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	f := Footprint{Heap: stats.HeapAlloc, Goroutines: runtime.NumGoroutine()}
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(statm)); len(fields) > 1 {
			pages, _ := strconv.ParseUint(fields[1], 10, 64)
			f.RSS = pages * uint64(os.Getpagesize())
		}
	}
	return f
}

// judge adds every promise that was broken.
func (r *Report) judge() {
	for _, zero := range []struct {
		n    int64
		what string
	}{
		{r.Lost, "messages were acked and not received"},
		{max(0, r.Missing-r.Uncalled), "messages got no result"},
		{r.Doubled, "results came for messages that had theirs"},
		{r.FalseSuccesses, "messages were acked though no node answered with success"},
		{r.OrderBreaks, "messages of ordered streams were overtaken"},
		{r.Early, "messages failed that had time left and nothing wrong with them, such as " + r.EarlyOf},
		{r.Altered, "messages arrived in another form or stream than sent"},
		{r.Changed, "frames came under the id of another one"},
	} {
		if zero.n != 0 {
			r.breach("%d %s", zero.n, zero.what)
		}
	}
	if r.Accepted+r.Refused != r.Sent {
		r.breach("%d messages were sent, the clients counted %d accepted and %d refused", r.Sent, r.Accepted, r.Refused)
	}
	excuse := maxStalls * r.WorstStall
	if r.WorstFailover >= maxFailover {
		r.breach("a batch of %s, was on another connection after %v, not in under %v (worst stall %v)", r.WorstFailoverOf, r.WorstFailover, maxFailover, r.WorstStall)
	}
	if r.WorstLate > maxLate+excuse {
		r.breach("%v came %v after its deadline, more than %v (worst stall %v)", r.WorstLateOf, r.WorstLate, maxLate, r.WorstStall)
	}
	if r.End.Heap > r.Start.Heap+maxGrowth {
		r.breach("the heap grew by %.1f MiB, more than %d MiB", mib(r.End.Heap-r.Start.Heap), maxGrowth>>20)
	}
	if r.After.Goroutines > r.Before.Goroutines {
		r.breach("%d goroutines are left after close", r.After.Goroutines-r.Before.Goroutines)
	}
	if r.Acked == 0 {
		r.breach("nothing was acked: the run shows nothing")
	}
}

func (r *Report) breach(format string, args ...any) {
	r.Broken = append(r.Broken, fmt.Sprintf(format, args...))
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }

func (r *Report) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(value any, what string) { fmt.Fprintf(w, "%v\t  %s\n", value, what) }
	line(r.Seed, "seed")
	line(r.Duration.Round(time.Second), "run")
	line(r.Sent, "messages sent")
	line(r.Accepted, "accepted")
	line(r.Refused, "refused at once")
	line(r.Results, "results")
	line(r.Acked, "acked")
	line(r.Failed, "failed, of these")
	var codes []string
	for code := range r.FailedByCode {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range codes {
		line(r.FailedByCode[code], "  "+code)
	}
	line(r.Retries, "batches written again")
	line(r.Received, "received")
	line(r.Duplicates, "received again")
	line(r.Stragglers, "received after they were reported as failed")
	line(r.Lost, "lost: acked and not received")
	line(r.Missing, fmt.Sprintf("without a result; the closes owned up to %d", r.Uncalled))
	line(r.Doubled, "results too many")
	line(r.FalseSuccesses, "acked though no node answered with success")
	line(r.OrderBreaks, "overtaken in an ordered stream")
	line(r.Early, "failed with time left "+r.EarlyOf)
	line(r.Altered, "altered or in a wrong stream")
	line(r.Changed, "frames under the id of another one")
	line(r.WorstFailover.Round(time.Millisecond), fmt.Sprintf("worst fail-over of %d batches: %s", r.Failovers, r.WorstFailoverOf))
	line(r.WorstLate.Round(time.Millisecond), "worst result or return after a deadline: "+r.WorstLateOf)
	line(r.WorstStall.Round(time.Millisecond), fmt.Sprintf("worst stall of this program; %d of them excuse a late result", maxStalls))
	for _, f := range []struct {
		at string
		Footprint
	}{{"before anything", r.Before}, {"at start", r.Start}, {"at end", r.End}, {"after close", r.After}} {
		line(fmt.Sprintf("%.1f MiB", mib(f.Heap)), fmt.Sprintf("heap %s, resident %.1f MiB, %d goroutines", f.at, mib(f.RSS), f.Goroutines))
	}
	for _, b := range r.Broken {
		line("BROKEN", b)
	}
	return w.Flush()
}
