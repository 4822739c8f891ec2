//go:build !windows

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// While a run is still in a file that was put aside, the one after it, which it has open already, may be copied and truncated:
// what was in it is in the copy only. And one that waits for its turn may be deleted: its lines are in the open file only.
func TestFilesThatChangeBeforeTheirTurnAreNotLost(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, file string){
		"copied and truncated": func(t *testing.T, file string) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			appendTo(t, file+".2", string(text))
			if err := os.Truncate(file, 0); err != nil {
				t.Fatal(err)
			}
		},
		"deleted": func(t *testing.T, file string) {
			rename(t, file, file+".2")
			if err := os.Remove(file + ".2"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for _, follow := range []string{"-F=true", "-F=false"} {
			t.Run(name+" "+follow, func(t *testing.T) {
				t.Parallel()
				cluster := dataproxytest.Start(t)
				file := writeFile(t, "a.log", "first\n")
				state := filepath.Join(t.TempDir(), "state")
				args := []string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--state", state}
				if status, _, stderr := program("", append(args, file)...); status != 0 {
					t.Fatalf("status %d: %s", status, stderr)
				}
				want := []string{"first"}
				for i := range 20 {
					want = append(want, fmt.Sprintf("line %02d", i))
				}
				appendTo(t, file, strings.Join(want[1:], "\n")+"\n")
				rename(t, file, file+".1")
				appendTo(t, file, "waits for its turn\n")

				c := startChild(t, append(args, "--rate", "5", follow, file)...)
				eventually(t, "it is in the file put aside", func() bool { return cluster.Count() > 1 })
				change(t, file)
				if n := cluster.Count(); n >= len(want) {
					t.Fatalf("too late: %d lines came", n)
				}
				appendTo(t, file, "new\n")
				want = append(want, "new", "waits for its turn")
				eventually(t, "all came", func() bool { return cluster.Count() >= len(want) || ended(fmt.Sprint(c.Process.Pid)) })
				if follow == "-F=true" {
					c.Process.Signal(syscall.SIGTERM)
				}
				if err := c.Wait(); err != nil {
					t.Errorf("%v: %s", err, c.stderr)
				}
				if got := received(cluster); !slices.Equal(got, want) {
					t.Errorf("arrived: %q\nwant: %q", got, want)
				}
			})
		}
	}
}

// The file of the state's place may be deleted by a rotation that keeps few: those after it have lines that nobody read, and those
// before it were sent.
func TestFilesPutAsideSinceAreReadAlsoWhenTheOneBeforeThemWasDeleted(t *testing.T) {
	cluster := dataproxytest.Start(t)
	state := filepath.Join(t.TempDir(), "state")
	file := writeFile(t, "a.log", "one\n")
	appendTo(t, file+".1", "sent long ago\n")
	age(t, file+".1", 2*time.Hour)
	age(t, file, time.Hour)
	args := []string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--state", state, file}
	if status, _, stderr := program("", args...); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	rename(t, file+".1", file+".4")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	appendTo(t, file+".2", "two\n")
	appendTo(t, file+".1", "three\n")
	appendTo(t, file, "four\n")
	status, _, stderr := program("", args...)
	if status != 0 || !strings.Contains(stderr, "is gone") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if got, want := received(cluster), []string{"four", "one", "three", "two"}; !slices.Equal(got, want) {
		t.Errorf("arrived: %q, want %q", got, want)
	}
}

// The file that is being followed may be put aside, and deleted, before its reader leaves it: the one that had the name between it
// and the current one must not be passed over.
func TestFollowReadsTheFilesBetweenADeletedOneAndTheCurrentOne(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := writeFile(t, "a.log", "one\n")
	age(t, file, time.Hour)
	c := startChild(t, "send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "-F", file)
	eventually(t, "the first line came", func() bool { return cluster.Count() == 1 })
	rename(t, file, file+".2")
	appendTo(t, file+".1", "two\n")
	appendTo(t, file, "three\n")
	if err := os.Remove(file + ".2"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the current file is read", func() bool { return slices.Contains(received(cluster), "three") })
	c.Process.Signal(syscall.SIGTERM)
	if err := c.Wait(); err != nil {
		t.Errorf("%v: %s", err, c.stderr)
	}
	if got, want := received(cluster), []string{"one", "three", "two"}; !slices.Equal(got, want) {
		t.Errorf("arrived: %q, want %q", got, want)
	}
}

// age makes a file look as if it had been written to last so long ago.
func age(t *testing.T, file string, ago time.Duration) {
	t.Helper()
	if err := os.Chtimes(file, time.Time{}, time.Now().Add(-ago)); err != nil {
		t.Fatal(err)
	}
}

// A follower that was stopped while it looked for what a truncation had taken said nothing of it, with status 0: without a state no later run
// does.
func TestAFollowerThatIsStoppedNamesWhatATruncationTook(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := writeFile(t, "app.log", strings.Repeat(strings.Repeat("a", 9999)+"\n", 100))
	c := startChild(t, sendArgs(cluster, "--stream", "s", "-F", "--rate", "50", file)...)
	eventually(t, "it reads", func() bool { return cluster.Count() > 0 })
	if err := os.WriteFile(file, []byte("b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new line came", func() bool { return arrived(cluster)["b"] == 1 })
	_ = c.Process.Signal(syscall.SIGTERM)
	_ = c.Wait()
	if status := c.ProcessState.ExitCode(); status != exitFailure || !strings.Contains(c.said(), "bytes were lost") {
		t.Errorf("status %d: %s", status, c.said())
	}
}

// A job that is started every minute must not send what the run before it is sending.
func TestAStateIsForOneRunAtATime(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := writeFile(t, "a.log", strings.Repeat("x\n", 1000))
	state := filepath.Join(t.TempDir(), "state")
	args := []string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--state", state, file}
	c := startChild(t, append(args, "--rate", "100")...)
	eventually(t, "it sends", func() bool { return cluster.Count() > 0 })
	if status, _, stderr := program("", args...); status != exitInput || !strings.Contains(stderr, "is in use by another run") {
		t.Errorf("status %d: %s", status, stderr)
	}
	c.Process.Kill()
	c.Wait()
	if status, _, stderr := program("", args...); status != 0 {
		t.Errorf("after it was killed: status %d: %s", status, stderr)
	}
}

// Sending everything again because the state is damaged is no way to continue.
func TestADamagedStateIsRefused(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := writeFile(t, "a.log", "one\n")
	good := filepath.Join(t.TempDir(), "good")
	if status, _, stderr := program("", "send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--state", good, file); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	whole := string(data)
	cluster.Reset()
	for _, text := range []string{"", "oops", "{}", `{"version":1,"files":{}}`, `{"version":2,"sum":"","files":[]}`, whole[:len(whole)-8],
		strings.Replace(whole, `"line": 1`, `"line": 2`, 1)} {
		state := writeFile(t, "state", text)
		status, _, stderr := program("", "send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--state", state, file)
		if status != exitInput || !strings.Contains(stderr, state) {
			t.Errorf("%q: status %d, %s", text, status, stderr)
		}
	}
	if cluster.Count() != 0 {
		t.Errorf("%d lines came", cluster.Count())
	}
}

// A pipe cannot be read again, nor grow: that is found before the first line is sent.
func TestFilesAreLookedAtBeforeAnythingIsSent(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := writeFile(t, "a.log", "one\n")
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", file}
	for _, c := range [][]string{{"-F", pipe, "no regular file"}, {"--state", pipe + ".state", pipe, "no regular file"}} {
		more, says := c[:len(c)-1], c[len(c)-1]
		status, _, stderr := program("", append(args, more...)...)
		if status != exitInput || !strings.Contains(stderr, says) || strings.Contains(stderr, "lines:") {
			t.Errorf("%q: status %d, %s", more, status, stderr)
		}
	}
	if cluster.Count() != 0 {
		t.Errorf("%d lines came", cluster.Count())
	}
}

// Anyone who is told that lines failed must find them: by their line in the file, however many lines a row takes.
func TestFailedLinesAreNamed(t *testing.T) {
	cluster := dataproxytest.Start(t)
	rows := writeFile(t, "a.csv", "k,v\nx,\"two\nlines\"\n\nbad name,1\nx,ok\n")
	args := []string{"send", "--url", cluster.URL(), "--group", "test_group"}
	_, _, stderr := program("", append(args, "--format", "csv", "--key-column", "k", rows)...)
	if !strings.Contains(stderr, rows+" line 5: ") || !strings.Contains(stderr, "3 lines: 2 acked, 1 failed; 1 empty line") {
		t.Errorf("%s", stderr)
	}
	var text strings.Builder
	for range 20 {
		text.WriteString("oops\n")
	}
	file := writeFile(t, "a.json", text.String())
	_, _, stderr = program("", append(args, "--format", "json-lines", "--stream", "s", file)...)
	if named := strings.Count(stderr, "level=WARN"); named != namedFailures || !strings.Contains(stderr, "line 10: ") ||
		!strings.Contains(stderr, "20 lines failed with code 10010 log_invalid") {
		t.Errorf("%d are named: %s", named, stderr)
	}
}

// ended reports whether a process has exited, also when nobody has collected it.
func ended(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}
