// Command crash kills clients with a spool, at random and at each change that the store makes to the disk, starts them again, and
// compares what they were told, acked or stored, with what the nodes of a fake cluster have. `make crash` builds and runs it. It exits
// with status 1 when a promise was broken, and says which.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

var errBroken = errors.New("a promise was broken")

// roundTime is how long clients are killed before what is left is delivered and judged.
const roundTime = 15 * time.Second

func main() {
	if text := os.Getenv(planKey); text != "" {
		child(text)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// child is the process that is killed. It does not return.
func child(text string) {
	var p plan
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		err = live(&p)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1)
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("crash", flag.ContinueOnError)
	flags.SetOutput(progress)
	duration := flags.Duration("duration", 10*time.Minute, "how long to kill")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "of the random choices; when they take effect differs from run to run")
	mode := mode{}
	flags.BoolVar(&mode.Ordered, "ordered", false, "clients keep the order of each stream, which is judged too")
	flags.DurationVar(&mode.After, "after", 0, "spool_after of the clients")
	flags.StringVar(&mode.Result, "result", string(dataproxy.SpoolResultAcked), "spool_result of the clients")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := mode.check(); err != nil {
		return err
	}
	if flags.NArg() > 0 || *duration <= 0 {
		return fmt.Errorf("--duration %v and %q: want more than 0 and nothing else", *duration, flags.Args())
	}
	fmt.Fprintln(progress, "seed", *seed)
	ctx, cancel := context.WithTimeout(ctx, *duration)
	defer cancel()
	report, err := crash(ctx, *seed, mode, progress)
	if err != nil {
		return err
	}
	if err := report.print(out); err != nil {
		return err
	}
	if len(report.Broken) > 0 {
		return errBroken
	}
	return nil
}

// crash goes through rounds until ctx ends.
func crash(ctx context.Context, seed uint64, mode mode, progress io.Writer) (*Report, error) {
	random := rand.New(rand.NewPCG(seed, 1))
	report := newReport(random)
	late := &stall{}
	measuring, done := context.WithCancel(context.Background())
	defer done()
	go late.run(measuring)
	for number := 0; ctx.Err() == nil; number++ {
		dir, err := os.MkdirTemp("", "crash")
		if err != nil {
			return nil, err
		}
		first, err := oneRound(ctx, dir, mode, number%3 == 2, report, late, random)
		if err != nil || first != "" {
			report.breach("round %d: %s; its folder is %s", number, problem(first, err), dir)
			break
		}
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
		report.progress(progress)
	}
	report.judge()
	return report, nil
}

func problem(first string, err error) string {
	if err != nil && first != "" {
		return fmt.Sprintf("%v; %s", err, first)
	}
	if err != nil {
		return err.Error()
	}
	return first
}

func oneRound(ctx context.Context, dir string, mode mode, loose bool, report *Report, late *stall, random *rand.Rand) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	r := &round{dir: dir, mode: mode, judge: newJudge(loose, mode), report: report, stall: late}
	for range workers {
		cluster, err := dataproxytest.NewCluster(dataproxytest.WithNodes(2), dataproxytest.WithoutRecorder())
		if err != nil {
			return "", err
		}
		defer cluster.Close()
		r.clusters = append(r.clusters, cluster)
	}
	return r.run(ctx, random)
}
