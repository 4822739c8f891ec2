package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// modeTold is the mode of a report that another program has told of itself.
const modeTold = "told"

// toldLine is what such a program says each second, between whatever else it says: seconds since its start, messages since then, those that
// are in its spool now, and its memory.
const toldLine = "%f s: %d sent, %d acked, %d replayed, %d stored, %f MiB"

// plotTold draws what another program has told.
func plotTold(cmd *cobra.Command, f *benchFlags) error {
	err := f.checkPlot()
	if f.plot == "" {
		err = errors.New("--from: give --plot, too")
	}
	if err != nil {
		return usagef(cmd, "%v", err)
	}
	in := cmd.InOrStdin()
	if f.from != "-" {
		file, err := os.Open(f.from)
		if err != nil {
			return &exitError{exitInput, fmt.Errorf("--from: %w", err)}
		}
		defer file.Close()
		in = file
	}
	report, err := readTold(in)
	if err != nil {
		return &exitError{exitInput, fmt.Errorf("--from %s: %w", f.from, err)}
	}
	file, err := f.openPlot()
	if err != nil {
		return err
	}
	if err := f.draw(report, cmd.OutOrStdout(), file); err != nil {
		return &exitError{exitInput, fmt.Errorf("--plot: %w", err)}
	}
	return nil
}

// readTold makes intervals of the lines that are of that form.
func readTold(r io.Reader) (*benchReport, error) {
	report, lines := &benchReport{Mode: modeTold}, bufio.NewScanner(r)
	var before point
	for lines.Scan() {
		var now point
		resident := 0.0
		n, err := fmt.Sscanf(lines.Text(), toldLine, &now.At, &now.Sent, &now.Acked, &now.Replayed, &now.Stored, &resident)
		if err != nil && n < 6 || now.At <= before.At {
			continue
		}
		one := now
		one.Seconds, one.HeapBytes = now.At-before.At, int64(resident*(1<<20))
		one.Sent, one.Acked, one.Replayed = now.Sent-before.Sent, now.Acked-before.Acked, now.Replayed-before.Replayed
		report.Intervals = append(report.Intervals, one)
		before = now
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(report.Intervals) < 2 {
		return nil, fmt.Errorf("it has %d lines like %q: it takes two", len(report.Intervals), toldLine)
	}
	report.Seconds = before.At
	return report, nil
}
