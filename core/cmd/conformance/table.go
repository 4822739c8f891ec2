package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// printTable prints a row a case, a column a language, then the faults. It returns an error when there is any.
func printTable(w io.Writer, attempts []*attempt, languages []string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "case\tmessages\t%s\t\n", strings.Join(languages, "\t"))
	var tests []*testCase
	for _, a := range attempts {
		if !slices.Contains(tests, a.test) {
			tests = append(tests, a.test)
		}
	}
	failed, skipped, unmade, acked := 0, 0, 0, 0
	for _, test := range tests {
		row := []string{test.name, "-"}
		for _, language := range languages {
			i := slices.IndexFunc(attempts, func(a *attempt) bool { return a.test == test && a.language == language })
			a := attempts[i]
			switch {
			case a.skipped != "":
				skipped++
				row = append(row, "skipped: "+a.skipped)
			case a.unmade != "":
				unmade++
				row = append(row, "no client")
			case len(a.faults) > 0:
				failed++
				row = append(row, "FAILED")
			default:
				row = append(row, "ok")
			}
			acked += count(a.acked)
			if a.plan != nil && a.plan.noClient == nil {
				row[1] = thousands(len(a.plan.messages))
			}
		}
		if strings.HasPrefix(row[2], "skipped") { // for the same reason in all languages
			row = row[:3]
		}
		fmt.Fprintln(table, strings.Join(row, "\t")+"\t")
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, a := range attempts {
		if a.unmade != "" {
			fmt.Fprintf(w, "\n%s, %s: nothing was sent: the client could not be made, in %d tries: %s\n", a.test.name, a.language, a.tries, a.unmade)
			continue
		}
		if len(a.faults) > 0 {
			fmt.Fprintf(w, "\n%s, %s: %s\n", a.test.name, a.language, a.summary())
		}
	}
	for _, a := range attempts {
		if a.unmade != "" {
			continue
		}
		for _, note := range a.notes {
			fmt.Fprintf(w, "\n%s, %s: %s\n", a.test.name, a.language, note)
		}
	}
	without := ""
	if unmade > 0 {
		without = fmt.Sprintf(", %d without a client", unmade)
	}
	fmt.Fprintf(w, "\n%d cases in %d languages: %d ok, %d failed, %d skipped%s; %s messages acked.\n", len(tests), len(languages),
		len(attempts)-failed-skipped-unmade, failed, skipped, without, thousands(acked))
	switch {
	case failed > 0:
		return fmt.Errorf("%d of %d runs differ from what must hold", failed, len(attempts)-skipped-unmade)
	case unmade > 0:
		return fmt.Errorf("%d of %d runs reached no Manager or no node, and say nothing: run them again", unmade, len(attempts)-skipped)
	}
	return nil
}

// thousands writes n with a comma between groups of three digits.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
