package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

type sendFlags struct {
	config
	format
	follow, progress, json bool
	rate                   float64
	state                  string
}

func sendCommand() *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send [FILE...]",
		Short: "Send the lines of files or of standard input",
		Long: `Send each line of the files, or of standard input when no file or "-" is given, as one message. The "\n" at the end of a
line is not part of the message, everything else is; empty lines are skipped and counted. What stands behind the last "\n" of
a file is a line too, save with --follow, which waits for its end: use that for files that are being written to.

Formats (--format):
  lines       each line is a message
  json-lines  each line is a message and must be JSON (one of white space is empty); --key-column names the field that holds
              its stream
  csv         each row is a message, as it stands in the file; the first row names the columns and is not sent;
              --key-column names the column that holds the stream
  length      a message is 4 bytes of length (big endian) and as many bytes

With --follow (-F) files are read from their beginning (or the state's place) and then as they grow, through truncation and
rotation (app.log.1, app.log-20260131), until SIGINT or SIGTERM.

With --state FILE the program notes up to where everything is acked, and a later run goes on from there, also after a kill and
when the file was rotated meanwhile. Lines can be sent twice then, but none is lost: at the first line that is not acked the
program stops. Lines that can never be sent (not JSON, too long, no valid stream) are named on standard error and left out. One
run at a time can have a state; FILE.lock, which stays, sees to that.

Exit status:
  0    every line was acked
  1    a line was not
  2    the command line or the configuration is wrong; nothing was sent
  3    the Manager or the nodes cannot be reached, or refuse; nothing was sent ("inlong-dataproxy doctor" says why)
  4    a file could not be read, or the state not be written
  130  interrupted before the end of the files; what was read until then was sent

` + configHelp,
		Example: `  inlong-dataproxy send --url http://127.0.0.1:8083 --group my_group --stream my_stream app.log
  tail -n 100 app.log | inlong-dataproxy send --url http://127.0.0.1:8083 --group my_group --stream my_stream \
      --option send_timeout=10s --option compression=none
  inlong-dataproxy send --config client.yaml -F --state app.state app.log
  inlong-dataproxy send --config client.yaml --format json-lines --key-column type --rate 1000 events.json`,
		RunE: func(cmd *cobra.Command, files []string) error { return send(cmd, &f, files) },
	}
	flags := cmd.Flags()
	f.addFlags(flags)
	flags.StringVar(&f.format.name, "format", "lines", "lines, json-lines, csv or length")
	flags.StringVar(&f.keyColumn, "key-column", "", "JSON field or CSV column that names the stream; --stream is for the lines without one")
	flags.BoolVar(&f.noHeader, "no-header", false, "the CSV files have no header; --key-column is a number then, from 1")
	flags.BoolVarP(&f.follow, "follow", "F", false, "go on as the files grow, are truncated or rotated")
	flags.Float64Var(&f.rate, "rate", 0, "send at most so many lines a second; 0 for no limit")
	flags.StringVar(&f.state, "state", "", "file that notes what is acked, to go on from there after a stop or kill")
	flags.BoolVar(&f.progress, "progress", false, "draw a progress bar also where standard error is no terminal (=false: never)")
	flags.BoolVar(&f.json, "json", false, "print the result as one line of JSON on standard output")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formatNames, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// check finds what is wrong with the flags beside those of the configuration.
func (f *sendFlags) check(files []string) error {
	if err := f.format.check(); err != nil {
		return err
	}
	stdin := len(files) == 0 || slices.Contains(files, "-")
	switch {
	case f.stream == "" && f.keyColumn == "":
		return errors.New("the stream is missing: give --stream")
	case f.stream != "" && dataproxy.CheckStreamID(f.stream) != nil:
		return fmt.Errorf("--stream: %w", dataproxy.CheckStreamID(f.stream))
	case !validRate(f.rate):
		return fmt.Errorf("--rate %v: must be 0 or more", f.rate)
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

func send(cmd *cobra.Command, f *sendFlags, files []string) error {
	if err := f.read(cmd, commandKeys); err != nil {
		return err
	}
	if err := f.require(cmd); err != nil {
		return err
	}
	if err := f.check(files); err != nil {
		return usagef(cmd, "%v", err)
	}
	screen := openScreen(cmd, f.progress)
	warnings := screen.logger()
	// Reading a file is not something to fail for being faster than the network, so a full queue blocks.
	options := append([]dataproxy.Option{dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithSlog(warnings)}, f.clientOptions()...)
	if err := validate(options); err != nil {
		return usagef(cmd, "%v", err)
	}
	var saved *state
	if f.state != "" {
		var err error
		if saved, err = openState(f.state); err != nil {
			return &exitError{exitInput, fmt.Errorf("--state: %w", err)}
		}
		defer saved.close()
	}
	inputs, err := openInputs(files, cmd.InOrStdin(), f.follow, saved, warnings)
	if err != nil {
		return &exitError{exitInput, err}
	}
	defer closeInputs(inputs)
	started := startClock()
	client, err := dataproxy.NewClient(options...)
	if err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("cannot start: %w\nto find out why: inlong-dataproxy doctor", err)}
	}

	ctx, halt := context.WithCancelCause(cmd.Context())
	defer halt(nil)
	s := &shipment{client: client, stream: f.stream, format: f.format, inputs: inputs, follow: f.follow, saves: saved != nil, log: warnings, halt: halt}
	if f.rate > 0 {
		s.limit = rate.NewLimiter(rate.Limit(f.rate), max(1, int(f.rate/100)))
	}
	stopSaving := func() error { return nil }
	if saved != nil {
		stopSaving = saved.keep(inputs, func(err error) { halt(&exitError{exitInput, err}) })
	}
	stopBar := screen.bar(s)
	ended := s.run(ctx)
	client.Close()
	if err := stopSaving(); err != nil && ended == nil {
		ended = &exitError{exitInput, fmt.Errorf("writing the state: %w", err)}
	}
	stopBar()
	report := s.report(started)

	report.print(screen)
	if f.json {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(report); err != nil {
			return err
		}
	}
	// With a state a line may also have failed after the last one was read.
	if cause := context.Cause(ctx); ended == nil && !errors.Is(cause, context.Canceled) {
		ended = cause
	}
	if ended != nil {
		return ended
	}
	if report.Acked < report.Lines {
		return fmt.Errorf("%d of %d lines were not sent", report.Lines-report.Acked, report.Lines)
	}
	return nil
}

// validRate leaves out what is no number either: "NaN" and "Inf" are read as flags of that kind.
func validRate(rate float64) bool { return rate >= 0 && !math.IsInf(rate, 1) }

// validate checks the options together, before anything is opened.
func validate(options []dataproxy.Option) error {
	var o dataproxy.Options
	for _, option := range options {
		option(&o)
	}
	return o.ValidateAndSetDefault()
}
