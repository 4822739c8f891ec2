package main

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// Lines whose answers were lost more often than max_retries allows came twice, under another mid, without a kill, and nothing counted them.
func TestLinesThatAreSentAnewWithoutAnAnswerAreCounted(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	cluster.Node(0).Fault(dataproxytest.ResetAfterRead())
	c := startChild(t, "send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--option", "max_retries=0", "-F", writeFile(t, "a.log", "a\n"))
	eventually(t, "the line came twice", func() bool { return cluster.Count() == 2 })
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait(), "%s", c.stderr)
	require.Contains(t, c.said(), "1 line: 1 acked, 0 failed;")
	require.Contains(t, c.said(), "1 line may arrive twice")
}

// A line that no node ever had counted as one that may arrive twice: it was named after one that was not acked.
func TestALineThatNobodyHadDoesNotCountAsOneThatMayComeTwice(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	cluster.Node(0).Standing(dataproxytest.ErrorCode(topicUnknown))
	status, _, stderr := program("", sendArgs(cluster, "--stream", "s", "--format", "json-lines", "--option", "max_retries=0",
		"--state", filepath.Join(t.TempDir(), "state"), writeFile(t, "a.log", "{}\noops\n"))...)
	require.Equal(t, exitFailure, status)
	require.Contains(t, stderr, "2 lines: 0 acked, 2 failed;")
	require.NotContains(t, stderr, "may arrive twice")
}
