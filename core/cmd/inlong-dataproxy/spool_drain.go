package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// adoption is how long a client has for taking over slots before it counts as one that finds nothing.
const adoption = time.Second

// drained is what clients have made of a spool.
type drained struct{ delivered, givenUp int64 }

func drainSpool(cmd *cobra.Command, c *config, dir string, timeout time.Duration) error {
	if _, err := inspectSpool(dir, nil); err != nil {
		return err
	}
	screen := openScreen(cmd, false, false)
	options := append([]dataproxy.Option{dataproxy.WithSlog(screen.logger())}, c.clientOptions()...)
	options = append(options, dataproxy.WithSpoolDir(dir))
	var all drained
	for {
		before := all
		if err := all.drain(cmd.Context(), options, timeout); err != nil {
			return err
		}
		slots, err := inspectSpool(dir, nil)
		if err != nil {
			return err
		}
		left, used := 0, 0
		var idle []spool.SlotInfo
		for _, s := range slots {
			if n := sumOf(s).Batches; s.InUse {
				used += n
			} else {
				left += n
				idle = append(idle, s)
			}
		}
		if left > 0 && all != before { // it was left while the client looked
			continue
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s delivered, %d given up, %s left, %d in use\n", plural(all.delivered, "message"), all.givenUp, batches(left), used)
		switch {
		case left > 0:
			return fmt.Errorf("%s left: the log says why, or that no node takes messages", batches(left))
		case all.givenUp > 0:
			return fmt.Errorf("%s given up: the log says why", plural(all.givenUp, "message"))
		}
		return unread(idle)
	}
}

// drain has one client deliver until nothing is left for it.
func (d *drained) drain(ctx context.Context, options []dataproxy.Option, timeout time.Duration) error {
	client, err := dataproxy.NewClient(options...)
	if err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("cannot start: %w\nto find out why: inlong-dataproxy doctor", err)}
	}
	if emptied(ctx, client, timeout) != nil {
		leave(client)
		return &exitError{exitInterrupted, fmt.Errorf("interrupted: %s were delivered", plural(d.delivered+client.Stats().Spool.Replayed, "message"))}
	}
	leave(client)
	st := client.Stats().Spool
	d.delivered += st.Replayed
	d.givenUp += st.GivenUp
	return nil
}

// emptied waits until nothing is left in a client's spool, or nothing has left it for that long; 0: however long. Its error is that of ctx.
func emptied(ctx context.Context, client dataproxy.FullClient, timeout time.Duration) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	st, moved, empty := dataproxy.SpoolStats{}, time.Now(), time.Now()
	for {
		before := st
		if st = client.Stats().Spool; st.Batches > 0 {
			empty = time.Now()
		}
		if st.Replayed+st.GivenUp != before.Replayed+before.GivenUp || st.Batches == 0 {
			moved = time.Now()
		}
		if time.Since(empty) > adoption || timeout > 0 && time.Since(moved) > timeout {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
}

// hasLeft reports whether clients that are gone have left something in a spool's folder.
func hasLeft(dir string) bool {
	slots, _ := spool.Inspect(dir, nil) // what cannot be read the client tells
	return slices.ContainsFunc(slots, func(s spool.SlotInfo) bool { return !s.InUse && sumOf(s).Batches > 0 })
}

// leave closes a client that need not wait for acks: what has none stays in the spool.
func leave(client dataproxy.FullClient) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, _ = client.Shutdown(ctx)
}

func batches(n int) string {
	if n == 1 {
		return "1 batch"
	}
	return fmt.Sprintf("%d batches", n)
}
