package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

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
