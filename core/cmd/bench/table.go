package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// printTables prints the figures for people.
func printTables(w io.Writer, r report) error {
	fmt.Fprintf(w, "Medians of %d rounds. CPU is that of the client's process, user and system; the fake cluster is another process.\n"+
		"Ratios are medians over pairs of runs that followed each other.\n", r.Rounds)
	for _, size := range r.Sizes {
		printSize(w, size, r.Rows)
	}
	printBrokers(w, r.Rows)
	printLatencies(w, r.Rows)
	for _, row := range r.Rows {
		if row.Idle != nil {
			printIdle(w, row.Idle)
		}
	}
	if len(r.Limits) > 0 {
		fmt.Fprintf(w, "\nLimits, at %d B where no other size is named:\n", limitSize)
	}
	for _, v := range r.Limits {
		fmt.Fprintln(w, "     "+v.String())
	}
	for _, row := range r.Rows {
		if row.Fault != "" && row.Fault != errNotBuilt.Error() {
			if _, err := fmt.Fprintf(w, "\n%s, %d B, failed: %s\n", row.Label, row.Size, row.Fault); err != nil {
				return err
			}
		}
	}
	return nil
}

// grid aligns the first column left and the others right.
func grid(w io.Writer, lines [][]string) {
	widest := 0
	for _, line := range lines {
		widest = max(widest, utf8.RuneCountInString(line[0]))
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	for _, line := range lines {
		fmt.Fprintf(table, "  %-*s\t%s\t\n", widest, line[0], strings.Join(line[1:], "\t"))
	}
	_ = table.Flush() // the writer's own errors come back with the last line
}

func printSize(w io.Writer, size int, rows []row) {
	lines := [][]string{{fmt.Sprintf("%d B", size), "messages/s", "CPU ns/msg", "x bare", "x Go", "allocs/msg"}}
	for _, r := range rows {
		if r.Size != size || r.latency || r.Idle != nil || r.Key == keyIdle {
			continue
		}
		if r.Fault != "" {
			lines = append(lines, []string{r.Label, shortFault(r.Fault), "-", "-", "-", "-"})
			continue
		}
		allocs := "-"
		if r.Allocs != nil {
			allocs = fmt.Sprintf("%.4f", *r.Allocs)
		}
		lines = append(lines, []string{r.Label, thousands(r.PerSecond), thousands(r.CPU), ratio(r.ToBare), ratio(r.ToGo), allocs})
	}
	if len(lines) > 1 {
		fmt.Fprintln(w)
		grid(w, lines)
	}
}

func printBrokers(w io.Writer, rows []row) {
	for _, r := range rows {
		if r.Broker > 0 {
			fmt.Fprintf(w, "\n%s, %d B: its mock cluster is a thread of the same process, whose %s ns of CPU a message are left out above.\n",
				r.Label, r.Size, thousands(r.Broker))
		}
	}
}

func printLatencies(w io.Writer, rows []row) {
	lines := [][]string{{"one call", "calls/s", "p50 us", "p99 us", "p50 over trip", "CPU us/msg", "allocs/msg"}}
	for _, r := range rows {
		switch {
		case !r.latency:
		case r.Fault != "":
			lines = append(lines, []string{r.Label, shortFault(r.Fault), "-", "-", "-", "-", "-"})
		default:
			over := "-"
			if r.OverTrip != 0 {
				over = fmt.Sprintf("%+.0f us", r.OverTrip)
			}
			lines = append(lines, []string{r.Label, thousands(r.PerSecond), fmt.Sprintf("%.0f", r.P50), fmt.Sprintf("%.0f", r.P99), over,
				fmt.Sprintf("%.1f", r.CPU/1000), fmt.Sprintf("%.2f", *r.Allocs)})
		}
	}
	if len(lines) > 1 {
		fmt.Fprintln(w)
		grid(w, lines)
	}
}

func printIdle(w io.Writer, i *idle) {
	size := func(bytes uint64) string { return fmt.Sprintf("%.1f MiB", mebibytes(bytes)) }
	fmt.Fprintln(w)
	grid(w, [][]string{
		{"idle Go client", "heap", "goroutines", "CPU of a core"},
		{"no client", size(i.Baseline), "-", "-"},
		{"new", size(i.Heap), strconv.Itoa(i.Goroutines), fmt.Sprintf("%.3f %%", i.CorePercent)},
		{"after work", size(i.HeapUsed), strconv.Itoa(i.GoroutinesUsed), fmt.Sprintf("%.3f %%", i.CorePercentUsed)},
	})
}

func shortFault(fault string) string {
	if fault == errNotBuilt.Error() {
		return fault
	}
	return "failed"
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func ratio(x float64) string {
	if x == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", x)
}

// thousands writes x without its fraction and with a comma between groups of three digits.
func thousands(x float64) string {
	text := strconv.FormatInt(int64(x+0.5), 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
