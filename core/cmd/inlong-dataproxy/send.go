package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

type sendFlags struct {
	config
	progress, json bool
}

func sendCommand() *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send [FILE...]",
		Short: "Send the lines of files or of standard input",
		Long: `Send each line of the files, or of standard input when no file or "-" is given, as one message. The "\n" at the end of a
line is not part of the message, everything else is; empty lines are skipped and counted. Ends with status 0 when every
line was acked, with 1 when one was not, with 2 when the command line or the configuration is wrong.

` + configHelp,
		Example: `  inlong-dataproxy send --url http://127.0.0.1:8083 --group my_group --stream my_stream app.log
  tail -n 100 app.log | inlong-dataproxy send --url http://127.0.0.1:8083 --group my_group --stream my_stream \
      --option send_timeout=10s --option compression=none`,
		RunE: func(cmd *cobra.Command, files []string) error { return send(cmd, &f, files) },
	}
	flags := cmd.Flags()
	f.addFlags(flags)
	flags.BoolVar(&f.progress, "progress", false, "draw a progress bar also where standard error is no terminal (=false: never)")
	flags.BoolVar(&f.json, "json", false, "print the result as one line of JSON on standard output")
	return cmd
}

func send(cmd *cobra.Command, f *sendFlags, files []string) error {
	if err := f.load(cmd); err != nil {
		return err
	}
	if f.stream == "" {
		return usagef(cmd, "the stream is missing: give --stream")
	}
	inputs, err := openInputs(files, cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer closeInputs(inputs)

	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	warnings := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	started := startClock()
	// Reading a file is not something to fail for being faster than the network, so a full queue blocks.
	options := []dataproxy.Option{dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithSlog(warnings)}
	client, err := dataproxy.NewClient(append(options, f.clientOptions()...)...)
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}

	s := &shipment{client: client, stream: f.stream, inputs: inputs}
	out, always := progressOutput(cmd, f.progress)
	bar := startProgress(s, out, always)
	readErr := s.run(ctx)
	client.Close()
	bar.stop()
	report := s.report(started)

	report.print(stderr)
	if f.json {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(report); err != nil {
			return err
		}
	}
	switch {
	case readErr != nil:
		return readErr
	case report.Acked < report.Lines:
		return fmt.Errorf("%d of %d lines were not sent", report.Lines-report.Acked, report.Lines)
	}
	return nil
}

// progressOutput returns where the bar is drawn, and whether also when that is no terminal.
func progressOutput(cmd *cobra.Command, wanted bool) (out io.Writer, always bool) {
	if cmd.Flags().Changed("progress") {
		if !wanted {
			return io.Discard, false
		}
		return cmd.ErrOrStderr(), true
	}
	return cmd.ErrOrStderr(), false
}
