//go:build !windows

package pages

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
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
	manager  string            // host:port of a fake cluster of the test, "" before the first use
	started  []pair            // the addresses that a block's fake cluster listens on by the page, and really
	servers  map[string]string // the same of the page's own servers
	printed  string            // by the last block
	skipped  bool              // the last block that is no output
}

// pair is an address on a page and the one that takes its place.
type pair struct{ written, real string }

// programs are built once for all pages: in each of them make then finds nothing to do, and replaces no program that another
// page runs.
var programs sync.Once

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
	s.env = append(s.env, "GOFLAGS="+os.Getenv("GOFLAGS")+" -trimpath", // what was compiled in one checkout serves the next
		// What a page calls by its bare name is what its reader has installed: the servers, and the package.
		"PATH="+filepath.Join(checkout, "build/venv/bin")+":"+os.Getenv("PATH"), "PYTHONPATH="+filepath.Join(checkout, "bindings/python"))
	programs.Do(func() { s.shell("make go-programs") })
	return s
}

func startIn(t *testing.T, checkout string) *session {
	return &session{t: t, page: t, checkout: checkout, folder: checkout, servers: map[string]string{},
		env: append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")}
}

// managerAddresses are what pages call a Manager that no block of theirs started.
var managerAddresses = []string{"manager:8083", "127.0.0.1:8083"}

var (
	localAddress = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	ownServer    = regexp.MustCompile(`localhost:\d+`)
	listensOn    = regexp.MustCompile(`--(?:listen|control) (\S+)`)
)

// text is what a block says, with the addresses of the fake cluster.
func (s *session) text(b *block) string {
	text := b.text
	for _, p := range s.started {
		text = strings.ReplaceAll(text, p.written, p.real)
	}
	for _, address := range managerAddresses {
		if strings.Contains(text, address) {
			text = strings.ReplaceAll(text, address, s.cluster())
		}
	}
	return ownServer.ReplaceAllStringFunc(text, s.freeAddress)
}

// freeAddress is what a server of the page listens on in place of the address that is written there. It is below the ports that the
// kernel gives to connections: one of those could take it before the server does.
func (s *session) freeAddress(written string) string {
	for s.servers[written] == "" {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000))
		if listener, err := net.Listen("tcp", address); err == nil {
			s.servers[written] = address
			require.NoError(s.t, listener.Close())
		}
	}
	return s.servers[written]
}

// cluster is the address of a Manager of the test's own.
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

// background starts the fake cluster as a page says, but on free ports, and takes its addresses from what it prints.
func (s *session) background(commands string) {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.page.Context())
	cmd := s.command(ctx, "bash", "-eu", "-c", localAddress.ReplaceAllString(commands, "127.0.0.1:0"))
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
	for _, written := range listensOn.FindAllStringSubmatch(commands, -1) { // the Manager first, then what takes commands
		require.True(s.t, lines.Scan(), "%s: did not print where it listens instead of %s", commands, written[1])
		_, real, found := strings.Cut(lines.Text(), "http://")
		require.True(s.t, found, "%s: printed %q", commands, lines.Text())
		s.started = append(s.started, pair{written[1], real})
	}
}
