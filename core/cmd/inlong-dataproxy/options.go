package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/nearest"
)

func optionsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "options [NAME]",
		Short: "List the options of the client, or explain one",
		Long: `List every option of the client with its default and range, or explain the one that is named. They are set by --option
key=value, by the environment variable INLONG_KEY, or by their key in the file of --config.`,
		Example: `  inlong-dataproxy options
  inlong-dataproxy options send_timeout
  inlong-dataproxy options --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFirst(optionKeys()),
		RunE: func(cmd *cobra.Command, args []string) error {
			table := dataproxy.OptionTable()
			if len(args) == 1 {
				info, found := findOption(args[0])
				if !found {
					return usagef(cmd, "%s", nearest.Unknown("option", args[0], optionKeys()))
				}
				table = []dataproxy.OptionInfo{info}
			}
			out := cmd.OutOrStdout()
			switch {
			case asJSON && len(args) == 1:
				return printJSON(out, table[0])
			case asJSON:
				return printJSON(out, table)
			case len(args) == 1:
				return printOption(out, table[0])
			}
			return printOptions(out, table)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// findOption takes the key, also with "-" for "_", or the name of the Go function.
func findOption(name string) (info dataproxy.OptionInfo, found bool) {
	key := strings.ReplaceAll(name, "-", "_")
	table := dataproxy.OptionTable()
	i := slices.IndexFunc(table, func(o dataproxy.OptionInfo) bool { return o.Key == key || strings.EqualFold(o.Name, name) })
	if i < 0 {
		return info, false
	}
	return table[i], true
}

func optionKeys() (keys []string) {
	for _, o := range dataproxy.OptionTable() {
		keys = append(keys, o.Key)
	}
	return keys
}

func printOptions(w io.Writer, table []dataproxy.OptionInfo) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "OPTION\tKIND\tDEFAULT\tRANGE\tMEANING")
	for _, o := range table {
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\n", o.Key, o.Kind, orDash(o.Default), orDash(optionRange(o)), o.Doc)
	}
	return tab.Flush()
}

func printOption(w io.Writer, o dataproxy.OptionInfo) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tab, "%s\n\n  %s.\n\n", o.Key, o.Doc)
	fmt.Fprintf(tab, "  kind\t%s\n  default\t%s\n  range\t%s\n", optionKind(o.Kind), orDash(o.Default), orDash(optionRange(o)))
	fmt.Fprintf(tab, "  flag\t--option %s=...\n  environment\t%s=...\n  file\t%s: ...\n  Go\tdataproxy.%s\n",
		o.Key, envName(o.Key), o.Key, o.Name)
	return tab.Flush()
}

func optionRange(o dataproxy.OptionInfo) string {
	switch {
	case o.Values != "":
		return strings.ReplaceAll(o.Values, "|", " or ")
	case o.Kind == "bool":
		return "true or false"
	case o.Min != "" && o.Max != "":
		return o.Min + " to " + o.Max
	case o.Min != "":
		return o.Min + " or more"
	}
	return ""
}

// optionKind says how a value of that kind is written.
func optionKind(kind string) string {
	if form := map[string]string{
		"duration": "a number with its unit, such as 20ms, 30s, 5m",
		"size":     "bytes, or a number that ends in K, M or G",
		"map":      "name=value pairs joined by &; in a file also a map",
		"list":     "values joined by commas; in a file also a list",
	}[kind]; form != "" {
		return kind + ": " + form
	}
	return kind
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// envName is the environment variable of a key.
func envName(key string) string { return "INLONG_" + strings.ToUpper(key) }

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// completeFirst completes a command's first argument.
func completeFirst(names []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
