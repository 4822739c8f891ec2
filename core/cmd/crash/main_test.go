package main

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(planKey); text != "" {
		child(text)
	}
	os.Exit(m.Run())
}

// S2: a client is killed at any instant, or at a step of the store, and what it was told is acked or stored is lost, altered, or comes again
// though it was acked long before.
func TestKilledClientsKeepEveryPromise(t *testing.T) {
	var out, progress bytes.Buffer
	err := run(context.Background(), []string{"--duration", "4s"}, &out, &progress)
	require.NoError(t, err, "%s%s", &progress, &out)
	require.Contains(t, progress.String(), "seed ")
}

// The same where batches are stored while they are on their way: what an ack or a deadline overtook is sent again for ever, or order breaks.
func TestKilledClientsKeepEveryPromiseWithSpoolAfter(t *testing.T) {
	var out, progress bytes.Buffer
	err := run(context.Background(), []string{"--duration", "4s", "--ordered", "--after", "20ms"}, &out, &progress)
	require.NoError(t, err, "%s%s", &progress, &out)
}

// A run that is interrupted still reports; a bad command line does not run.
func TestCrashCommandLine(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, run(ctx, nil, io.Discard, io.Discard), errBroken, "a run that killed nothing shows nothing")
	require.ErrorContains(t, run(ctx, []string{"--duration", "0s"}, io.Discard, io.Discard), "--duration 0s")
	require.ErrorContains(t, run(ctx, []string{"--result", "sent"}, io.Discard, io.Discard), `option spool_result = "sent"`)
	require.ErrorContains(t, run(ctx, []string{"--after", "1s"}, io.Discard, io.Discard), `option spool_after = "1s"`)
	require.ErrorContains(t, run(ctx, []string{"--seed", "x"}, io.Discard, io.Discard), "seed")
}

// Every promise that the report can see broken must be named.
func TestReportNamesEveryBreach(t *testing.T) {
	good := func() *Report {
		r := newReport(rand.New(rand.NewPCG(1, 1)))
		r.tally = Tally{Acked: 1, Stored: 1}
		r.outside = enough
		for _, step := range steps {
			r.at[step] = 1
		}
		return r
	}
	r := good()
	r.judge()
	require.Empty(t, r.Broken)
	for what, breakIt := range map[string]func(r *Report){
		"after later":     func(r *Report) { r.tally.Overtook = 1 },
		"did not arrive":  func(r *Report) { r.tally.Lost = 1 },
		"another form":    func(r *Report) { r.tally.Altered = 1 },
		"nobody sent":     func(r *Report) { r.tally.Foreign = 1 },
		"had not arrived": func(r *Report) { r.tally.Unbacked = 1 },
		"another id":      func(r *Report) { r.tally.Renamed = 1 },
		"last moments":    func(r *Report) { r.tally.Stale = 1 },
		"shows nothing":   func(r *Report) { r.tally.Stored = 0 },
		`"sync acks"`:     func(r *Report) { delete(r.at, "sync acks") },
	} {
		r := good()
		breakIt(r)
		r.judge()
		require.Len(t, r.Broken, 1, what)
		require.Contains(t, r.Broken[0], what)
	}
}

// A failpoint that is never met, or met elsewhere, kills nothing where it should.
func TestEveryStepOfTheStoreIsMet(t *testing.T) {
	met := map[string]bool{}
	for _, fails := range []string{"", "sync segment", "write segment", "write acks"} {
		dir := t.TempDir()
		point := &failpoint{fails: fails, met: func(step string) { met[step] = true }}
		s, err := spool.Open(dir, spool.Options{Sync: spool.SyncBatch, SegmentBytes: 200, FS: failingDisk{spool.Disk, point}})
		require.NoError(t, err)
		for n := range 9 {
			refs, err := s.Append(nil, []spool.Record{{Group: "g", Stream: "s", Messages: 1, Body: []byte("body"), Stored: int64(n)}}, true)
			if fails == "write segment" && n == 0 {
				require.ErrorIs(t, err, errInjected)
				continue
			}
			require.NoError(t, err)
			require.NoError(t, s.Sync())
			s.Ack(refs[0])
			err = s.FlushAcks(true)
			require.True(t, err == nil || fails == "write acks", "%v", err)
		}
		require.NoError(t, s.Close())
		left, err := filepath.Glob(filepath.Join(dir, "slot-*", "*.seg"))
		require.NoError(t, err)
		require.Empty(t, left)
	}
	for _, step := range steps {
		require.True(t, met[step], step)
	}
	require.Len(t, met, len(steps), "%v", met)
}
