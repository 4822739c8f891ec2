package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/tail"
)

// child is this program as a process of its own.
type child struct {
	*exec.Cmd
	stderr *said
}

// said is what a child has printed, also while it runs.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (c *child) said() string { return c.stderr.String() }

func newChild(args ...string) *child {
	c := &child{exec.Command(os.Args[0], args...), &said{}}
	c.Env = append(os.Environ(), "INLONG_TEST_AS_PROGRAM=1")
	c.Stderr = c.stderr
	return c
}

func (c *child) start(t *testing.T) {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
}

func startChild(t *testing.T, args ...string) *child {
	t.Helper()
	c := newChild(args...)
	c.start(t)
	return c
}

// eventually waits until it holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func stateOf(t *testing.T, path, file string) tail.Place {
	t.Helper()
	places, err := tail.Places(path) // not OpenState, which would make it beside the program under test
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err) // also a file that is half written
	}
	return places[file]
}

// arrived counts how often each payload came.
func arrived(cluster *dataproxytest.Cluster) map[string]int {
	counts := map[string]int{}
	for _, payload := range cluster.Messages() {
		counts[string(payload)]++
	}
	return counts
}

// A kill can fall between reading and acking, and into the writing of the state. Whatever the state says then must have been
// acked before, or lines are lost without a word.
func TestNoLineIsLostWhenSendIsKilled(t *testing.T) {
	const lines = 3000
	cluster := dataproxytest.Start(t)
	var text strings.Builder
	for i := range lines {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	file := writeFile(t, "a.log", text.String())
	state := filepath.Join(t.TempDir(), "state")
	args := []string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--state", state, "--rate", "2000", file}
	before := int64(0)
	for round := range 4 {
		c := startChild(t, args...)
		eventually(t, "the state moves on", func() bool {
			at := stateOf(t, state, file).Offset
			return at > before || at == int64(text.Len())
		})
		c.Process.Kill()
		c.Wait()
		at := stateOf(t, state, file)
		counts := arrived(cluster)
		for i := range at.Line {
			if counts[fmt.Sprintf("line %d", i)] == 0 {
				t.Fatalf("round %d: the state says that %d lines are acked, and line %d never came", round, at.Line, i)
			}
		}
		before = at.Offset
	}
	sent := cluster.Count()
	done := stateOf(t, state, file).Line
	c := startChild(t, args...)
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %s", err, c.stderr)
	}
	counts := arrived(cluster)
	for i := range lines {
		if counts[fmt.Sprintf("line %d", i)] == 0 {
			t.Errorf("line %d is lost", i)
		}
	}
	if got, want := cluster.Count()-sent, lines-int(done); got != want {
		t.Errorf("the last run sent %d lines; after the state's place there were %d", got, want)
	}
	if at := stateOf(t, state, file); at.Offset != int64(text.Len()) || at.Line != lines {
		t.Errorf("the state says %+v of %d bytes", at, text.Len())
	}
	if status, _, stderr := program("", args...); status != 0 || !strings.Contains(stderr, "0 lines: 0 acked") {
		t.Errorf("a run with nothing left: status %d, %s", status, stderr)
	}
}

// The line that fails must be the first of the next run, and one that can never be sent must not block those after it.
func TestStateStopsAtAFailedLineAndPassesAHopelessOne(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	state := filepath.Join(t.TempDir(), "state")
	file := writeFile(t, "a.json", "{\"n\":1}\noops\n{\"n\":2}\n")
	args := []string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--format", "json-lines",
		"--state", state, "--option", "max_retries=0", file}
	cluster.Node(0).Standing(dataproxytest.ErrorCode(115))
	status, _, stderr := program("", args...)
	if status != exitFailure || !strings.Contains(stderr, "the same command continues from there") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if at := stateOf(t, state, file); at.Offset != 0 {
		t.Errorf("nothing was acked, and the state says %+v", at)
	}
	cluster.Node(0).ClearFaults()
	status, _, stderr = program("", args...)
	if status != exitFailure || !strings.Contains(stderr, "not JSON") || !strings.Contains(stderr, "line 2") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if got, want := received(cluster), []string{`{"n":1}`, `{"n":2}`}; !slices.Equal(got, want) {
		t.Errorf("arrived: %q", got)
	}
	if status, _, stderr := program("", args...); status != 0 {
		t.Errorf("a third run: status %d: %s", status, stderr)
	}
}

// A file that was put aside while the program was not running still has lines; another file of the same name and size must
// not be taken for it.
func TestStateFindsTheFileAfterARotation(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := writeFile(t, "a.log", "one\ntwo\n")
	state := filepath.Join(t.TempDir(), "state")
	args := []string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--state", state, file}
	run := func(want ...string) {
		t.Helper()
		cluster.Reset()
		if status, _, stderr := program("", args...); status != 0 {
			t.Fatalf("status %d: %s", status, stderr)
		}
		if got := received(cluster); !slices.Equal(got, want) {
			t.Errorf("arrived: %q, want %q", got, want)
		}
	}
	run("one", "two")
	appendTo(t, file, "three\n")
	rename(t, file, file+".2")
	appendTo(t, file+".1", "between\n")
	appendTo(t, file, "ONE\nTWO\nTHREE\n")
	run("ONE", "THREE", "TWO", "between", "three")
	if err := os.WriteFile(file, []byte("one\ntwo\nthree!\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run("one", "three!", "two")
}

// Lines may repeat: the file that took the name has the line before the state's place there too, and is another one all the same.
func TestStateFindsTheFileAmongFilesThatAreAlike(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := writeFile(t, "a.log", strings.Repeat("tick\n", 100))
	args := []string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--state", filepath.Join(t.TempDir(), "state"), file}
	run := func() {
		t.Helper()
		if status, _, stderr := program("", args...); status != 0 {
			t.Fatalf("status %d: %s", status, stderr)
		}
	}
	run()
	appendTo(t, file, strings.Repeat("tick\n", 5))
	rename(t, file, file+".1")
	appendTo(t, file, strings.Repeat("tick\n", 120))
	run()
	if got := cluster.Count(); got != 225 {
		t.Errorf("%d lines arrived, want 225", got)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// Following must see what is written after its end, after a truncation and in the file that took the name; and a stop by a
// signal is no failure.
func TestFollowThroughGrowthRotationAndTruncation(t *testing.T) {
	cluster := dataproxytest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "a.log")
	state := filepath.Join(t.TempDir(), "state")
	c := startChild(t, "send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--state", state, "-F", file)
	wait := func(n int) {
		t.Helper()
		if err := cluster.WaitCount(ctx, n); err != nil {
			t.Fatalf("%d of %d came: %s", cluster.Count(), n, c.stderr)
		}
	}
	appendTo(t, file, "one\nhal") // the file appears after the start, its second line in two parts
	wait(1)
	appendTo(t, file, "f\n")
	wait(2)
	rename(t, file, file+".1")
	appendTo(t, file+".1", "late\n") // the writer has not opened the new file yet
	appendTo(t, file, "new\n")
	wait(4)
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	appendTo(t, file, "x\n")
	wait(5)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("ended with %v: %s", err, c.stderr)
	}
	if got, want := received(cluster), []string{"half", "late", "new", "one", "x"}; !slices.Equal(got, want) {
		t.Errorf("arrived: %q, want %q", got, want)
	}
	if at := stateOf(t, state, file); at.Offset != 2 {
		t.Errorf("the state says %+v", at)
	}
}

// A limit that is not kept floods the cluster that it was to protect.
func TestRateIsKept(t *testing.T) {
	cluster := dataproxytest.Start(t)
	started := time.Now()
	status, _, stderr := program(strings.Repeat("a\n", 60), "send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--rate", "100")
	if passed := time.Since(started); status != 0 || passed < 590*time.Millisecond || cluster.Count() != 60 {
		t.Errorf("status %d, %d messages in %v: %s", status, cluster.Count(), passed, stderr)
	}
}
