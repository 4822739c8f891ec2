package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

func spoolCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "spool",
		Short: "List, check, print, deliver or export what is in a spool",
		Long: `Look into a folder in which clients with the option spool_dir keep messages that have no ack: list it, check it, print or export its
messages, or deliver them. All but drain change nothing, also while clients use the folder.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(spoolListCommand(), spoolVerifyCommand(), spoolCatCommand(), spoolExportCommand(), spoolDrainCommand())
	for _, sub := range cmd.Commands() {
		sub.Args = usageArgs(sub.Args)
	}
	return cmd
}

// inspectSpool looks at a spool; what is none is an error.
func inspectSpool(dir string, each func(*spool.Record) error) ([]spool.SlotInfo, error) {
	slots, err := spool.Inspect(dir, each)
	if err != nil {
		return slots, &exitError{exitInput, err}
	}
	if len(slots) == 0 {
		return nil, &exitError{exitInput, fmt.Errorf("%s is no spool: it has no folder slot-0001", dir)}
	}
	return slots, nil
}

// unread is an error where files of a spool could not be read whole.
func unread(slots []spool.SlotInfo) error {
	files := 0
	for _, s := range slots {
		for _, g := range s.Segments {
			if g.Fault != "" || g.Damaged > 0 {
				files++
			}
		}
	}
	if files == 0 {
		return nil
	}
	return fmt.Errorf(`%s could not be read whole: "spool verify" names them`, plural(files, "file"))
}

func spoolListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls DIR",
		Short:   "List the slots of a spool, with what is not acked in them",
		Example: `  inlong-dataproxy spool ls /var/lib/app/spool`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			slots, err := inspectSpool(args[0], nil)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), slots)
			}
			tab := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(tab, "SLOT\tIN USE\tBATCHES\tMESSAGES\tBYTES\tOLDEST\tIN QUARANTINE\tUNREADABLE")
			for _, s := range slots {
				t := sumOf(s)
				oldest := "-"
				if !t.Oldest.IsZero() {
					oldest = t.Oldest.Format(time.RFC3339)
				}
				fmt.Fprintf(tab, "%s\t%s\t%d\t%d\t%d\t%s\t%d\t%d\n", s.Name, yesNo(s.InUse), t.Batches, t.Messages, t.Bytes, oldest, len(s.Quarantined), t.faults)
			}
			return tab.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// slotSum is what all segments of a slot amount to.
type slotSum struct {
	spool.SegmentInfo
	faults int
}

func sumOf(s spool.SlotInfo) (t slotSum) {
	for _, g := range s.Segments {
		t.Bytes += g.Bytes
		t.Batches += g.Batches
		t.Messages += g.Messages
		t.Damaged += g.Damaged
		if !g.Oldest.IsZero() && (t.Oldest.IsZero() || g.Oldest.Before(t.Oldest)) {
			t.Oldest = g.Oldest
		}
		if g.Fault != "" {
			t.faults++
		}
	}
	return t
}

func spoolVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR",
		Short: "Read all of a spool, and check its checksums",
		Long: `Read each batch that is not acked, with its checksum, and name the files that are damaged or cannot be read. Nothing is repaired: a
client delivers what is not damaged, and puts the file into the quarantine then.

Exit status:
  0  all can be delivered
  1  a file is damaged, of a newer version or no segment, a batch is one that no client can read, or the quarantine is not empty
  4  the folder is no spool, or cannot be read`,
		Example: `  inlong-dataproxy spool verify /var/lib/app/spool`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, files, bad := cmd.OutOrStdout(), 0, 0
			var unreadable error
			slots, err := inspectSpool(args[0], func(r *spool.Record) error {
				return eachSpooled(r, &unreadable, func(_, _ []byte) error { return nil })
			})
			if err != nil {
				return err
			}
			for _, s := range slots {
				for _, g := range s.Segments {
					files++
					path := filepath.Join(args[0], s.Name, g.Name)
					switch {
					case g.Fault != "":
						fmt.Fprintf(out, "%s: %s\n", path, g.Fault)
					case g.Damaged > 0:
						fmt.Fprintf(out, "%s: %d bytes are no record; %s can be delivered\n", path, g.Damaged, plural(g.Messages, "message"))
					default:
						continue
					}
					bad++
				}
				for _, name := range s.Quarantined {
					bad++
					fmt.Fprintf(out, "%s: was damaged, and what was not has been delivered\n", filepath.Join(args[0], s.Name, "quarantine", name))
				}
			}
			if bad > 0 {
				unreadable = errors.Join(unreadable, fmt.Errorf("%s to look at", plural(bad, "file")))
			}
			if unreadable != nil {
				return unreadable
			}
			fmt.Fprintf(out, "%s, all sound\n", plural(files, "file"))
			return nil
		},
	}
}

func spoolDrainCommand() *cobra.Command {
	var c config
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "drain DIR",
		Short: "Deliver what is in a spool",
		Long: `Open a client on the folder, and end once all is delivered that no other client has in use. The client takes any of its options;
messages keep their own group and stream.

Exit status:
  0    nothing is left, except what is in use
  1    something is left, or was given up
  2    the command line or the configuration is wrong; nothing was done
  3    the Manager or the nodes cannot be reached
  4    the folder is no spool, or cannot be read
  130  interrupted

` + configHelp,
		Example: `  inlong-dataproxy spool drain --url http://127.0.0.1:8083 --group my_group /var/lib/app/spool`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.load(cmd); err != nil {
				return err
			}
			if timeout < 0 {
				return usagef(cmd, "--timeout %v: must be 0 or more", timeout)
			}
			return drainSpool(cmd, &c, args[0], timeout)
		},
	}
	c.addFlags(cmd.Flags())
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "end after this `TIME` in which nothing was delivered; 0: wait for nodes for ever")
	return cmd
}
