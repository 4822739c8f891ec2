package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// startMock runs this program's mock as a process of its own, so that its CPU time is not the client's. It ends with this
// process, however that ends.
func startMock() (url string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(self, "mock", "--no-record", "--until-eof")
	cmd.Stderr = os.Stderr
	// A Ctrl-C goes to all processes of the terminal's group; the mock must answer what is on its way then.
	cmd.SysProcAttr = ownGroup()
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("it did not start: %w", err)
	}
	return strings.TrimSpace(line), stop, nil
}
