package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The whole program: every kind of client, a storm, the healing, the report.
func TestShortChaosKeepsEveryPromise(t *testing.T) {
	var out, progress bytes.Buffer
	err := start(context.Background(), []string{"--duration", "3s", "--json"}, &out, &progress)
	require.NoError(t, err, "%s%s", &progress, &out)
	var r Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	require.Positive(t, r.Acked)
	require.Positive(t, r.Retries, "nothing went wrong")
	// A close within 200 ms, on a busy machine, leaves some to its own report: up to so many, a callback may run as it is written.
	require.LessOrEqual(t, r.Results, r.Sent)
	require.LessOrEqual(t, r.Sent-r.Results, r.Uncalled)
	require.Contains(t, progress.String(), "seed ")
	require.NoError(t, r.print(io.Discard))
}

// A run that is interrupted still reports; a bad command line does not run.
func TestChaosCommandLine(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, start(ctx, nil, io.Discard, io.Discard), errBroken, "a run that sent nothing shows nothing")
	require.ErrorContains(t, start(ctx, []string{"--duration", "0s"}, io.Discard, io.Discard), "--duration 0s")
	require.ErrorContains(t, start(ctx, []string{"--seed", "x"}, io.Discard, io.Discard), "seed")
}

// Every promise that the report can see broken must be named.
func TestReportNamesEveryBreach(t *testing.T) {
	good := Report{Tally: Tally{Sent: 5, Acked: 4}, Accepted: 4, Refused: 1}
	good.judge()
	require.Empty(t, good.Broken)
	for what, breakIt := range map[string]func(r *Report){
		"not received":     func(r *Report) { r.Lost = 1 },
		"no result":        func(r *Report) { r.Missing, r.Uncalled = 3, 2 },
		"had theirs":       func(r *Report) { r.Doubled = 1 },
		"no node answered": func(r *Report) { r.FalseSuccesses = 1 },
		"time left":        func(r *Report) { r.Early = 1 },
		"overtaken":        func(r *Report) { r.OrderBreaks = 1 },
		"another form":     func(r *Report) { r.Altered = 1 },
		"accepted":         func(r *Report) { r.Accepted++ },
		"connection":       func(r *Report) { r.WorstFailover = time.Second },
		"deadline":         func(r *Report) { r.WorstLate = 2 * time.Second },
		"heap":             func(r *Report) { r.End.Heap = 1 << 30 },
		"goroutines":       func(r *Report) { r.After.Goroutines = 1 },
		"shows nothing":    func(r *Report) { r.Acked = 0 },
	} {
		r := good
		breakIt(&r)
		r.judge()
		require.Len(t, r.Broken, 1, what)
		require.Contains(t, r.Broken[0], what)
	}
}
