package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets a test run this program as a process of its own: the mock ends by a signal, which a test must not send to
// itself.
func TestMain(m *testing.M) {
	if os.Getenv("INLONG_TEST_AS_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

// A script starts the mock, reads the url from its first line and stops it by a signal; a mock that prints something else
// first, or outlives the signal, breaks that script.
func TestMockServesUntilItIsTold(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		mock := exec.CommandContext(ctx, os.Args[0], "mock", "--nodes", "2")
		mock.Env = append(os.Environ(), "INLONG_TEST_AS_PROGRAM=1")
		stdout, err := mock.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := mock.Start(); err != nil {
			t.Fatal(err)
		}
		out := bufio.NewScanner(stdout)
		var lines []string
		for len(lines) < 4 && out.Scan() {
			lines = append(lines, out.Text())
		}
		if len(lines) != 4 || !strings.HasPrefix(lines[0], "http://127.0.0.1:") || !strings.HasPrefix(lines[1], "control http://") ||
			!strings.HasPrefix(lines[3], "node 127.0.0.1:") {
			t.Fatalf("printed %q", lines)
		}
		if status, _, stderr := program("a\nb\n", "send", "--url", lines[0], "--group", "test_group", "--stream", "s"); status != 0 {
			t.Errorf("send to it: status %d, %s", status, stderr)
		}
		control := strings.TrimPrefix(lines[1], "control ")
		request(t, http.MethodPost, control+"/nodes/1/kill")
		if answer := request(t, http.MethodGet, control+"/stats"); !strings.Contains(answer, `"messages":2,`) ||
			!strings.Contains(answer, `"running":false`) {
			t.Errorf("stats after two messages and a kill: %s", answer)
		}
		if err := mock.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := mock.Wait(); err != nil {
			t.Errorf("after %v: %v", signal, err)
		}
	}
}

func request(t *testing.T, method, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: status %d, %s, error %v", method, url, response.StatusCode, body, err)
	}
	return string(body)
}

// A wrong address must name its flag; a port that is taken must not leave half a cluster behind.
func TestMockNamesTheFlagThatIsWrong(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--listen", "8083"}, exitUsage, "--listen"},
		{[]string{"--listen", "127.0.0.1:port"}, exitUsage, "--listen"},
		{[]string{"--control", "x"}, exitUsage, "--control"},
		{[]string{"--nodes", "-1"}, exitUsage, "--nodes -1"},
		{[]string{"--auth", "id"}, exitUsage, "--auth: must be id:key"},
		{[]string{"--topic", "/s"}, exitUsage, "--topic"},
		{[]string{"--max-length", "1"}, exitUsage, "--max-length 1"},
		{[]string{"extra"}, exitUsage, "extra"},
	} {
		status, _, stderr := program("", append([]string{"mock"}, c.args...)...)
		if status != c.status || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: status %d, want %d; %q should say %q", c.args, status, c.status, stderr, c.says)
		}
	}
}

// What a cluster can demand or lack must be there to be tried; and a mock whose program is gone must go too.
func TestMockDemandsWhatItIsToldTo(t *testing.T) {
	mock := newChild("mock", "--nodes", "1", "--auth", "id:key", "--topic", "test_group/known", "--max-length", "1000", "--no-record", "--until-eof")
	stdin, err := mock.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := mock.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	mock.start(t)
	out := bufio.NewScanner(stdout)
	out.Scan()
	url := out.Text()
	out.Scan()
	control := strings.TrimPrefix(out.Text(), "control ")
	for _, c := range []struct {
		auth, stream, line string
		status             int
		says               string
	}{
		{"id:key", "known", "x", 0, "1 acked"},
		{"id:wrong", "known", "x", exitUnreachable, "403"},
		{"", "known", "x", exitUnreachable, "403"},
		{"id:key", "unknown", "x", exitFailure, "server code 115"},
		{"id:key", "known", strings.Repeat("x", 2000), exitFailure, "code 10009"},
	} {
		t.Setenv("INLONG_BASIC_AUTH", c.auth)
		status, _, stderr := program(c.line, "send", "--url", url, "--group", "test_group", "--stream", c.stream, "--option", "max_retries=0")
		if status != c.status || !strings.Contains(stderr, c.says) {
			t.Errorf("%+v: status %d, %s", c, status, stderr)
		}
	}
	if answer := request(t, http.MethodGet, control+"/stats"); !strings.Contains(answer, `"messages":1,`) {
		t.Errorf("--no-record does not count: %s", answer)
	}
	stdin.Close()
	if err := mock.Wait(); err != nil {
		t.Errorf("ended with %v: %s", err, mock.stderr)
	}
}
