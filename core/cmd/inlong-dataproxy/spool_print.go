package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// spooled is a message of a spool, as cat prints it.
type spooled struct {
	Batch          string    `json:"batch"` // with place what a consumer tells a double by
	Place          int       `json:"place"`
	Group          string    `json:"group"`
	Stream         string    `json:"stream"`
	Attributes     string    `json:"attributes,omitempty"`
	ItemAttributes string    `json:"item_attributes,omitempty"`
	EventTime      time.Time `json:"event_time"`
	Stored         time.Time `json:"stored"`
	Text           string    `json:"text,omitempty"`
	Base64         []byte    `json:"base64,omitempty"` // instead of a text that is not UTF-8
}

// eachSpooled calls f for each message of a batch. One that no client can read is added to unreadable: it must not hide those after it.
func eachSpooled(r *spool.Record, unreadable *error, f func(payload, attributes []byte) error) error {
	body, ends, err := r.Items(nil)
	if err != nil {
		*unreadable = errors.Join(*unreadable, fmt.Errorf("batch %s: %w", r.ID, err))
		return nil
	}
	start := uint32(0)
	for _, end := range ends {
		if err := f(r.Split(body[start:end])); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func spoolCatCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cat DIR",
		Short: "Print the messages of a spool, a line of JSON each",
		Long: `Print each message that is not acked as a line of JSON: batch and place, by which a consumer knows it, group, stream, attributes, event
time, when it was stored, and the payload as text, or as base64 where it is not UTF-8.`,
		Example: `  inlong-dataproxy spool cat /var/lib/app/spool | head`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := bufio.NewWriter(cmd.OutOrStdout())
			lines := json.NewEncoder(out)
			lines.SetEscapeHTML(false)
			var unreadable error
			slots, err := inspectSpool(args[0], func(r *spool.Record) error {
				place := 0
				return eachSpooled(r, &unreadable, func(payload, own []byte) error {
					m := spooled{Batch: r.ID.String(), Place: place, Group: r.Group, Stream: r.Stream, Attributes: r.Attributes, ItemAttributes: string(own),
						EventTime: time.UnixMilli(r.EventTime), Stored: time.UnixMilli(r.Stored)}
					if place++; utf8.Valid(payload) {
						m.Text = string(payload)
					} else {
						m.Base64 = payload
					}
					return lines.Encode(m)
				})
			})
			return errors.Join(err, out.Flush(), unreadable, unread(slots))
		},
	}
}

func spoolExportCommand() *cobra.Command {
	var form, stream string
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write the payloads of a spool to standard output",
		Long: `Write the payload of each message that is not acked, in the order of storing: with --format lines each followed by a line end,
with --format length 4 bytes of length (big endian) before it. "inlong-dataproxy send" reads both. The spool keeps them: a client that
opens it delivers them, so remove the folder if they were sent another way.`,
		Example: `  inlong-dataproxy spool export --format length /var/lib/app/spool >messages`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if form != "lines" && form != "length" {
				return usagef(cmd, "--format %q: must be lines or length", form)
			}
			out, broken := bufio.NewWriter(cmd.OutOrStdout()), int64(0)
			var unreadable error
			slots, err := inspectSpool(args[0], func(r *spool.Record) error {
				if stream != "" && r.Stream != stream {
					return nil
				}
				return eachSpooled(r, &unreadable, func(payload, _ []byte) error {
					var err error
					if form == "length" {
						_, err = out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(payload))))
					} else if bytes.IndexByte(payload, '\n') >= 0 {
						broken++
					}
					if err == nil {
						_, err = out.Write(payload)
					}
					if err == nil && form == "lines" {
						err = out.WriteByte('\n')
					}
					return err
				})
			})
			if err = errors.Join(err, out.Flush()); err == nil && broken > 0 {
				err = fmt.Errorf("%s: --format length keeps them whole", plural(broken, "payload with a line end inside"))
			}
			return errors.Join(err, unreadable, unread(slots))
		},
	}
	cmd.Flags().StringVar(&form, "format", "lines", "`FORMAT`: lines or length")
	cmd.Flags().StringVar(&stream, "stream", "", "only of this `STREAM`")
	return cmd
}
