package pages

import (
	"bufio"
	"bytes"
	"context"
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

// patience bounds one block.
const patience = 5 * time.Minute

// session is a reader of one page: a checkout, the folder in which they are, and the fake cluster that their programs talk to.
type session struct {
	t        *testing.T // of the block that is read
	page     *testing.T
	checkout string
	folder   string
	env      []string
	manager  string // host:port, "" before the first use
	control  string // host:port of what takes the fake's commands, "" unless a block started it
	printed  string // by the last block
}

// newSession makes a checkout that is built already: the files are links into this one, its build folder is the same.
func newSession(t *testing.T) *session {
	t.Helper()
	repository, err := filepath.Abs(top)
	require.NoError(t, err)
	checkout := filepath.Join(t.TempDir(), "inlong-dataproxy")
	require.NoError(t, os.Mkdir(checkout, 0o755))
	entries, err := os.ReadDir(repository)
	require.NoError(t, err)
	for _, entry := range entries {
		if name := entry.Name(); name == "build" {
			require.NoError(t, os.Symlink(filepath.Join(repository, name), filepath.Join(checkout, name)))
		} else if !strings.HasPrefix(name, ".") {
			out, err := exec.CommandContext(t.Context(), "cp", "-rs", filepath.Join(repository, name), checkout).CombinedOutput()
			require.NoError(t, err, string(out))
		}
	}
	s := startIn(t, checkout)
	s.env = append(s.env, "GOFLAGS="+os.Getenv("GOFLAGS")+" -trimpath") // what was compiled in one checkout serves the next
	return s
}

func startIn(t *testing.T, checkout string) *session {
	return &session{t: t, page: t, checkout: checkout, folder: checkout, env: append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")}
}

// addresses are what pages call the Manager, and what takes the commands of the fake cluster.
var (
	managerAddresses = []string{"manager:8083", "127.0.0.1:8083"}
	controlAddress   = "127.0.0.1:8084"
)

// text is what a block says, with the addresses of the fake cluster.
func (s *session) text(b *block) string {
	text := b.text
	if b.has("background") { // its address is not known before it runs
		for _, address := range append(managerAddresses, controlAddress) {
			text = strings.ReplaceAll(text, address, "127.0.0.1:0")
		}
		return text
	}
	for _, address := range managerAddresses {
		if strings.Contains(text, address) {
			text = strings.ReplaceAll(text, address, s.cluster())
		}
	}
	if strings.Contains(text, controlAddress) {
		require.NotEmpty(s.t, s.control, "no block before this one started what listens on %s", controlAddress)
		text = strings.ReplaceAll(text, controlAddress, s.control)
	}
	return text
}

// cluster is the Manager's address: of what a block started, or of a fake of the test.
func (s *session) cluster() string {
	if s.manager == "" {
		s.manager = strings.TrimPrefix(dataproxytest.Start(s.page).URL(), "http://")
	}
	return s.manager
}

func (s *session) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = s.folder, s.env
	// With what it started: a program left behind would keep the test from ending.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs a program to its end, keeps what it printed, and fails the test when the program fails.
func (s *session) run(name string, args ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := s.command(ctx, name, args...)
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err := cmd.Run()
	s.printed = both.String()
	require.NoError(s.t, err, "%s %s\n%s", name, strings.Join(args, " "), s.printed)
}

// shell runs commands, and goes where they went.
func (s *session) shell(commands string) {
	s.t.Helper()
	where := filepath.Join(s.t.TempDir(), "where")
	s.run("bash", "-eu", "-o", "pipefail", "-c", commands+"\npwd >"+where)
	went, err := os.ReadFile(where)
	require.NoError(s.t, err)
	s.folder = strings.TrimSpace(string(went))
}

// background starts the fake cluster as a page says, and takes its addresses from what it prints.
func (s *session) background(commands string) {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.page.Context())
	cmd := s.command(ctx, "bash", "-eu", "-c", commands)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, cmd.Start())
	s.page.Cleanup(func() {
		stop()
		_ = cmd.Wait()
	})
	late := time.AfterFunc(patience, stop)
	defer late.Stop()
	lines := bufio.NewScanner(out)
	require.True(s.t, lines.Scan(), "%s: printed nothing", commands)
	s.manager = strings.TrimPrefix(lines.Text(), "http://")
	require.True(s.t, lines.Scan())
	s.control = strings.TrimPrefix(lines.Text(), "control http://")
}
