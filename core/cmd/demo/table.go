package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// printTable prints one line an outcome and returns an error when one is no success.
func printTable(w io.Writer, outcomes []*outcome) error {
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "language\tlines sent\tacked\tfailed\tmissing\textra\tlines/s\tCPU per line\t")
	failed, extra := 0, 0
	for _, o := range outcomes {
		extra += o.diff.extra
		rate, cpu := "-", "-"
		if r := o.result; r.Lines > 0 && r.Seconds > 0 {
			rate = thousands(int(float64(r.Lines) / r.Seconds))
			cpu = time.Duration(r.CPUSeconds / float64(r.Lines) * float64(time.Second)).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", o.program.language, thousands(o.result.Lines),
			thousands(o.result.Acked), thousands(o.result.Failed), thousands(o.diff.missing), thousands(o.diff.extra), rate, cpu)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if extra > 0 {
		fmt.Fprintln(w, "extra: lines that a node took but whose ack was lost when it died; they were sent again, as at-least-once promises.")
	}
	for _, o := range outcomes {
		if fault := o.fault(); fault != "" {
			failed++
			fmt.Fprintf(w, "%s: %s\n", o.program.language, fault)
		} else {
			fmt.Fprintf(w, "%s: all lines arrived\n", o.program.language)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d runs failed", failed, len(outcomes))
	}
	return nil
}

// thousands writes n with a comma between groups of three digits.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
