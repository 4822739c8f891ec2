// Command inlong-dataproxy sends data to InLong DataProxy nodes, finds out why that does not work, explains options and
// errors, and runs a fake cluster to try all that against.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/nearest"
)

// The exit statuses besides 0.
const (
	exitFailure     = 1   // a line was not acked, or a check failed
	exitUsage       = 2   // the command line or the configuration is wrong; nothing was done
	exitUnreachable = 3   // no server could be reached; nothing was sent
	exitInput       = 4   // a file could not be read or written
	exitInterrupted = 130 // by a signal, before the end
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := withInterrupts(context.Background())
	defer stop()

	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	out := &output{Writer: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if out.err != nil && (err == nil || errors.Is(err, out.err)) {
		err = &exitError{exitInput, fmt.Errorf("standard output: %w", out.err)}
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "inlong-dataproxy: "+err.Error())
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	var coded *exitError
	if errors.As(err, &coded) {
		return coded.status
	}
	return exitFailure
}

// output remembers that it could not be written, which no command looks at line by line: a full disk must not look like success.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	if o.err != nil { // a second one is another value, by which the command's own error would not be known
		return 0, o.err
	}
	n, err := o.Writer.Write(p)
	o.err = err
	return n, err
}

// exitError is an error with the exit status that tells it.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "inlong-dataproxy",
		Short: "Send data to Apache InLong DataProxy",
		Long: `Send data to Apache InLong DataProxy, measure that, and find out why it does not work.

Exit status:
  0    all is well
  1    a message was not acked, a check failed, or something else went wrong
  2    the command line or the configuration is wrong; nothing was done
  3    the Manager or the nodes cannot be reached, or refuse; nothing was sent
  4    a file could not be read or written
  130  interrupted before the end`,
		Example: `  inlong-dataproxy mock --listen 127.0.0.1:8083 &
  echo hello | inlong-dataproxy send --url http://127.0.0.1:8083 --group my_group --stream my_stream
  inlong-dataproxy doctor --url http://127.0.0.1:8083 --group my_group`,
		Version:       dataproxy.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef(cmd, "%s", plainFault(err.Error())+nearestFlag(cmd, err))
	})
	root.AddCommand(sendCommand(), benchCommand(), doctorCommand(), mockCommand(), spoolCommand(), optionsCommand(), errorsCommand(), versionCommand())
	for _, cmd := range append(root.Commands(), root) {
		cmd.Args = usageArgs(cmd.Args)
	}
	return root
}

// usageError is a fault of the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...) + "\nsee: " + cmd.CommandPath() + " --help"}
}

// usageArgs makes what check finds wrong a usageError; an unknown command is found this way too.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if err := check(cmd, args); err != nil {
			if cmd.HasSubCommands() && len(args) > 0 {
				var names []string
				for _, c := range cmd.Commands() {
					names = append(names, c.Name())
				}
				return usagef(cmd, "%s", nearest.Unknown("command", args[0], names))
			}
			return usagef(cmd, "%v", err)
		}
		return nil
	}
}

// nearestFlag is a hint at the flag that an unknown one was meant to be.
func nearestFlag(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return ""
	}
	var names, letters []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		names = append(names, f.Name)
		if f.Shorthand != "" {
			letters = append(letters, f.Shorthand)
		}
	})
	text := unknown.GetSpecifiedName()
	if option, found := findOption(text); found && option.Key != "group_id" && cmd.Flags().Lookup("option") != nil {
		return fmt.Sprintf("; it is an option of the client: --option %s=VALUE", option.Key)
	}
	if word := unknown.GetSpecifiedShortnames(); len(word) > 1 { // one hyphen too few
		text = word
	} else if word != "" {
		names = letters
	}
	switch name := nearest.Name(text, names); len(name) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("; did you mean -%s?", name)
	default:
		return fmt.Sprintf("; did you mean --%s?", name)
	}
}
