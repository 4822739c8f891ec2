package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/nearest"
)

func errorsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "errors [CODE|NAME|TEXT]",
		Short: "List the error codes, or say what one means and what to do",
		Long: `List the codes of the client (10001 and up) and those that a DataProxy answers (below 1000), or say of one what it means,
whether sending the message again helps, what may have become of it, and what to do. The names of a DataProxy's codes are its
own, though no answer carries them.`,
		Example: `  inlong-dataproxy errors
  inlong-dataproxy errors 115
  inlong-dataproxy errors send_timeout`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFirst(codeNames()),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, codes := cmd.OutOrStdout(), allCodes()
			if len(args) == 0 {
				if asJSON {
					return printJSON(out, codes)
				}
				return printCodes(out, codes)
			}
			info, found := findCode(args[0])
			switch {
			case !found && isNumber(args[0]):
				return usagef(cmd, "code %s: unknown; the list is: inlong-dataproxy errors", args[0])
			case !found:
				return usagef(cmd, "%s", nearest.Unknown("error", args[0], codeNames()))
			case asJSON:
				return printJSON(out, info)
			}
			return printCode(out, info)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// findCode takes a code, its name, or the text of an error as it stands in a log.
func findCode(text string) (info codeInfo, found bool) {
	codes := allCodes()
	name := strings.ReplaceAll(text, "-", "_")
	i := slices.IndexFunc(codes, func(c codeInfo) bool {
		return strconv.Itoa(c.Code) == text || strings.EqualFold(c.Name, name) ||
			c.Text != "" && (text == c.Text || strings.HasPrefix(text, c.Text+": "))
	})
	if i < 0 {
		return info, false
	}
	return codes[i], true
}

func isNumber(text string) bool {
	_, err := strconv.Atoi(text)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

func codeNames() (names []string) {
	for _, c := range allCodes() {
		names = append(names, strings.ToLower(c.Name))
	}
	return names
}

func printCodes(w io.Writer, codes []codeInfo) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "CODE\tNAME\tFROM\tSEND AGAIN\tMEANING")
	for _, c := range codes {
		fmt.Fprintf(tab, "%d\t%s\t%s\t%s\t%s\n", c.Code, c.Name, c.From, sendAgain(c), c.Meaning)
	}
	return tab.Flush()
}

func printCode(w io.Writer, c codeInfo) error {
	text := ""
	if c.Text != "" {
		text = fmt.Sprintf(" %q", c.Text)
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tab, "%d %s (%s)%s\n\n  means\t%s\n  send again\t%s\n", c.Code, c.Name, c.From, text, c.Meaning, sendAgain(c))
	if len(c.Persisted) > 0 {
		fmt.Fprintf(tab, "  persisted\t%s\n", strings.Join(c.Persisted, " or "))
	}
	if c.Retries != "" {
		fmt.Fprintf(tab, "  the client retries\t%s\n", c.Retries)
	}
	fmt.Fprintf(tab, "  what to do\t%s\n", c.Advice)
	return tab.Flush()
}

func sendAgain(c codeInfo) string {
	switch {
	case c.From == fromClient && c.Code == int(dataproxy.CodeServerError):
		return "see code"
	case c.From == fromClient && (c.Code == 0 || len(c.Persisted) == 0):
		return "-" // no message fails with it
	case c.Retriable:
		return "yes"
	}
	return "no"
}
