package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// Standard input may be a terminal or a pipe that never gives another line: a Ctrl-C must end the program all the same, and
// what was sent until then must be accounted for.
func TestInterruptEndsASendThatWaitsForInput(t *testing.T) {
	cluster := dataproxytest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s")
	cmd.Env = append(os.Environ(), "INLONG_TEST_AS_PROGRAM=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, "a\nb\n"); err != nil {
		t.Fatal(err)
	}
	if err := cluster.WaitCount(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		t.Errorf("ended with %v, want status %d", err, exitInterrupted)
	}
	for _, part := range []string{"2 lines: 2 acked, 0 failed", "interrupted"} {
		if !strings.Contains(stderr.String(), part) {
			t.Errorf("stderr lacks %q: %s", part, &stderr)
		}
	}
}

// The summary and the last line disagreed after a second Ctrl-C: "2 failed", and what had been read was called sent; or "0 failed", and
// two failed with a code.
func TestASecondInterruptEndsWithOneTruth(t *testing.T) {
	for name, c := range map[string]struct {
		flags        []string
		file         bool
		status       int
		says, saysNo []string
	}{
		"a pipe": {status: exitInterrupted, says: []string{"2 lines: 0 acked, 2 failed;", "2 lines failed with code 10003", "interrupted before the end: 2 of 2 lines were not sent"},
			saysNo: []string{"may arrive twice", "without a result"}},
		"-F": {status: exitFailure, flags: []string{"-F"}, file: true, says: []string{"2 lines: 0 acked, 2 failed;", "2 lines failed with code 10003", "2 of 2 lines were not sent"},
			saysNo: []string{"without a result"}},
		"-F --state": {status: exitFailure, flags: []string{"-F", "--state", filepath.Join(t.TempDir(), "state")}, file: true, says: []string{"2 lines: 0 acked, 0 failed, 2 without a result;",
			"2 lines may arrive twice", "2 lines were not acked; the next run sends them"}, saysNo: []string{"failed with code"}},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
			cluster.Node(0).Standing(dataproxytest.DropAnswer())
			p := newChild(append([]string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--option", "ack_timeout=1m"}, c.flags...)...)
			if c.file {
				p.Args = append(p.Args, writeFile(t, "a.log", "a\nb\n"))
			} else {
				stdin, err := p.StdinPipe()
				require.NoError(t, err)
				defer stdin.Close()
				_, err = io.WriteString(stdin, "a\nb\n")
				require.NoError(t, err)
			}
			p.start(t)
			eventually(t, "both lines are read", func() bool { return cluster.Count() == 2 })
			require.NoError(t, p.Process.Signal(syscall.SIGINT))
			eventually(t, "it waits", func() bool { return strings.Contains(p.said(), "waiting for 2 lines") })
			require.NoError(t, p.Process.Signal(syscall.SIGINT))
			_ = p.Wait()
			require.Equal(t, c.status, p.ProcessState.ExitCode(), "%s", p.stderr)
			for _, part := range c.says {
				require.Contains(t, p.said(), part)
			}
			for _, part := range c.saysNo {
				require.NotContains(t, p.said(), part)
			}
		})
	}
}
