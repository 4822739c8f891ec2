package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// finding is the outcome of one check.
type finding struct {
	Level  string `json:"level"` // levelOK, levelWarn or levelFail
	Check  string `json:"check"`
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"`
}

const (
	levelOK   = "ok"
	levelWarn = "warning"
	levelFail = "FAILED"
)

// doctor goes through the checks and tells of each as soon as it is done.
type doctor struct {
	options dataproxy.Options // with their defaults
	config  *config
	send    bool
	row     *string // to be compared with the stream's fields; nil for none
	tell    func(finding)
	failed  int
}

func (d *doctor) add(level, check, advice, format string, args ...any) {
	if level == levelFail {
		d.failed++
	}
	d.tell(finding{level, check, fmt.Sprintf(format, args...), advice})
}

func (d *doctor) ok(check, format string, args ...any) { d.add(levelOK, check, "", format, args...) }

func doctorCommand() *cobra.Command {
	var c config
	var send, asJSON bool
	var rowText string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out why sending does not work",
		Long: `Check what a client needs, one after the other, and say in plain words what is wrong and what to do: the configuration, the
folder of spool_dir, the Manager, the credentials, the group, the clock, each node's connection and heartbeat, and with --send a real message of one
line through each node. Without --send nothing is sent. With --stream it tells how the stream's rows are written, and --row compares one with them.

Exit status:
  0  all is well; there may be warnings
  1  a check failed
  2  the command line or the configuration cannot be understood

` + configHelp,
		Example: `  inlong-dataproxy doctor --url http://127.0.0.1:8083 --group my_group
  inlong-dataproxy doctor --config client.yaml --send --stream my_stream
  inlong-dataproxy doctor --config client.yaml --stream my_stream --row 'nuts|7|2.5'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(cmd); err != nil {
				return err
			}
			if send && c.stream == "" {
				return usagef(cmd, "the stream is missing: --send needs --stream")
			}
			out := cmd.OutOrStdout()
			var findings []finding
			if cmd.Flags().Changed("row") && c.stream == "" {
				return usagef(cmd, "the stream is missing: --row needs --stream")
			}
			d := &doctor{config: &c, send: send, tell: func(f finding) {
				findings = append(findings, f)
				if !asJSON {
					f.print(out)
				}
			}}
			if cmd.Flags().Changed("row") {
				d.row = &rowText
			}
			d.run(cmd.Context())
			if asJSON {
				if err := printJSON(out, findings); err != nil {
					return err
				}
			}
			if d.failed > 0 {
				return fmt.Errorf("%d of %d checks failed", d.failed, len(findings))
			}
			return nil
		},
	}
	c.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&send, "send", false, "send a message through each node; it arrives like any other")
	cmd.Flags().StringVar(&rowText, "row", "", "compare this `ROW`, a message as it would be sent, with the fields of --stream")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (f finding) print(w io.Writer) {
	fmt.Fprintf(w, "%-8s %s: %s\n", f.Level, f.Check, f.Text)
	if f.Advice != "" {
		fmt.Fprintf(w, "         -> %s\n", strings.ReplaceAll(f.Advice, "\n", "\n            "))
	}
}

func (d *doctor) run(ctx context.Context) {
	if !d.checkConfig() {
		return
	}
	d.checkSpool()
	nodes := d.options.StaticNodes
	if len(nodes) > 0 {
		d.ok("Manager", "not asked, and no clock compared: static_nodes names %s", plural(len(nodes), "node"))
	} else {
		nodes = d.checkManager(ctx)
	}
	if d.config.stream != "" && len(nodes) > 0 {
		d.checkRows(ctx)
	}
	healthy := d.checkNodes(ctx, nodes)
	if d.send {
		d.checkSend(ctx, healthy)
	} else if len(healthy) > 0 {
		d.ok("stream", "not checked: only a message shows whether the nodes know it, see --send")
	}
}

func since(start time.Time) time.Duration { return time.Since(start).Round(10 * time.Microsecond) }
