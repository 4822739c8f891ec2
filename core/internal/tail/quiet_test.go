//go:build unix

package tail

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A program kept the memory of a thousand files that it had read, 80 KB each, for as long as little came: nobody told it when to let go.
func TestQuietIsCalledOnceWhenNoFileGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	require.NoError(t, os.WriteFile(path, []byte("a\n"), 0o600))
	var calls atomic.Int64
	s := Open(Config{Paths: []string{path}, Follow: true, Quiet: func() { calls.Add(1) }, Log: slog.New(slog.DiscardHandler)})
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() { s.Watch(ctx) })
	defer watch.Wait()
	defer cancel()

	stays := func(want int64) {
		t.Helper()
		for end := time.Now().Add(lively + 3*tick); time.Now().Before(end); time.Sleep(tick) {
			require.Equal(t, want, calls.Load())
		}
	}
	var o outcome
	var c Chunk
	read := func(f *File) {
		end, err := o.take(&c, f, 0)
		s.Release(f, end, err)
	}
	f := s.Next(ctx)
	stays(0) // somebody reads it
	read(f)
	require.Eventually(t, func() bool { return calls.Load() == 1 }, time.Minute, tick)
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString("b\n")
	require.NoError(t, err)
	require.NoError(t, file.Close())
	read(s.Next(ctx))
	stays(1) // too soon
	require.Equal(t, []string{"a", "b"}, o.got())
}
