package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// address says where the fake cluster listens.
type address struct {
	URL   string   `json:"url"`
	Nodes []string `json:"nodes"`
}

// serve is the server's process: it runs a cluster that does as little as it can, prints its address, and ends with its
// standard input, hence with the process that started it, however that ends.
func serve() error {
	cluster, err := dataproxytest.NewCluster(dataproxytest.WithNodes(3), dataproxytest.WithoutRecorder(),
		dataproxytest.WithTrustedBodies())
	if err != nil {
		return err
	}
	defer cluster.Close()
	at := address{URL: cluster.URL()}
	for _, n := range cluster.Nodes() {
		at.Nodes = append(at.Nodes, n.Addr())
	}
	if err := json.NewEncoder(os.Stdout).Encode(at); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// server is the fake cluster in a process of its own, so that its CPU time is nobody else's.
type server struct {
	address
	cmd  *exec.Cmd
	stop io.Closer
}

func startServer(self string) (*server, error) {
	cmd := exec.Command(self, serverCommand)
	cmd.Stderr = os.Stderr
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
	s := &server{cmd: cmd, stop: in}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s.address)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("the server did not start: %w", err)
	}
	return s, nil
}

func (s *server) close() {
	_ = s.stop.Close()
	_ = s.cmd.Wait()
}
