//go:build !windows

package main

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A logger behind a pipe is restarted: the next warning killed the shipper by SIGPIPE, and what came later was not sent.
func TestAFollowerOutlivesTheReaderOfItsMessages(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file, late := writeFile(t, "a.log", "a\n"), writeFile(t, "late.log", "late\n")
	require.NoError(t, os.Remove(late))
	read, write, err := os.Pipe()
	require.NoError(t, err)
	c := newChild(sendArgs(cluster, "--stream", "s", "-F", file, late)...)
	c.Stderr = write
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill() })
	require.NoError(t, write.Close())
	eventually(t, "the first line came", func() bool { return cluster.Count() == 1 })
	require.NoError(t, read.Close())
	require.NoError(t, os.Mkdir(late, 0o700)) // there is something to say
	require.NoError(t, os.WriteFile(late+"/in it", []byte("b\n"), 0o600))
	eventually(t, "the second line came", func() bool { return cluster.Count() == 2 })
	require.NoError(t, os.Truncate(file, 0)) // and again
	require.NoError(t, os.WriteFile(file, []byte("c\n"), 0o600))
	eventually(t, "the third line came", func() bool { return cluster.Count() == 3 })
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait())
}

// The result of a run that nobody could read was lost with status -13, before the state said so to anyone.
func TestAResultThatNobodyReadsIsAnError(t *testing.T) {
	cluster := dataproxytest.Start(t)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	c := newChild(sendArgs(cluster, "--stream", "s", "--json", writeFile(t, "a.log", "a\n"))...)
	c.Stdout = write
	require.NoError(t, read.Close())
	c.start(t)
	require.NoError(t, write.Close())
	require.Error(t, c.Wait())
	require.Equal(t, exitInput, c.ProcessState.ExitCode(), "%s", c.stderr)
	require.Contains(t, c.stderr.String(), "broken pipe")
	require.Equal(t, 1, cluster.Count())
}

// A state that is a device was read without end, into 15 GB of memory; a pipe's opening never returned.
func TestAStateThatIsNoRegularFileIsRefused(t *testing.T) {
	fifo := writeFile(t, "state", "")
	require.NoError(t, os.Remove(fifo))
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	for _, state := range []string{fifo, t.TempDir(), "/dev/full"} {
		status, _, stderr := program("", "send", "--url", "http://127.0.0.1:1", "--group", "test_group", "--stream", "s", "--state", state, writeFile(t, "a.log", "a\n"))
		require.Equal(t, exitInput, status)
		require.Contains(t, stderr, state+" is no regular file")
	}
}
