// Command chaos runs clients of every kind against the fake cluster while nodes die, answers are lost, doubled or garbled and
// the Manager fails, all at random, and judges what came of each message. `make chaos` builds and runs it. It exits with
// status 1 when a promise was broken, and says which.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

var errBroken = errors.New("a promise was broken")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal ends the run early, with its report; from then on a second one kills the program.
	context.AfterFunc(ctx, stop)
	switch err := start(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(progress)
	duration := flags.Duration("duration", 10*time.Minute, "how long to send")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "of the random choices; when they take effect differs from run to run")
	asJSON := flags.Bool("json", false, "print the report as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *duration <= 0 {
		return fmt.Errorf("--duration %v and %q: want more than 0 and nothing else", *duration, flags.Args())
	}
	fmt.Fprintln(progress, "seed", *seed)
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	report, err := run(ctx, *seed, progress)
	if err != nil {
		return err
	}
	if *asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.print(out)
	}
	if err == nil && len(report.Broken) > 0 {
		err = errBroken
	}
	return err
}

// run makes chaos until ctx ends and returns what came of it.
func run(ctx context.Context, seed uint64, progress io.Writer) (*Report, error) {
	r := &Report{Seed: seed, Before: footprint(), Broken: []string{}}
	began := time.Now()
	cluster, err := dataproxytest.NewCluster(dataproxytest.WithNodes(4), dataproxytest.WithoutRecorder())
	if err != nil {
		return nil, err
	}
	defer cluster.Close()
	j := newJudge()
	w := newWrecker(cluster, j, seed)
	for _, how := range uses {
		u, err := newUser(cluster, j, how)
		if err != nil {
			return nil, fmt.Errorf("client %s: %w", how.name, err)
		}
		w.users = append(w.users, u)
	}
	r.Start = footprint()

	var running, judging sync.WaitGroup
	judging.Go(j.listen)
	running.Go(func() { w.run(ctx) })
	for i, u := range w.users {
		running.Go(func() { u.run(ctx, seed, uint64(i+1)) })
	}
	running.Go(func() { j.watchOver(ctx, progress) })
	open, ended := context.WithCancel(context.Background())
	defer ended()
	var watching sync.WaitGroup
	watching.Go(func() { r.WorstStall = worstStall(open) })
	watching.Go(func() {
		<-ctx.Done()
		if pause(open, patience) {
			giveUp()
		}
	})
	running.Wait()

	for _, u := range w.users {
		u.flush()
	}
	j.catchUp()
	j.forget(time.Now().Add(memory))
	r.End = footprint()
	for _, u := range w.users {
		u.close(sendTimeout, func() error { return nil })
		r.Accepted += u.accepted
		r.Refused += u.refused
		r.Retries += u.retries
		r.Uncalled += u.uncalled
		r.Broken = append(r.Broken, u.breaches...)
	}
	ended()
	watching.Wait()
	close(j.reported)
	judging.Wait()
	r.Tally = j.end()
	// What the judge saw must be what the nodes took, or had in hand when they died: else it judges something that did not happen.
	taken := int64(cluster.Count())
	for _, n := range cluster.Nodes() {
		taken += int64(n.Forgotten())
	}
	if unseen := r.Taken - taken; unseen < 0 || unseen > w.cuts*maxBatch {
		r.breach("the nodes took %d messages, the judge saw %d", taken, r.Taken)
	}
	cluster.Close()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > r.Before.Goroutines && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if r.After = footprint(); r.After.Goroutines > r.Before.Goroutines {
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
	}
	r.Duration = time.Since(began)
	r.judge()
	return r, nil
}

// patience is how long the end of a run may take. A client that hangs would otherwise hang this program.
const patience = time.Minute

func giveUp() {
	_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
	fmt.Fprintf(os.Stderr, "chaos: a call of a client has not returned %v after the end\n", patience)
	os.Exit(1)
}

// worstStall returns by how much a timer was late at worst.
func worstStall(ctx context.Context) (worst time.Duration) {
	const tick = 5 * time.Millisecond
	for start := time.Now(); pause(ctx, tick); start = time.Now() {
		worst = max(worst, time.Since(start)-tick)
	}
	return worst
}

// maxBatch is the most messages of a frame: the client's default.
const maxBatch = 50

// watchOver lets the judge forget, and reports how things stand.
func (j *judge) watchOver(ctx context.Context, progress io.Writer) {
	began := time.Now()
	for second := 1; pause(ctx, time.Second); second++ {
		j.forget(time.Now())
		if second%10 != 0 {
			continue
		}
		t := j.snapshot()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		fmt.Fprintf(progress, "%v: %d sent, %d acked, %d failed, %d received, %d again, %d lost, %d doubled, %d overtaken; "+
			"worst fail-over %v, worst lateness %v; heap %.1f MiB\n", time.Since(began).Round(time.Second), t.Sent, t.Acked, t.Failed,
			t.Received, t.Duplicates, t.Lost, t.Doubled, t.OrderBreaks, t.WorstFailover.Round(time.Millisecond),
			t.WorstLate.Round(time.Millisecond), mib(stats.HeapAlloc))
	}
}
