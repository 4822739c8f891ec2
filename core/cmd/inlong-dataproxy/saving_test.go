//go:build unix

package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/tail"
)

// A file that came less than 200 ms before a kill, and was moved out of the pattern before the next start, was never sent: no state knew it.
func TestAFileThatWasMetIsInTheStateAtOnce(t *testing.T) {
	own := stateInterval
	stateInterval = time.Hour
	t.Cleanup(func() { stateInterval = own })
	dir := t.TempDir()
	state, err := tail.OpenState(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	log := slog.New(slog.DiscardHandler)
	s := &shipment{state: state, follow: true, log: log, files: tail.Open(tail.Config{Paths: []string{filepath.Join(dir, "*.log")}, Follow: true,
		Rotated: true, State: state, Log: log})}
	defer s.files.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go s.files.Watch(ctx)
	stop := s.keepState()
	for _, name := range []string{"a.log", "b.log"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("one\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the state knows "+name, func() bool {
			places, err := tail.Places(filepath.Join(dir, "state"))
			_, known := places[path]
			return err == nil && known
		})
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
