package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// report is all that came out.
type report struct {
	Go      string    `json:"go"`
	CPUs    int       `json:"cpus"`
	Rounds  int       `json:"rounds"`
	Seconds float64   `json:"seconds"`
	Count   int64     `json:"count,omitempty"`
	Sizes   []int     `json:"sizes"`
	Rows    []row     `json:"rows"`
	Limits  []verdict `json:"limits"`
}

// step is one run in a round.
type step struct {
	program *program
	size    int
}

// schedule is the order of one round: what is compared with the bare loop runs directly after it.
func (s *settings) schedule() (steps []step) {
	for i, size := range s.sizes {
		for _, p := range s.programs {
			switch {
			case p.key == keyIdle || (p.latency || p.first) && i > 0:
				continue
			case p.key == keyBare && s.compares():
				continue // it comes before the others
			case s.has(p.pair):
				if pair := (step{s.find(p.pair), size}); len(steps) == 0 || steps[len(steps)-1] != pair {
					steps = append(steps, pair)
				}
			case !p.alone && s.has(keyBare):
				steps = append(steps, step{s.find(keyBare), size})
			}
			steps = append(steps, step{p, size})
		}
	}
	return steps
}

func (s *settings) find(key string) *program {
	for _, p := range s.programs {
		if p.key == key {
			return p
		}
	}
	return nil
}

func (s *settings) has(key string) bool { return s.find(key) != nil }

// compares reports whether some program brings a run of the bare loop with it.
func (s *settings) compares() bool {
	return slices.ContainsFunc(s.programs, func(p *program) bool { return !p.alone })
}

// session is one run of the benchmark.
type session struct {
	*settings
	self    string // this program's file
	server  *server
	corpora map[int]string // files by size
	all     []*figures
	show    *progress
}

// measure runs all rounds.
func (s *settings) measure(ctx context.Context) (report, error) {
	self, err := os.Executable()
	if err != nil {
		return report{}, err
	}
	b := &session{settings: s, self: self, corpora: make(map[int]string)}
	for _, size := range s.sizes {
		if b.corpora[size], err = writeCorpus(filepath.Join(s.root, "build/bench"), size); err != nil {
			return report{}, err
		}
	}
	if b.server, err = startServer(self); err != nil {
		return report{}, err
	}
	defer b.server.close()

	steps, long := s.schedule(), s.longRuns()
	b.show = startProgress(len(steps)*s.rounds + len(long))
	defer b.show.stop()
	for range s.rounds {
		before, size := last{}, 0
		for _, st := range steps {
			if st.size != size {
				before, size = last{}, st.size
			}
			b.run(ctx, st, false, func(f *figures, one sample) { f.add(one, before) })
		}
	}
	for _, st := range long {
		b.run(ctx, st, true, func(f *figures, one sample) { f.long = append(f.long, one) })
	}
	b.show.stop()
	if err := errors.Join(ctx.Err(), b.profile(ctx)); err != nil {
		return report{}, err
	}
	r := report{Go: runtime.Version(), CPUs: runtime.NumCPU(), Rounds: s.rounds, Seconds: s.seconds, Count: s.count, Sizes: s.sizes}
	for _, f := range b.all {
		r.Rows = append(r.Rows, f.row())
	}
	r.Limits = judge(r.Rows)
	return r, nil
}

// longRuns come after the rounds: they look at memory, which is not as moody as time but takes some to settle.
func (s *settings) longRuns() (steps []step) {
	for i, size := range s.sizes {
		for _, p := range s.programs {
			if p.job.Kind == kindAsync && (i == 0 || !p.first) || p.job.Kind == kindIdle && i == 0 {
				steps = append(steps, step{p, size})
			}
			if p.key == keyGo && size == limitSize { // a limit depends on it
				steps = append(steps, step{p, size}, step{p, size})
			}
		}
	}
	return steps
}

// run does one run and hands its sample on. A program that failed once is not run again.
func (b *session) run(ctx context.Context, st step, long bool, take func(*figures, sample)) {
	f := b.figures(st)
	j := b.job(st.program.job, st.size, b.seconds)
	if long {
		j.Seconds *= 2
		if j.Kind == kindAsync {
			j.Kind = kindSteady
		}
	}
	b.show.next(st)
	if f.fault != nil || ctx.Err() != nil {
		return
	}
	one, err := st.program.run(ctx, b.self, b.root, j)
	if err != nil {
		f.fault = err
		return
	}
	take(f, one)
}

func (b *session) job(j job, size int, seconds float64) job {
	options := maps.Clone(b.options)
	maps.Copy(options, j.Options)
	j.Server, j.Corpus, j.Size, j.Options = b.server.address, b.corpora[size], size, options
	j.Count, j.Seconds, j.WarmUp = b.count, seconds, min(0.3, seconds/3)
	return j
}

func (b *session) figures(st step) *figures {
	for _, f := range b.all {
		if f.program == st.program && f.size == st.size {
			return f
		}
	}
	f := &figures{program: st.program, size: st.size}
	b.all = append(b.all, f)
	return f
}

// profile runs Go async once more under the profilers, if there are any.
func (b *session) profile(ctx context.Context) error {
	if b.profiles == (profiles{}) {
		return nil
	}
	j := b.job(job{Kind: kindAsync, Streams: b.profileStreams, Profiles: b.profiles}, b.sizes[0], 4*b.seconds)
	if _, err := new(program).run(ctx, b.self, b.root, j); err != nil {
		return err
	}
	for _, file := range []string{b.profiles.CPU, b.profiles.Allocs} {
		if file != "" {
			fmt.Fprintf(os.Stderr, "bench: wrote a profile of Go async, %d B; see it with: go tool pprof -top %s %s\n", j.Size, b.self, file)
		}
	}
	return nil
}

// fault joins what kept programs from being measured, and with strict the limits that are missed.
func (r report) fault(strict bool) error {
	var faults []error
	for _, row := range r.Rows {
		if row.Fault != "" && row.Fault != errNotBuilt.Error() {
			faults = append(faults, fmt.Errorf("%s, %d B, failed: %s", row.Label, row.Size, firstLine(row.Fault)))
		}
	}
	for _, v := range r.Limits {
		if strict && !v.Ok {
			faults = append(faults, fmt.Errorf("limit missed: %s", v.What))
		}
	}
	return errors.Join(faults...)
}
