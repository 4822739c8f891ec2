package main

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// The bar is drawn by several goroutines that read the counters while they change; its line must end before the summary.
func TestProgressIsDrawnWhenAskedFor(t *testing.T) {
	cluster := dataproxytest.Start(t)
	common := []string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s"}
	_, _, quiet := program("a\n", common...)
	if strings.Contains(quiet, "lines/s ") {
		t.Errorf("a bar where standard error is no terminal: %q", quiet)
	}
	status, _, drawn := program("a\nb\n", append(common, "--progress")...)
	if status != 0 || !strings.Contains(drawn, "2 acked, 0 failed") {
		t.Errorf("status %d, drawn %q", status, drawn)
	}
}

// onTerminal runs a program on a terminal of that kind, and returns what it has written there.
func onTerminal(t *testing.T, c *child, kind string) (screen bytes.Buffer) {
	t.Helper()
	c.Env = append(c.Env, "TERM="+kind)
	c.Stderr = nil // the terminal
	terminal, err := pty.StartWithSize(c.Cmd, &pty.Winsize{Rows: 24, Cols: 200})
	require.NoError(t, err)
	t.Cleanup(func() { c.Process.Kill() })
	_, _ = io.Copy(&screen, terminal) // a terminal whose program has ended gives an error
	c.Wait()
	return screen
}

// A terminal that cannot move its cursor, as that of Emacs, was filled with one bar after the other.
func TestTerminalThatCannotEraseShowsNoBar(t *testing.T) {
	cluster := dataproxytest.Start(t)
	args := []string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", writeFile(t, "a.log", "a\n")}
	screen := onTerminal(t, newChild(args...), "dumb")
	require.Contains(t, screen.String(), "1 line: 1 acked, 0 failed;")
	require.NotContains(t, screen.String(), "[=")
	screen = onTerminal(t, newChild(args...), "xterm")
	require.Contains(t, screen.String(), "[=")
}

// Who watches a terminal sees the bar without asking, and each warning as a line of its own, neither over it nor in it.
func TestTerminalShowsTheBarBelowTheWarnings(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := writeFile(t, "a.json", strings.Repeat("{}\n", 200)+"oops\n"+strings.Repeat("{}\n", 20))
	c := newChild("send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--format", "json-lines", "--rate", "200", file)
	screen := onTerminal(t, c, "xterm")
	if status := c.ProcessState.ExitCode(); status != exitFailure {
		t.Errorf("status %d: %q", status, screen.String())
	}
	if !regexp.MustCompile(`220 acked, 1 failed, \d+ lines/s eta 0s`).Match(screen.Bytes()) {
		t.Errorf("no bar, or not its end: %q", screen.String())
	}
	if !bytes.Contains(screen.Bytes(), []byte("\x1b[1A\x1b[Jtime=")) {
		t.Errorf("the bar was not erased before the warning: %q", screen.String())
	}
}
