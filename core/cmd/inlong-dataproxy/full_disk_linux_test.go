package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// -F that was started on a full disk ended at once, and nobody started it again when there was room. It waits for that, with a new state
// and with one that is there; a folder that is not there is an error at once.
func TestFollowingWaitsForRoomForItsState(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("cannot mount a small disk:", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	filler := filepath.Join(dir, "filler")
	fill := func() {
		err := os.WriteFile(filler, make([]byte, 1<<20), 0o600)
		require.ErrorIs(t, err, unix.ENOSPC)
	}
	cluster := dataproxytest.Start(t)
	file := writeFile(t, "a.log", "1\n")
	args := sendArgs(cluster, "--stream", "s", "-F", "--state", filepath.Join(dir, "state"), file)
	stopped := func(c *child, status int) {
		require.NoError(t, c.Process.Signal(syscall.SIGTERM))
		_ = c.Wait()
		require.Equal(t, status, c.ProcessState.ExitCode(), "%s", c.stderr)
	}
	for n, line := range []string{"", "2\n"} {
		fill()
		appendTo(t, file, line)
		c := startChild(t, args...)
		eventually(t, "it says why it waits", func() bool {
			return strings.Contains(c.said(), "the disk is full: nothing is read until") && strings.Contains(c.said(), "no space left on device")
		})
		require.Equal(t, n, cluster.Count())
		require.NoError(t, os.Remove(filler))
		eventually(t, "the line comes when there is room", func() bool { return cluster.Count() == n+1 })
		stopped(c, 0)
	}
	fill()
	appendTo(t, file, "3\n")
	c := startChild(t, args...)
	eventually(t, "it says why it waits", func() bool { return strings.Contains(c.said(), "the disk is full") })
	stopped(c, exitInput)

	status, _, stderr := program("", sendArgs(cluster, "--stream", "s", "-F", "--state", filepath.Join(dir, "none", "state"), file)...)
	require.Equal(t, exitInput, status, "%s", stderr)
	require.Contains(t, stderr, "no such file or directory")
}

// The mock served on when nobody could learn where: its lines went to a full disk.
func TestTheMockEndsWhereItsLinesCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	c := newChild("mock")
	c.Stdout = full
	c.start(t)
	_ = c.Wait()
	require.Equal(t, exitInput, c.ProcessState.ExitCode(), "%s", c.stderr)
	require.Contains(t, c.said(), "standard output: ")
}
