package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// Report is the outcome of a run.
type Report struct {
	mu      sync.Mutex
	began   time.Time
	life    uint32
	step    int
	order   []int
	outside int64            // processes killed from outside
	at      map[string]int64 // by step
	tally   Tally
	Broken  []string
}

func newReport(random *rand.Rand) *Report {
	return &Report{began: time.Now(), at: map[string]int64{}, order: random.Perm(len(steps))}
}

func (r *Report) nextLife() uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life++
	return r.life
}

// nextStep takes all in turn.
func (r *Report) nextStep() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step++
	return steps[r.order[r.step%len(steps)]]
}

func (r *Report) ended(p *plan, outside bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if outside {
		r.outside++
	} else {
		r.at[p.Step]++
	}
}

func (r *Report) add(t *Tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.add(t)
}

func (r *Report) breach(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Broken = append(r.Broken, fmt.Sprintf(format, args...))
}

func (r *Report) kills() (n int64) {
	n = r.outside
	for _, of := range r.at {
		n += of
	}
	return n
}

func (r *Report) progress(w io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.tally
	fmt.Fprintf(w, "%v: %d kills, %d of them at a step; %d messages sent, %d acked, %d stored, %d received, %d doubled, %d lost, %d altered, %d foreign\n",
		time.Since(r.began).Round(time.Second), r.kills(), r.kills()-r.outside, t.Sent, t.Acked, t.Stored, t.Received, t.Doubled, t.Lost, t.Altered, t.Foreign)
}

// enough is how many kills show something of each step.
const enough = 500

// judge adds every promise that was broken.
func (r *Report) judge() {
	t := &r.tally
	for _, zero := range []struct {
		n    int64
		what string
	}{
		{t.Lost, "messages were acked or stored and did not arrive"},
		{t.Altered, "messages arrived in another form than sent"},
		{t.Foreign, "messages arrived that nobody sent"},
		{t.Unbacked, "messages were acked and had not arrived"},
		{t.Renamed, "messages came again under another id"},
		{t.Overtook, "messages arrived after later ones of their stream"},
		{t.Stale, "messages came again that had arrived before the last moments of a process"},
	} {
		if zero.n != 0 {
			r.breach("%d %s", zero.n, zero.what)
		}
	}
	if t.Stored == 0 || t.Acked == 0 || r.kills() == 0 {
		r.breach("%d kills, %d messages acked, %d stored: such a run shows nothing", r.kills(), t.Acked, t.Stored)
	}
	if r.kills() < enough {
		return
	}
	for _, step := range steps {
		if r.at[step] == 0 {
			r.breach("no process was killed at %q: nothing is shown of it", step)
		}
	}
}

func (r *Report) print(w io.Writer) error {
	t := &r.tally
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(what string, n int64, note string) { fmt.Fprintf(out, "%s\t%d\t%s\n", what, n, note) }
	row("sent", t.Sent, "at most")
	row("acked", t.Acked, "")
	row("stored", t.Stored, "")
	row("refused", t.Refused, "the queue or the spool was full")
	row("received", t.Received, "")
	row("doubled", t.Doubled, fmt.Sprintf("arrived at most %v before a kill, and again", window))
	row("doubled in an outage", t.Outage, "in rounds in which nodes died, and answers with them")
	row("lost", t.Lost, "")
	row("altered", t.Altered, "")
	row("foreign", t.Foreign, "")
	row("killed from outside", r.outside, "")
	names := slices.Clone(steps)
	slices.Sort(names)
	for _, step := range names {
		row("killed at "+step, r.at[step], "")
	}
	for _, b := range r.Broken {
		fmt.Fprintf(out, "BROKEN: %s\n", b)
	}
	return out.Flush()
}
