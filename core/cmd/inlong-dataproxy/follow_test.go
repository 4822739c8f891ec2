//go:build !windows

package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// "To ship for ever" ended after send_timeout, and at once where it was started in an outage.
func TestFollowOutlastsAnOutageAndAStartWithoutAManager(t *testing.T) {
	away := dataproxytest.Start(t)
	manager, err := url.Parse(away.URL())
	require.NoError(t, err)
	port, err := strconv.Atoi(manager.Port())
	require.NoError(t, err)
	file := writeFile(t, "a.log", "one\n")
	cluster := away
	cluster.Close()
	c := startChild(t, sendArgs(cluster, "--stream", "s", "-F", "--option", "send_timeout=500ms", "--state", filepath.Join(t.TempDir(), "state"), file)...)
	eventually(t, "a line was given up by the client, and waits", func() bool {
		return strings.Contains(c.said(), "sent again until it is")
	})
	cluster = dataproxytest.Start(t, dataproxytest.WithNodes(1), dataproxytest.WithManagerPort(port))
	eventually(t, "the line came", func() bool { return cluster.Count() >= 1 })
	cluster.Node(0).Kill()
	appendTo(t, file, "two\n")
	cluster.Node(0).Revive()
	eventually(t, "the second came", func() bool { return arrived(cluster)["two"] >= 1 })
	c.Process.Signal(syscall.SIGTERM)
	require.NoError(t, c.Wait(), "%s", c.stderr)
}

// One line for a stream that nobody knows ended the run at its place each time.
func TestFailedLinesArePutAsideAndSentAgain(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithTopics("test_group/good"))
	kept := filepath.Join(t.TempDir(), "failed")
	file := writeFile(t, "a.json", `{"k":"good","n":1}`+"\n"+`{"k":"bad","n":2}`+"\noops\n{\"k\":\"good\",\"n\":\"\xff\"}\n"+`{"k":"good","n":3}`+"\n")
	args := sendArgs(cluster, "--format", "json-lines", "--key-column", "k", "--state", filepath.Join(t.TempDir(), "state"), "--failed", kept,
		"--option", "max_retries=0", "--option", "send_timeout=3s", file)
	status, _, stderr := program("", args...)
	require.Equal(t, exitFailure, status, "%s", stderr)
	require.Contains(t, stderr, "5 lines: 3 acked, 2 failed")
	require.Contains(t, stderr, "2 lines were kept in the file of --failed")
	require.Equal(t, 3, cluster.Count())
	status, _, stderr = program("", args...)
	require.Zero(t, status, "the next run begins after them: %s", stderr)

	second := dataproxytest.Start(t)
	status, _, stderr = program("", sendArgs(second, "--stream", "good", "--format", "failed", kept)...)
	require.Zero(t, status, "%s", stderr)
	require.Equal(t, []string{"oops", `{"k":"bad","n":2}`}, received(second))
	require.Equal(t, []string{"bad", "good"}, streamsOf(second))
}

// With -F the client tried a line for a stream that no node knows for two hours: it was neither kept by --failed nor sent again, and a window
// full of such lines held up all others.
func TestFollowHoldsNothingUpForAStreamThatNoNodeKnows(t *testing.T) {
	t.Parallel()
	cluster := dataproxytest.Start(t, dataproxytest.WithTopics("test_group/good"))
	const lines = 27 // of 50 KB: the window begins with 1.25 MiB
	bad := `{"k":"bad","text":"` + strings.Repeat("x", 50_000) + `"}`
	file, failed := writeFile(t, "a.json", strings.Repeat(bad+"\n", lines)+`{"k":"good"}`+"\n"), filepath.Join(t.TempDir(), "failed")
	c := startChild(t, sendArgs(cluster, "--format", "json-lines", "--key-column", "k", "-F", "--failed", failed, "--option", "compression=none", file)...)
	eventually(t, "the good line came", func() bool { return arrived(cluster)[`{"k":"good"}`] == 1 })
	eventually(t, "the others are kept", func() bool { return strings.Count(readText(t, failed), "\n") == lines })
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	_ = c.Wait()
	require.Contains(t, c.stderr.String(), "28 lines: 1 acked, 27 failed")
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func streamsOf(cluster *dataproxytest.Cluster) (streams []string) {
	for _, r := range cluster.Received() {
		streams = append(streams, r.Stream)
	}
	slices.Sort(streams)
	return slices.Compact(streams)
}

// Any bytes must come back as they were.
func TestAFailedLineOfAnyBytesComesBack(t *testing.T) {
	cluster := dataproxytest.Start(t)
	kept := filepath.Join(t.TempDir(), "failed")
	for _, n := range cluster.Nodes() {
		n.Standing(dataproxytest.ErrorCode(115))
	}
	lines := []string{"plain", "\xff\x00\xfe", `quo"te\`, "  ", "\u2028"}
	status, _, _ := program(strings.Join(lines, "\n"), sendArgs(cluster, "--stream", "s", "--failed", kept, "--option", "max_retries=0", "--option", "send_timeout=3s")...)
	require.Equal(t, exitFailure, status)
	for _, n := range cluster.Nodes() {
		n.ClearFaults()
	}
	cluster.Reset()
	status, _, stderr := program("", sendArgs(cluster, "--format", "failed", kept)...)
	require.Zero(t, status, "%s", stderr)
	slices.Sort(lines)
	require.Equal(t, lines, received(cluster))
}

// A line of 30 MB was held whole, and what came after it waited or was lost.
func TestAHugeLineIsNamedAndPassedWithoutBeingHeld(t *testing.T) {
	cluster := dataproxytest.Start(t)
	small := newChild(sendArgs(cluster, "--stream", "s", writeFile(t, "b.log", strings.Repeat("x\n", 1000)))...)
	require.NoError(t, small.Run(), "%s", small.stderr)
	usual := small.ProcessState.SysUsage().(*syscall.Rusage).Maxrss // KB
	path := writeFile(t, "a.log", "before\n")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	chunk := []byte(strings.Repeat("x", 1<<20))
	for range 30 {
		_, err := f.Write(chunk)
		require.NoError(t, err)
	}
	_, err = f.WriteString("\nafter\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	for _, follow := range []bool{false, true} {
		cluster.Reset()
		c := newChild(sendArgs(cluster, "--stream", "s", fmt.Sprintf("-F=%v", follow), "--state", filepath.Join(t.TempDir(), "state"), path)...)
		c.start(t)
		eventually(t, "the line after it came", func() bool { return arrived(cluster)["after"] == 1 })
		if follow {
			c.Process.Signal(syscall.SIGTERM)
		}
		c.Wait()
		require.Equal(t, exitFailure, c.ProcessState.ExitCode(), "%s", c.stderr)
		require.Contains(t, c.stderr.String(), "line 2: ")
		require.Contains(t, c.stderr.String(), "max_frame_size")
		most := c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss // KB
		require.Less(t, most, usual+20<<10, "the program held the line; it usually takes %d KB", usual)
		require.Equal(t, 2, cluster.Count())
	}
}

// Anyone who interrupts a second time wants an end, and still has to know what became of the lines.
func TestTheSecondInterruptEndsWithTheSummary(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	c := startChild(t, sendArgs(cluster, "--stream", "s", "--rate", "50", writeFile(t, "a.log", strings.Repeat("x\n", 1000)))...)
	eventually(t, "it sends", func() bool { return cluster.Count() > 0 })
	cluster.Node(0).Standing(dataproxytest.Silence())
	answered := cluster.Count()
	eventually(t, "lines wait for their acks", func() bool { return cluster.Count() > answered+10 })
	c.Process.Signal(syscall.SIGINT)
	eventually(t, "it says what it waits for", func() bool { return strings.Contains(c.said(), "to be acked, 30s at most") })
	c.Process.Signal(syscall.SIGINT)
	c.Wait()
	require.Equal(t, exitInterrupted, c.ProcessState.ExitCode(), "%s", c.stderr)
	require.Contains(t, c.stderr.String(), "lines/s")
}

// A full disk looked like success, and had status 1 or 4, as the command had it.
func TestAFullDiskIsNoSuccess(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	cluster := dataproxytest.Start(t)
	for _, args := range [][]string{
		{"doctor", "--url", cluster.URL(), "--group", "test_group", "--stream", "s"},
		{"options"}, {"options", "send_timeout"}, {"errors"}, {"errors", "115"}, {"version"}, {"--help"},
		sendArgs(cluster, "--stream", "s", "--json", writeFile(t, "a.log", "x\n")),
	} {
		var stderr strings.Builder
		status := run(args, strings.NewReader(""), full, &stderr)
		require.Equal(t, exitInput, status, "%q", args)
		require.Contains(t, stderr.String(), "no space left", "%q", args)
	}
	status, _, stderr := program("", sendArgs(cluster, "--stream", "s", "--failed", "/dev/full", "--format", "json-lines", writeFile(t, "b.log", "oops\n"))...)
	require.Equal(t, exitInput, status, "%s", stderr)
}

// A full disk ended -F, and each restart sent again what follows the line. Going on must not pass it either.
func TestALineForWhichFailedHasNoRoomWaits(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file, state := writeFile(t, "a.json", "oops\n{}\n"), filepath.Join(t.TempDir(), "state")
	args := func(failed string, more ...string) []string {
		return sendArgs(cluster, append([]string{"--stream", "s", "--format", "json-lines", "--state", state, "--failed", failed, file}, more...)...)
	}
	c := startChild(t, args("/dev/full", "-F")...)
	eventually(t, "the others are sent", func() bool { return cluster.Count() == 1 && strings.Contains(c.said(), "--failed cannot be written") })
	c.Process.Signal(syscall.SIGTERM)
	c.Wait()
	require.Equal(t, exitInput, c.ProcessState.ExitCode(), "%s", c.stderr)
	require.Contains(t, c.stderr.String(), "no space left on device; 1 line was not kept and not passed")
	failed := filepath.Join(t.TempDir(), "failed")
	status, _, stderr := program("", args(failed)...)
	require.Equal(t, exitFailure, status, "%s", stderr)
	kept, faults := readBack(t, failed)
	require.Equal(t, []string{"oops"}, kept, "faults %d", faults)
}

// Who sent the lines of the file again and removed it lost all that -F put there later: they went where nobody sees them.
func TestFailedIsMadeAnewWhereSomebodyRemovedIt(t *testing.T) {
	cluster := dataproxytest.Start(t)
	dir := filepath.Join(t.TempDir(), "kept")
	require.NoError(t, os.Mkdir(dir, 0o700))
	file, failed := writeFile(t, "a.json", "one\n"), filepath.Join(dir, "failed")
	c := startChild(t, sendArgs(cluster, "--stream", "s", "--format", "json-lines", "-F", "--state", filepath.Join(t.TempDir(), "state"), "--failed", failed, file)...)
	has := func(want string, n int) func() bool { // and all n are done with
		return func() bool {
			text, err := os.ReadFile(failed)
			return err == nil && strings.Contains(string(text), want) && strings.Count(c.said(), "not sent") == n
		}
	}
	eventually(t, "it is kept", has("one", 1))
	require.NoError(t, os.Remove(failed))
	appendTo(t, file, "two\n")
	eventually(t, "it is kept in a new file", has("two", 2))
	require.NoError(t, os.RemoveAll(dir))
	appendTo(t, file, "three\n")
	eventually(t, "it waits", func() bool { return strings.Contains(c.said(), "is tried again each second") })
	require.NoError(t, os.Mkdir(dir, 0o700))
	eventually(t, "it is kept when it can be", has("three", 3))
	c.Process.Signal(syscall.SIGTERM)
	c.Wait()
	require.Equal(t, exitFailure, c.ProcessState.ExitCode(), "%s", c.stderr)
	require.Contains(t, c.stderr.String(), "3 lines: 0 acked, 3 failed")
}

// The opening of a pipe that nobody reads never returned, and no signal but SIGKILL ended it.
func TestFailedIsNoPipeThatNobodyReads(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	status, _, stderr := program("", "send", "--url", "http://127.0.0.1:1", "--group", "test_group", "--stream", "s", "--failed", fifo, writeFile(t, "a.log", "a\n"))
	require.Equal(t, exitInput, status)
	require.Contains(t, stderr, "--failed: "+fifo+" is a pipe that nobody reads")
}

// cron sends a mail for each line that is printed.
func TestQuietPrintsOnlyWhatIsWrong(t *testing.T) {
	cluster := dataproxytest.Start(t)
	status, stdout, stderr := program("a\n", sendArgs(cluster, "--stream", "s", "--quiet")...)
	require.Zero(t, status)
	require.Empty(t, stdout+stderr)
	status, _, stderr = program("oops\n", sendArgs(cluster, "--stream", "s", "--quiet", "--format", "json-lines")...)
	require.Equal(t, exitFailure, status)
	require.Contains(t, stderr, "1 line: 0 acked, 1 failed")
}

// Who forgets three things fixes them in one go.
func TestAllThatIsMissingIsToldAtOnce(t *testing.T) {
	status, _, stderr := program("", "send")
	require.Equal(t, exitUsage, status)
	for _, part := range []string{"--url", "--group", "--stream"} {
		require.Contains(t, stderr, part)
	}
	_, _, stderr = program("", "send", "--steam", "x")
	require.Contains(t, stderr, "did you mean --stream?")
	for flag, meant := range map[string]string{"-f": "-F", "-Q": "-q", "-quiett": "--quiet", "-follow": "--follow", "--group_id": "--group", "-url": "--url"} {
		_, _, stderr = program("", "send", flag)
		require.Contains(t, stderr, "did you mean "+meant+"?", flag)
	}
	t.Setenv("INLONG_SEND_TIMOUT", "1s")
	_, _, stderr = program("", "send")
	require.Contains(t, stderr, "INLONG_SEND_TIMOUT has no effect; did you mean INLONG_SEND_TIMEOUT?")
	_, _, stderr = program("", "sned")
	require.Contains(t, stderr, `did you mean "send"?`)
	_, _, stderr = program("", "spool", "lst") // "cat" is near, too
	require.Contains(t, stderr, `did you mean "ls"?`)
	_, _, stderr = program("", "doctor", "--spool-dir", "x") // a flag of send alone
	require.Contains(t, stderr, "--option spool_dir=VALUE")
}

// A file that the program writes itself was left out in silence when it was also to be read: "0 lines", status 0.
func TestAFileThatIsWrittenIsNotRead(t *testing.T) {
	file := writeFile(t, "a.log", "a\n")
	for _, flags := range [][]string{{"--failed", file, file}, {"--state", file, file}, {"--state", "x", "--failed", "./x", file}} {
		status, _, stderr := program("", append([]string{"send", "--url", "http://127.0.0.1:1", "--group", "test_group", "--stream", "s"}, flags...)...)
		require.Equal(t, exitUsage, status, "%s", stderr)
		require.Contains(t, stderr, flags[0])
	}
}

// Reached by a link, the file of --failed was read like any other: each of its lines failed again and was added to it, for ever.
func TestAFileThatIsWrittenIsNotReadByAnotherName(t *testing.T) {
	cluster := dataproxytest.Start(t)
	dir := t.TempDir()
	logs, link := filepath.Join(dir, "logs"), filepath.Join(dir, "link")
	for _, err := range []error{os.Mkdir(logs, 0o700), os.Symlink(logs, link), os.Symlink(filepath.Join(logs, "failed.log"), filepath.Join(dir, "aside")),
		os.WriteFile(filepath.Join(logs, "failed.log"), nil, 0o600), os.WriteFile(filepath.Join(logs, "app.log"), []byte("no JSON\n"), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, failed := range map[string]string{"folder": filepath.Join(logs, "failed.log"), "file": filepath.Join(dir, "aside")} {
		for range 3 {
			args := sendArgs(cluster, "--key-column", "type", "--format", "json-lines", "--failed", failed, filepath.Join(link, "*.log"))
			if status, _, stderr := program("", args...); status != exitFailure || !strings.Contains(stderr, "1 of 1 lines") {
				t.Errorf("%s: status %d: %s", name, status, stderr)
			}
		}
	}
}
