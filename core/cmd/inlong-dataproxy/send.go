package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/tail"
)

type sendFlags struct {
	config
	format
	row                           rowFlags
	follow, progress, json, quiet bool
	rate                          float64
	state, failed, spoolDir       string
	rotateWait, resendWindow      time.Duration
}

func sendCommand() *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send [FILE|FOLDER|'PATTERN'...]",
		Short: "Send the lines of files or of standard input",
		Long: `Send each line of the files, or of standard input when no file or "-" is given, as one message. A folder stands for the files
in it, a quoted pattern such as '/var/log/*.log' for those that it matches now and later. The "\n" at the end of a line is not part
of the message, everything else is, except a UTF-8 byte order mark at a file's beginning; empty lines are skipped and counted. What stands
after the last "\n" of a file is a line too; --follow waits for its end. Files packed by gzip, zstd or bzip2 are
unpacked, those of other packers refused.

Formats (--format):
  lines       each line is a message
  json-lines  each line is a message and must be JSON (one of white space is empty); --key-column names the field that holds
              its stream
  csv         each row is a message, as it stands in the file; the first row names the columns and is not sent;
              --key-column names the column that holds the stream
  length      a message is 4 bytes of length (big endian) and as many bytes
  failed      what --failed wrote

With --row each record of csv and json-lines becomes a row of the stream, as every reader of InLong reads it back: CSV columns by their
names in the header, JSON fields by their names or an array by place, null for what is missing. The settings are the stream's own, from
the Manager, or by hand with --row=csv or --row=kv and --row-separator, --row-escape and so on.

With --follow (-F) files are read from their beginning (or the state's place) and then as they grow, through truncation and
rotation, until SIGINT or SIGTERM. What fails is sent again until it is acked, for ever, except what can never be sent; unless they are
given, send_timeout is 24h and lazy_start true. A file that cannot be read is tried again, and holds up no other. Where lines that wait to
be sent again take 64 MiB of memory, a file with one is not read on.

With --state FILE the program notes up to where everything is acked, and a later run continues from there, also after a kill and
when files were rotated meanwhile. A file is known by its number and by what is in it, whatever its name is then. After a kill lines can
be sent twice, but none is lost: without -F the program stops at the first line that is not acked. Lines that can never be sent
(not JSON, too long, no valid stream) are named on standard error and left out. One run at a time can have a state; FILE.lock, which
stays, sees to that.

With --failed FILE what can never be sent is added to that file, each with the reason, and the run continues; "send --format failed FILE"
sends it again. Without --state and -F every line that failed is. Where the file cannot be written, as on a full disk, the run ends at
that line; with -F the line waits, holds the state's place, and is tried again each second. -F that starts while that disk, or the
state's, is full waits for room.

With --spool-dir DIR (or the option spool_dir) lines outlive an outage: one that has no ack when its time is over, or at the end, is kept in
that folder, and counts as sent: the next run, any other client on the folder, or "inlong-dataproxy spool drain" delivers it. A run
also delivers what earlier ones have left. --state passes a line that is kept; it outlives a power cut only with spool_sync=batch. One that
nodes refuse for good later is given up; where that is during a run, the summary says so.

An ack means that a line is in a node's memory: a node that is killed may not have forwarded the lines that it acked last. With
--resend-window TIME those that it acked in that TIME before its connections ended are sent again; what it had forwarded arrives twice.
Acked lines are held for that TIME: the state passes them later, and without -F the run ends later. They take 32 MiB at most; where that
is too little the window is shorter, and a log line says so.

What was lost because a file was truncated before it was read is named with its number of bytes, and is a failure.

Exit status:
  0    every line was acked, or is kept by --spool-dir
  1    a line was not, or was lost, or one that --spool-dir had kept was given up
  2    the command line or the configuration is wrong; nothing was sent
  3    the Manager or the nodes cannot be reached, or refuse; nothing was sent ("inlong-dataproxy doctor" says why)
  4    a file could not be read, or the state or the file of --failed not be written
  130  interrupted before the end of the files; the summary says what was sent of those lines that had been read

` + configHelp,
		Example: `  inlong-dataproxy send --url http://127.0.0.1:8083 --group my_group --stream my_stream app.log
  tail -n 100 app.log | inlong-dataproxy send --url http://127.0.0.1:8083 --group my_group --stream my_stream \
      --option send_timeout=10s --option compression=none
  inlong-dataproxy send --config client.yaml -F --state app.state --failed app.failed '/var/log/app/*.log'
  inlong-dataproxy send --config client.yaml --format json-lines --key-column type --rate 1000 events.json
  inlong-dataproxy send --config client.yaml --stream my_stream --row --format csv orders.csv`,
		RunE: func(cmd *cobra.Command, files []string) error { return send(cmd, &f, files) },
	}
	flags := cmd.Flags()
	f.addFlags(flags)
	flags.StringVar(&f.format.name, "format", "lines", "`FORMAT`: lines, json-lines, csv, length or failed")
	flags.StringVar(&f.format.encoding, "encoding", "utf-8", "`ENCODING` of the files: utf-8 (which is any whose \"\\n\" is one byte), utf-16, utf-16le or utf-16be; messages are UTF-8")
	flags.StringVar(&f.keyColumn, "key-column", "", "`COLUMN` of CSV or field of JSON that names the stream; --stream is for the lines without one")
	flags.BoolVar(&f.noHeader, "no-header", false, "the CSV files have no header; --key-column is a number then, from 1")
	f.row.addFlags(flags)
	flags.BoolVarP(&f.follow, "follow", "F", false, "continue as the files grow, are truncated or rotated")
	flags.Float64Var(&f.rate, "rate", 0, "send at most `N` lines a second; 0 for no limit")
	flags.StringVar(&f.state, "state", "", "`FILE` that notes what is acked, to continue from there after a stop or kill")
	flags.StringVar(&f.failed, "failed", "", "`FILE` that takes what can never be sent, with the reason")
	flags.StringVar(&f.spoolDir, "spool-dir", "", "`DIR` in which lines are kept that have no ack when their time is over, or at the end: the next client on it delivers them")
	flags.DurationVar(&f.rotateWait, "rotate-wait", 5*time.Minute, "`TIME` for which -F looks at a file that was put aside, for lines that come late")
	flags.DurationVar(&f.resendWindow, "resend-window", 0, "send again what a node acked in the `TIME` before it was lost, since it may not have forwarded that; 0: never")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing when all is well, for cron")
	flags.BoolVar(&f.progress, "progress", false, "draw a progress bar also where standard error is no terminal (=false: never)")
	flags.BoolVar(&f.json, "json", false, "print the result as one line of JSON on standard output")
	_ = cmd.RegisterFlagCompletionFunc("encoding", cobra.FixedCompletions(encodingNames, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("row", cobra.FixedCompletions(rowKinds, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formatNames, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// check finds what is wrong with the flags beside those of the configuration.
func (f *sendFlags) check(files []string) error {
	if err := errors.Join(f.format.check(), f.row.check(f)); err != nil {
		return err
	}
	stdin := len(files) == 0 || slices.Contains(files, "-")
	switch {
	case f.stream != "" && dataproxy.CheckStreamID(f.stream) != nil:
		return fmt.Errorf("--stream: %w", dataproxy.CheckStreamID(f.stream))
	case !validRate(f.rate):
		return fmt.Errorf("--rate %v: must be 0 or more", f.rate)
	case f.rotateWait < 0:
		return fmt.Errorf("--rotate-wait %v: must be 0 or more", f.rotateWait)
	case f.resendWindow < 0:
		return fmt.Errorf("--resend-window %v: must be 0 or more", f.resendWindow)
	case f.state != "" && samePath(f.state, f.failed):
		return fmt.Errorf("--failed %s: is the file of --state", f.failed)
	case f.failed != "" && slices.ContainsFunc(files, func(file string) bool { return samePath(file, f.failed) }):
		return fmt.Errorf("--failed %s: is one of the files that are read", f.failed)
	case f.state != "" && slices.ContainsFunc(files, func(file string) bool { return samePath(file, f.state) }):
		return fmt.Errorf("--state %s: is one of the files that are read", f.state)
	case f.follow && stdin:
		return errors.New("--follow: needs files; standard input cannot be followed")
	case f.state != "" && stdin:
		return errors.New("--state: needs files; standard input cannot be read again")
	case f.follow:
		return available("--follow")
	case f.state != "":
		return available("--state")
	}
	return nil
}

// samePath reports whether two names are those of one file.
func samePath(a, b string) bool {
	absA, errA := filepath.Abs(a)
	absB, errB := filepath.Abs(b)
	return errA == nil && errB == nil && absA == absB && a != "" && b != ""
}

func send(cmd *cobra.Command, f *sendFlags, files []string) error {
	if err := f.read(cmd, commandKeys); err != nil {
		return err
	}
	if err := errors.Join(f.missing(f.stream == "" && f.keyColumn == "" && f.format.name != "failed"), f.check(files)); err != nil {
		return usagef(cmd, "%v", err)
	}
	screen := openScreen(cmd, f.progress, f.quiet)
	warnings := screen.logger()
	options, effective, err := f.sendOptions(warnings)
	if err != nil {
		return usagef(cmd, "%v", err)
	}
	f.format.longest = effective.MaxFrameSize
	if f.format.rows, err = f.row.maker(cmd.Context(), f.stream, options, warnings); err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("--row: %w\nto find out why: inlong-dataproxy doctor --stream %s", err, f.stream)}
	}

	signal.Ignore(syscall.SIGPIPE) // the reader of the messages may end, such as a logger that is restarted; the lines are still sent
	takeSecondSignal(cmd.Context())
	ctx, halt := context.WithCancelCause(cmd.Context())
	defer halt(nil)
	s := &shipment{stream: f.stream, format: f.format, stdin: cmd.InOrStdin(), follow: f.follow, saves: f.state != "", log: warnings, halt: halt}
	if f.rate > 0 {
		s.limit = rate.NewLimiter(rate.Limit(f.rate), max(1, int(f.rate/100)))
	}
	closeInputs, err := s.openInputs(ctx, f, files)
	defer closeInputs()
	if err != nil {
		return &exitError{exitInput, err}
	}
	screen.sayWhatIsRead(s.streams, s.stdin)
	started := startClock()
	backlog := effective.SpoolDir != "" && !f.follow && hasLeft(effective.SpoolDir)
	if f.resendWindow > 0 {
		s.window = &window{s: s, length: f.resendWindow, lost: map[string]time.Time{}}
		options = append(options, dataproxy.WithHooks(s.window.hooks()))
	}
	if s.client, err = dataproxy.NewClient(options...); err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("cannot start: %w\nto find out why: inlong-dataproxy doctor", err)}
	}
	stopSaving := s.keepState()
	stopResending := s.resend(ctx)
	closeWindow := s.keepWindow(ctx)
	watch := s.watch(ctx)
	stopBar := screen.bar(s, watch)
	ended := s.run(ctx)
	stopResending()
	closeWindow()
	if backlog { // a run that is over in a moment would never deliver it
		_ = emptied(ctx, s.client, effective.SendTimeout)
	}
	s.close(cmd.Context(), effective.SendTimeout, screen)
	if s.failed != nil {
		s.failed.flush()
	}
	if err := stopSaving(); err != nil && ended == nil {
		ended = &exitError{exitInput, fmt.Errorf("writing the state: %w", err)}
	}
	if err := s.notKept(); err != nil && ended == nil {
		ended = &exitError{exitInput, err}
	}
	stopBar(ended == nil && !s.follow)
	watch.stop()
	report := s.report(started)
	// With a state a line may also have failed after the last one was read.
	if cause := context.Cause(ctx); ended == nil && !errors.Is(cause, context.Canceled) {
		ended = cause
	}
	if interrupted := errors.Is(ended, errInterrupted); ended == nil || interrupted {
		ended = report.end(interrupted)
	}
	if !f.quiet || ended != nil {
		report.print(screen)
	}
	if f.json {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(report); err != nil && ended == nil {
			return fmt.Errorf("printing the result: %w", err)
		}
	}
	return ended
}

// sendOptions are the client's, and what they amount to.
func (f *sendFlags) sendOptions(warnings *slog.Logger) (options []dataproxy.Option, effective dataproxy.Options, err error) {
	// Reading a file is not something to fail for being faster than the network, so a full queue blocks.
	options = []dataproxy.Option{dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithSlog(warnings)}
	if f.follow { // for ever: these give way to what is set
		options = append(options, dataproxy.WithSendTimeout(24*time.Hour), dataproxy.WithLazyStart(true))
	}
	options = append(options, f.clientOptions()...)
	if f.spoolDir != "" {
		options = append(options, dataproxy.WithSpoolDir(f.spoolDir))
	}
	for _, option := range options {
		option(&effective)
	}
	return options, effective, effective.ValidateAndSetDefault()
}

// openInputs opens what is to be read. The returned function closes it, and is never nil.
func (s *shipment) openInputs(ctx context.Context, f *sendFlags, names []string) (closeAll func(), err error) {
	var closers []io.Closer
	closeAll = func() {
		for _, c := range slices.Backward(closers) {
			c.Close()
		}
	}
	cfg := tail.Config{Follow: f.follow, Rotated: f.follow || f.state != "", Wait: f.rotateWait, Log: s.log}
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		switch {
		case f.follow || f.state != "" || !isStream(name): // whose disk may not answer, which the set knows how to wait for
			cfg.Paths = append(cfg.Paths, name)
		default:
			s.streams = append(s.streams, name)
		}
	}
	if f.failed != "" {
		if err = s.patiently(ctx, func() error { s.failed, err = openFailed(f.failed); return err }); err != nil {
			return closeAll, fmt.Errorf("--failed: %w", err)
		}
		closers = append(closers, s.failed)
		cfg.Own = append(cfg.Own, f.failed)
	}
	if f.state != "" {
		if err = s.patiently(ctx, func() error { s.state, err = tail.OpenState(f.state); return err }); err != nil {
			return closeAll, fmt.Errorf("--state: %w", err)
		}
		closers = append(closers, s.state)
		cfg.State = s.state
		cfg.Own = append(cfg.Own, s.state.Paths()...)
	}
	if f.follow {
		cfg.MaxBehind = s.mayBeBehind
		cfg.Quiet = func() { // what was needed to read much is not kept for hours in which little comes
			runtime.GC() // pools give up what they hold at the second one
			debug.FreeOSMemory()
		}
	}
	s.files = tail.Open(cfg)
	closers = append(closers, s.files)
	if path := s.files.NoFile(); path != "" && cfg.Rotated {
		return closeAll, fmt.Errorf("%s is no regular file: --follow and --state need one", path)
	}
	// Whom it met first must be known after a kill, too, before the first line was sent.
	if err := s.patiently(ctx, s.files.Save); err != nil {
		return closeAll, fmt.Errorf("--state: %w", err)
	}
	// Without a state nothing would tell the next run what this one has sent: a wrong name sends nothing.
	if faults := s.files.Faults(); len(faults) > 0 && !f.follow && f.state == "" {
		return closeAll, errors.New(strings.Join(faults, "; "))
	}
	return closeAll, nil
}

// validRate leaves out what is no number either: "NaN" and "Inf" are read as flags of that kind.
func validRate(rate float64) bool { return rate >= 0 && !math.IsInf(rate, 1) }
