// Command bench measures what a message costs in each language, beside a bare loop that does nothing but what must be done:
// frame, compress, write, read the answers. `make bench` builds and runs it.
//
// The fake cluster, and every client that is measured, is a process of its own; runs of what is compared take turns.
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
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/cmd/internal/loglines"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// From then on a second signal kills the program.
	context.AfterFunc(ctx, stop)
	err := start(ctx, os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case ctx.Err() != nil:
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string, out io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == serverCommand:
		return serve()
	case len(args) == 2 && args[0] == clientCommand:
		return runJob(args[1])
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	r, err := s.measure(ctx)
	if err != nil {
		return err
	}
	if s.json {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else {
		err = printTables(out, r)
	}
	return errors.Join(err, r.fault(s.check))
}

// settings are the command line.
type settings struct {
	root           string
	rounds         int
	seconds        float64
	count          int64
	sizes          []int
	programs       []*program
	options        map[string]string
	profiles       profiles
	profileStreams int
	json, check    bool
}

func parse(args []string) (*settings, error) {
	s := &settings{options: make(map[string]string)}
	var keys []string
	for _, p := range programs {
		keys = append(keys, p.key)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&s.root, "root", ".", "the project's folder, where build/ is")
	flags.IntVar(&s.rounds, "rounds", 5, "how often each program runs")
	flags.Float64Var(&s.seconds, "seconds", 1, "how long each run sends")
	flags.Int64Var(&s.count, "count", 0, "send so many messages a run, whatever time it takes")
	quick := flags.Bool("quick", false, "one round of 0.2 seconds: a look, not a measurement")
	sizes := flags.String("sizes", "100,1024", "sizes of messages in bytes")
	only := flags.String("only", strings.Join(keys, ","), "which programs to run")
	spool := flags.Bool("spool", false, "measure what spool_dir costs, beside Go async, and nothing else")
	flags.BoolVar(&s.json, "json", false, "print JSON")
	flags.BoolVar(&s.check, "check", false, "exit with status 1 if a limit is missed")
	flags.StringVar(&s.profiles.CPU, "cpuprofile", "", "run Go async once more and write its CPU profile to this file")
	flags.StringVar(&s.profiles.Allocs, "allocprofile", "", "run Go async once more and write its allocations to this file")
	flags.IntVar(&s.profileStreams, "profile-streams", 1, "streams of the run that is profiled")
	flags.Func("option", "key=value: an option of the Go clients, beside the defaults; may be repeated", func(text string) error {
		key, value, _ := strings.Cut(text, "=")
		s.options[key] = value
		return dataproxy.ParseOption(key, value)
	})
	flags.SetOutput(io.Discard) // a fault is reported by anyone who called
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(os.Stderr)
			flags.PrintDefaults()
		}
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	if *quick {
		s.rounds, s.seconds = 1, 0.2
	}
	if s.rounds < 1 || s.seconds <= 0 || s.count < 0 {
		return nil, fmt.Errorf("--rounds %d --seconds %g --count %d: want 1, more than 0, and 0 or more", s.rounds, s.seconds, s.count)
	}
	for _, text := range strings.Split(*sizes, ",") {
		size, err := strconv.Atoi(text)
		if err != nil || size < loglines.Shortest || size > frameBytes/2 {
			return nil, fmt.Errorf("--sizes: %q is no number from %d to %d", text, loglines.Shortest, frameBytes/2)
		}
		s.sizes = append(s.sizes, size)
	}
	if *spool {
		*only = keyGo
	}
	chosen := strings.Split(*only, ",")
	for _, key := range chosen {
		if !slices.Contains(keys, key) {
			return nil, fmt.Errorf("--only: %q is none of %s", key, strings.Join(keys, ", "))
		}
	}
	for i := range programs {
		if slices.Contains(chosen, programs[i].key) {
			s.programs = append(s.programs, &programs[i])
		}
	}
	for i := range spoolPrograms {
		if *spool {
			s.programs = append(s.programs, &spoolPrograms[i])
		}
	}
	root, err := filepath.Abs(s.root)
	s.root = root
	return s, err
}
