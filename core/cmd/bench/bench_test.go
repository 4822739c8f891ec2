package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the benchmark start this test as its server and its clients.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == serverCommand || os.Args[1] == clientCommand) {
		if err := start(context.Background(), os.Args[1:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// The whole in small: a program that no longer starts, a result that is not counted, or a column that stays empty would
// otherwise be seen only by the next one who wants figures.
func TestBenchMeasuresEveryProgram(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // a second for each process otherwise
	root := t.TempDir()
	var out bytes.Buffer
	if err := start(t.Context(), []string{"--quick", "--count", "3000", "--root", root, "--json"}, &out); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	found := make(map[string]row)
	for _, row := range r.Rows {
		found[fmt.Sprintf("%s %d", row.Key, row.Size)] = row
	}
	for _, p := range programs {
		for _, size := range []int{100, 1024} {
			row, ok := found[fmt.Sprintf("%s %d", p.key, size)]
			switch {
			case size == 1024 && (p.latency || p.first || p.key == keyIdle):
				if ok {
					t.Errorf("%s runs at 1024 B too", p.key)
				}
			case !ok:
				t.Errorf("%s, %d B: no row", p.key, size)
			case p.command != nil:
				if row.Fault != errNotBuilt.Error() {
					t.Errorf("%s, %d B: fault %q in a folder without it", p.key, size, row.Fault)
				}
			case p.key == keyIdle:
				if i := row.Idle; i == nil || i.Heap == 0 || i.HeapUsed == 0 || i.Goroutines == 0 {
					t.Errorf("idle: %+v", i)
				}
			case row.CPU <= 0 || row.PerSecond <= 0 || row.Allocs == nil || !p.latency && row.ToBare <= 0 || p.latency && row.P99 < row.P50:
				t.Errorf("%s, %d B: %+v", p.key, size, row)
			}
		}
	}
	if len(r.Limits) != len(limits) {
		t.Errorf("%d limits were judged, want %d: %v", len(r.Limits), len(limits), r.Limits)
	}
}

// A spool whose backlog is not sent, or one that costs nothing because nothing was stored, gives figures all the same.
func TestBenchMeasuresWhatASpoolCosts(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	if err := start(t.Context(), []string{"--quick", "--spool", "--sizes", "100", "--count", "3000", "--root", t.TempDir(), "--json"}, &out); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	if len(r.Rows) != len(spoolPrograms)+1 {
		t.Errorf("%d rows", len(r.Rows))
	}
	for _, row := range r.Rows {
		if row.CPU <= 0 || row.Key != keyGo && row.Key != keyDisk && row.ToGo <= 0 {
			t.Errorf("%+v", row)
		}
	}
	if len(r.Limits) != len(spoolLimits)+1 {
		t.Errorf("%d limits were judged: %v", len(r.Limits), r.Limits)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("folders are left: %v %v", left, err)
	}
}

// The other languages' programs are separate builds: what they print, and how they fail, must come through.
func TestProgramsOfOtherLanguages(t *testing.T) {
	root := t.TempDir()
	script := filepath.Join(root, "build/bench/bench_async")
	if err := os.MkdirAll(filepath.Dir(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ body, fault string }{
		"works":            {`echo hello; echo '{"messages":500,"acked":500,"failed":0,"seconds":0.5,"cpu_seconds":0.001}'`, ""},
		"loses a message":  {`echo '{"messages":500,"acked":499,"failed":1,"seconds":0.5,"cpu_seconds":0.001}'`, "1 failed"},
		"crashes":          {`echo out of luck >&2; exit 3`, "out of luck"},
		"prints no figure": {`echo done`, "invalid character"},
	} {
		if err := os.WriteFile(script, []byte("#!/bin/sh\n"+c.body+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		s, err := programOf(keyC).run(t.Context(), "", root, job{Size: 100, Seconds: 1})
		if c.fault == "" && (err != nil || s.nsPerMessage() != 2000 || s.perSecond() != 1000) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		if c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%s: error %v, want %q", name, err, c.fault)
		}
	}
}

// Figures of a client whose messages fail are worthless, however good they look.
func TestFailedMessagesAreNoFigures(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	server, err := startServer(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer server.close()
	corpus, err := writeCorpus(t.TempDir(), 100)
	if err != nil {
		t.Fatal(err)
	}
	j := job{Kind: kindAsync, Server: server.address, Corpus: corpus, Size: 100, Count: 100, Streams: 1,
		Options: map[string]string{"max_pending_bytes": "1024", "block_if_queue_is_full": "false"}}
	if s, err := runAsync(j); err == nil || !strings.Contains(err.Error(), "messages failed") {
		t.Errorf("%+v, %v", s, err)
	}
}

// The tables print for every mixture of what was measured, what failed and what is not there.
func TestTables(t *testing.T) {
	allocs := 0.0123
	r := report{Rounds: 3, Sizes: []int{100}, Rows: []row{
		{Key: keyBare, Label: "bare loop", Size: 100, PerSecond: 3_000_000, CPU: 250, ToBare: 1, Allocs: new(float64)},
		{Key: keyGo, Label: "Go async, 1 stream", Size: 100, PerSecond: 1_234_567, CPU: 300, ToBare: 1.2, Allocs: &allocs},
		{Key: keyC, Label: "C async", Size: 100, Fault: errNotBuilt.Error()},
		{Key: keyMany, Label: "Python send_many", Size: 100, Fault: "exit status 1\nTraceback"},
		{Key: "sync-1", Label: "Go sync, 1 caller", Size: 100, latency: true, PerSecond: 9000, CPU: 45_600, P50: 80, P99: 200, OverTrip: 31, Allocs: &allocs},
		{Key: keyIdle, Label: "idle Go client", Size: 100, Idle: &idle{Heap: 3 << 20, HeapUsed: 5 << 20, Goroutines: 9}},
	}}
	r.Limits = judge(r.Rows)
	var out strings.Builder
	if err := printTables(&out, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1,234,567", "1.20", "0.0123", "not built", "failed: exit status 1", "Traceback", "+31 us", "5.0 MiB",
		"1.20x, at most 1.25x    ok", "MISSED: not built", "0.0123, at most 0.0100   MISSED"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
