package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

const (
	plotTerminal = "terminal"
	maxCallers   = 10_000
	maxStreams   = 100_000
)

type benchFlags struct {
	config
	size, streams, callers     int
	rate                       float64
	duration, outage           time.Duration
	count                      int64
	sync, mock, json, progress bool
	plot, from                 string
}

func benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure throughput and latency, against a cluster or a mock",
		Long: `Send made-up log lines as fast as possible, or at a given rate, and tell throughput, latency and failures. The messages arrive
like any other: use a group and a stream that are there for it. With --mock nothing else is needed: a fake cluster is started on
this machine, in a process of its own, and stopped afterwards; it acks at once and keeps nothing.

The latency of a message is the time from its send call to its result, and only that of acked messages is counted. Without
--rate and --sync the queue of the client is always full, and a message's latency is mostly its wait there: give a --rate to see
what a message takes. At a rate the time counts from when the message was due, so that a stall is seen in all that it delayed.
Where the queue is full a caller waits (--option block_if_queue_is_full=false: the message fails). The CPU time is that of this
process, in which making messages and taking times has its part, but not that of the mock.

With spool_dir what is stored through an outage counts as stored, and is waited for until it was delivered, as long as that makes progress.

A first SIGINT stops sending; what was sent is waited for and told.

Exit status:
  0    every message was acked
  1    a message was not
  2    the command line or the configuration is wrong; nothing was sent
  3    the Manager or the nodes cannot be reached, or refuse; nothing was sent ("inlong-dataproxy doctor" says why)
  4    the plot cannot be written
  130  interrupted before the end

` + configHelp + ` Of the flags of bench only stream and json are keys.`,
		Example: `  inlong-dataproxy bench --mock
  inlong-dataproxy bench --mock --rate 20000 --callers 4 --streams 10 --size 100 --plot terminal
  inlong-dataproxy bench --config client.yaml --stream load_test --sync --callers 8 --duration 1m --plot load.png
  inlong-dataproxy bench --config client.yaml --stream load_test --count 1000000 --json > load.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.from != "" {
				return plotTold(cmd, &f)
			}
			return bench(cmd, &f)
		},
	}
	flags := cmd.Flags()
	f.addFlags(flags)
	flags.IntVar(&f.size, "size", 1024, "`BYTES` of a message")
	flags.Float64Var(&f.rate, "rate", 0, "`N` messages a second of all callers together; 0 for as many as possible")
	flags.IntVar(&f.streams, "streams", 1, "`N` streams; more than one are called STREAM_1, STREAM_2 and so on, and must exist")
	flags.IntVar(&f.callers, "callers", 1, "`N` goroutines that send")
	flags.DurationVar(&f.duration, "duration", 10*time.Second, "`TIME` for which to send; with --count there is no such limit unless it is given too")
	flags.Int64Var(&f.count, "count", 0, "send `N` messages")
	flags.BoolVar(&f.sync, "sync", false, "each caller waits for the ack of one message before it sends the next one")
	flags.BoolVar(&f.mock, "mock", false, "start a fake cluster and send to it; addresses and credentials of the configuration are not used")
	flags.DurationVar(&f.outage, "outage", 0, "with --mock: `TIME` for which no node is there, from a tenth of the duration on")
	flags.StringVar(&f.plot, "plot", "", "plot throughput, latency, memory, the spool and usable connections over time: a `FILE` that ends in .png, or \"terminal\"")
	flags.StringVar(&f.from, "from", "", "send nothing: plot what another program has told each second, in `FILE`, or - for standard input: \""+toldLine+"\"")
	flags.BoolVar(&f.progress, "progress", false, "draw a progress bar also where standard error is no terminal (=false: never)")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON on standard output, each interval included")
	return cmd
}

// configure reads the configuration. Against a mock nothing in it may lead elsewhere.
func (f *benchFlags) configure(cmd *cobra.Command) error {
	if !f.mock {
		return f.load(cmd)
	}
	if err := f.read(cmd, sharedKeys); err != nil {
		return err
	}
	if f.url != "" {
		return usagef(cmd, "--mock: there is a url beside it; give one of them")
	}
	for _, key := range strings.Fields("url static_nodes node_cache basic_auth basic_auth_file ca_file client_cert_file client_key_file " +
		"socks socks_auth node_tls node_tls_name") { // the mock has none of it
		delete(f.settings, key)
	}
	if f.value("group_id") == "" {
		f.settings["group_id"] = setting{"group_id", "bench_group", "--mock"}
	}
	if f.stream == "" {
		f.stream = "bench_stream"
	}
	return nil
}

// check finds what is wrong with the flags. The limits of time are settled then.
func (f *benchFlags) check(cmd *cobra.Command) error {
	if !cmd.Flags().Changed("duration") && f.count > 0 {
		f.duration = math.MaxInt64
	}
	names := f.streamNames()
	var o dataproxy.Options
	for _, option := range f.clientOptions() {
		option(&o)
	}
	if f.mock {
		o.URL = "http://127.0.0.1:1" // not known yet
	}
	if err := o.ValidateAndSetDefault(); err != nil {
		return err
	}
	switch {
	case f.stream == "":
		return errors.New("the stream is missing: give --stream")
	case f.size < 1 || f.size > o.MaxFrameSize:
		return fmt.Errorf("--size %d: must be 1 to %d, the option max_frame_size", f.size, o.MaxFrameSize)
	case f.streams < 1 || f.streams > maxStreams:
		return fmt.Errorf("--streams %d: must be 1 to %d", f.streams, maxStreams)
	case dataproxy.CheckStreamID(names[len(names)-1]) != nil:
		return fmt.Errorf("--stream: %w", dataproxy.CheckStreamID(names[len(names)-1]))
	case f.callers < 1 || f.callers > maxCallers:
		return fmt.Errorf("--callers %d: must be 1 to %d", f.callers, maxCallers)
	case !validRate(f.rate):
		return fmt.Errorf("--rate %v: must be 0 or more", f.rate)
	case f.duration <= 0:
		return fmt.Errorf("--duration %v: must be more than 0", f.duration)
	case f.outage < 0 || f.outage > 0 && (!f.mock || f.outage > f.duration/10*9 || f.duration == math.MaxInt64):
		return fmt.Errorf("--outage %v: must be 0, or with --mock and a --duration up to nine tenths of that", f.outage)
	case f.count < 0:
		return fmt.Errorf("--count %d: must be 0 or more", f.count)
	}
	return f.checkPlot()
}

func (f *benchFlags) checkPlot() error {
	if f.plot != "" && f.plot != plotTerminal && !strings.HasSuffix(f.plot, ".png") {
		return fmt.Errorf("--plot %q: must be a file that ends in .png, or %q", f.plot, plotTerminal)
	}
	return nil
}

func (f *benchFlags) streamNames() []string {
	if f.streams <= 1 {
		return []string{f.stream}
	}
	names := make([]string, min(f.streams, maxStreams))
	for i := range names {
		names[i] = fmt.Sprintf("%s_%d", f.stream, i+1)
	}
	return names
}

func bench(cmd *cobra.Command, f *benchFlags) error {
	if err := f.configure(cmd); err != nil {
		return err
	}
	if err := f.check(cmd); err != nil {
		return usagef(cmd, "%v", err)
	}
	plotTo, err := f.openPlot()
	if err != nil {
		return err
	}
	if plotTo != nil {
		defer plotTo.Close()
	}
	var mock *runningMock
	if f.mock {
		var err error
		if mock, err = startMock(); err != nil {
			return fmt.Errorf("--mock: %w", err)
		}
		defer mock.stop()
		f.settings["url"] = setting{"url", mock.url, "--mock"}
	}
	stdout, screen := cmd.OutOrStdout(), openScreen(cmd, f.progress, false)
	client, err := dataproxy.NewClient(append([]dataproxy.Option{dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithSlog(screen.logger())},
		f.clientOptions()...)...)
	if err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("cannot start: %w\nto find out why: inlong-dataproxy doctor", err)}
	}
	defer client.Close()

	l := newBenchLoad(f, client)
	if mock != nil {
		go mock.outage(cmd.Context(), f, screen)
	}
	report := l.run(cmd.Context(), screen)

	told := io.Writer(stdout)
	if f.json {
		told = screen
		if err := printJSON(stdout, report); err != nil {
			return err
		}
	} else {
		report.print(stdout)
	}
	if err := f.draw(report, told, plotTo); err != nil {
		return &exitError{exitInput, fmt.Errorf("--plot: %w", err)}
	}
	switch {
	case cmd.Context().Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted before the end")}
	case report.Left > 0:
		return fmt.Errorf("%d of %d messages are left in the spool", report.Left, report.Messages)
	case report.Failed > 0:
		return fmt.Errorf("%d of %d messages were not acked", report.Failed, report.Messages)
	}
	return nil
}

// openPlot makes the file before anything is sent: a place that cannot be written is better known now than after the run.
func (f *benchFlags) openPlot() (*os.File, error) {
	if f.plot == "" || f.plot == plotTerminal {
		return nil, nil
	}
	file, err := os.Create(f.plot)
	if err != nil {
		return nil, &exitError{exitInput, fmt.Errorf("--plot: %w", err)}
	}
	return file, nil
}

func (f *benchFlags) draw(r *benchReport, told io.Writer, file *os.File) error {
	switch {
	case f.plot == plotTerminal:
		return r.plotText(told)
	case file != nil:
		return errors.Join(r.plotPNG(file), file.Close())
	}
	return nil
}

// sleep waits for d and reports whether ctx did not end before.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
