package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

const (
	// workers is how many processes share the folder of a round.
	workers = 2
	// longestLife is when a process is killed at the latest; one that has not come to its failpoint, after twice as long.
	longestLife = 1000 * time.Millisecond
	// rewriteTime is how long acks may wait while a segment is written anew after a failed fsync.
	rewriteTime = time.Second
	// drainTime bounds the delivery of what is left.
	drainTime = time.Minute
	planKey   = "INLONG_CRASH_PLAN"
)

// round is some lives on one folder, until all of it is delivered.
type round struct {
	dir  string
	mode mode
	// clusters are the workers' own, so that it is known when nothing of a process is left to be read.
	clusters []*dataproxytest.Cluster
	judge    *judge
	report   *Report
	stall    *stall
	refuse   atomic.Bool // nodes answer "not now"
	fault    error       // of the machinery
	mu       sync.Mutex
}

// run has processes killed until ctx ends.
func (r *round) run(ctx context.Context, random *rand.Rand) (broken string, err error) {
	var running sync.WaitGroup
	for worker, c := range r.clusters {
		for _, n := range c.Nodes() {
			n.Handle(func(f dataproxytest.Record) dataproxytest.Fault { return r.frame(worker, f) })
		}
		seed := random.Uint64()
		running.Go(func() {
			own := rand.New(rand.NewPCG(seed, 1))
			for ctx.Err() == nil {
				if err := r.live(r.plan(c, own), c, own); err != nil {
					r.fail(err)
					return
				}
			}
		})
	}
	outages := rand.New(rand.NewPCG(random.Uint64(), 2))
	for ctx.Err() == nil {
		pause(ctx, time.Duration(outages.IntN(2000))*time.Millisecond)
		r.outage(true)
		pause(ctx, time.Duration(outages.IntN(1500))*time.Millisecond)
		r.outage(false)
	}
	running.Wait()
	if r.fault == nil {
		r.fail(r.drain(random.Uint64()))
	}
	for _, c := range r.clusters {
		c.Close()
	}
	tally, first := r.judge.end()
	r.report.add(&tally)
	return first, r.fault
}

func (r *round) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault == nil {
		r.fault = err
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (r *round) frame(worker int, f dataproxytest.Record) dataproxytest.Fault {
	if r.refuse.Load() {
		return dataproxytest.ErrorCode(114)
	}
	r.judge.arrived(worker, &f)
	return dataproxytest.Fault{}
}

func (r *round) spool() string { return filepath.Join(r.dir, "spool") }

// outage begins or ends one. Where nodes die, answers go with them.
func (r *round) outage(on bool) {
	if !r.judge.loose {
		r.refuse.Store(on)
		return
	}
	for _, c := range r.clusters {
		for _, n := range c.Nodes() {
			if on {
				n.Kill()
			} else {
				n.Revive()
			}
		}
	}
}

// plan draws how the next life ends.
func (r *round) plan(c *dataproxytest.Cluster, random *rand.Rand) *plan {
	p := &plan{URL: c.URL(), Dir: r.spool(), Mode: r.mode, Life: r.report.nextLife(), Seed: random.Uint64()}
	p.Log = filepath.Join(r.dir, fmt.Sprintf("life-%d.log", p.Life))
	if random.IntN(5) < 2 { // from outside
		return p
	}
	p.Step, p.Nth, p.After = r.report.nextStep(), 1, random.IntN(2) == 0
	if strings.HasPrefix(p.Step, "write") || strings.HasPrefix(p.Step, "sync") {
		p.Nth += int64(random.IntN(20))
	} else {
		p.Nth += int64(random.IntN(3))
	}
	switch {
	case strings.HasSuffix(p.Step, "copy"): // a segment is written anew after a failed fsync
		p.Fails, p.Nth = "sync segment", 1
	case strings.HasPrefix(p.Step, "cut"): // after a failed write
		p.Fails, p.Nth = "write"+strings.TrimPrefix(p.Step, "cut"), 1
	}
	return p
}

// live starts a process, hears it out, and kills it unless it ends by its failpoint.
func (r *round) live(p *plan, c *dataproxytest.Cluster, random *rand.Rand) error {
	after := 2 * longestLife
	if p.Step == "" {
		after = time.Duration(random.Int64N(int64(longestLife)))
	}
	var ticks []note
	r.judge.begins(p)
	r.stall.reset()
	outside, err := start(p, after, func(n note) {
		switch n.kind {
		case alive:
			ticks = append(ticks, n)
		case opened:
		default:
			r.judge.hear(p.Life, n)
		}
	})
	end := time.Now()
	if err != nil {
		return fmt.Errorf("life %d: %w", p.Life, err)
	}
	from := end.Add(-window)
	if p.Fails == "sync segment" { // what it has not made durable is written anew, and acks wait for that
		from = from.Add(-rewriteTime)
	}
	if len(ticks) > 0 { // on a busy machine it may not have run for much of the last 100 ms, or have waited for the disk
		from = earlier(from, time.Unix(0, ticks[max(0, len(ticks)-int(window/tick)-2)].at)).Add(-waited(ticks))
	}
	for connected(c) {
		time.Sleep(time.Millisecond)
	}
	late := r.stall.worst()
	how := "killed from outside"
	if !outside {
		how = "killed at " + p.Step
	}
	r.judge.killed(kill{from.Add(-late), time.Now().Add(late), fmt.Sprintf("life %d (%s, seed %d)", p.Life, how, p.Seed)})
	r.report.ended(p, outside)
	return nil
}

// connected reports whether a node has anything left to read of a process that has ended.
func connected(c *dataproxytest.Cluster) bool {
	return slices.ContainsFunc(c.Nodes(), func(n *dataproxytest.Node) bool {
		live, _ := n.Connections()
		return live > 0
	})
}

// waited is for how long acks were on their way and waited for the disk in the last second, at worst.
func waited(ticks []note) time.Duration {
	most := uint32(0)
	for _, n := range ticks[max(0, len(ticks)-int(time.Second/tick)):] {
		most = max(most, n.number)
	}
	return time.Duration(most) * time.Millisecond
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// start runs one process to its end. killed reports whether it had to be killed from outside.
func start(p *plan, after time.Duration, hear func(note)) (killed bool, err error) {
	text, err := json.Marshal(p)
	if err != nil {
		return false, err
	}
	exe, err := os.Executable()
	if err != nil {
		return false, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), planKey+"="+string(text))
	var said strings.Builder
	cmd.Stderr = &said
	in, err := cmd.StdinPipe() // its end is the child's
	if err != nil {
		return false, err
	}
	defer in.Close()
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	var outside atomic.Bool
	timer := time.AfterFunc(after, func() {
		outside.Store(true)
		_ = cmd.Process.Kill()
	})
	defer timer.Stop()
	notes := bufio.NewReaderSize(pipe, 1<<16)
	for b := make([]byte, noteBytes); ; {
		if _, err := io.ReadFull(notes, b); err != nil {
			break
		}
		hear(parseNote(b))
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() >= 0 && said.Len() > 0 {
		return false, fmt.Errorf("it ended by itself (%v): %s", err, said.String())
	}
	return outside.Load(), nil
}

// drain has what is left delivered.
func (r *round) drain(seed uint64) error {
	r.outage(false)
	p := &plan{URL: r.clusters[0].URL(), Dir: r.spool(), Mode: r.mode, Seed: seed, Drain: true, Log: filepath.Join(r.dir, "drain.log")}
	done := false
	_, err := start(p, drainTime, func(n note) { done = done || n.kind == drained })
	if done {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("it was killed")
	}
	return fmt.Errorf("what was left was not delivered within %v: %w", drainTime, err)
}

// stall measures by how much a timer of this process is late: nodes and judge are in it.
type stall struct{ most atomic.Int64 }

func (s *stall) run(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		time.Sleep(tick)
		late := int64(time.Since(began) - tick)
		for most := s.most.Load(); late > most && !s.most.CompareAndSwap(most, late); most = s.most.Load() {
		}
	}
}

func (s *stall) reset()               { s.most.Store(0) }
func (s *stall) worst() time.Duration { return time.Duration(s.most.Load()) }
