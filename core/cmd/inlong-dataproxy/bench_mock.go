package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// mockNodes is how many nodes the mock has.
const mockNodes = 3

// runningMock is a fake cluster in a process of its own.
type runningMock struct {
	url, control string
	stop         func()
}

// outage has all nodes down for some time, from a tenth of the duration on.
func (m *runningMock) outage(ctx context.Context, f *benchFlags, screen *screen) {
	if f.outage == 0 || !sleep(ctx, f.duration/10) {
		return
	}
	for _, op := range []string{"kill", "revive"} {
		for node := range mockNodes {
			if err := m.command(fmt.Sprintf(`{"op":%q,"node":%d}`, op, node)); err != nil {
				fmt.Fprintf(screen, "--outage: %v\n", err)
				return
			}
		}
		if op == "kill" {
			sleep(ctx, f.outage) // and back again in any case: messages wait for that
		}
	}
}

func (m *runningMock) command(text string) error {
	answer, err := http.Post(m.control+"/control", "application/json", strings.NewReader(text))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("the mock answered %s to %s", answer.Status, text)
	}
	return nil
}

// startMock runs this program's mock as a process of its own, so that its CPU time is not the client's. It ends with this
// process, however that ends.
func startMock() (*runningMock, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "mock", "--no-record", "--until-eof", "--nodes", strconv.Itoa(mockNodes))
	cmd.Stderr = os.Stderr
	// A Ctrl-C goes to all processes of the terminal's group; the mock must answer what is on its way then.
	cmd.SysProcAttr = ownGroup()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	lines := bufio.NewScanner(out)
	m := &runningMock{stop: stop}
	if lines.Scan() {
		m.url = lines.Text()
	}
	if lines.Scan() {
		m.control = strings.TrimPrefix(lines.Text(), "control ")
	}
	if m.control == "" {
		stop()
		return nil, fmt.Errorf("it did not start: %w", cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
	}
	return m, nil
}
