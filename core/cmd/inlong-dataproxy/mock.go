package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

type mockFlags struct {
	listen, control string
	nodes           int
}

func mockCommand() *cobra.Command {
	var f mockFlags
	cmd := &cobra.Command{
		Use:   "mock",
		Short: "Run a fake Manager with DataProxy nodes, to try a client against",
		Long: `Run a fake Manager with DataProxy nodes on this machine until SIGINT or SIGTERM. The first line on standard output is the
Manager's url; the next ones are the address that takes commands over HTTP, and those of the nodes. Commands:

  GET    /stats                    what arrived, and the nodes
  GET    /messages                 what arrived (?offset=0&limit=1000)
  POST   /reset                    forget what arrived
  POST   /nodes                    add a node
  DELETE /nodes/N                  take node N off the list; POST /nodes/N/list puts it back
  POST   /nodes/N/kill             or revive, or stop: accept connections and never answer
  POST   /nodes/N/fault            the body is a fault, such as {"kind":"error_code","code":114} or {"kind":"silence"};
                                   ?times=3 or ?standing=true; DELETE ends all
  POST   /manager/fault            the same for the Manager`,
		Example: `  inlong-dataproxy mock --listen 127.0.0.1:8083 --control 127.0.0.1:8084
  curl -X POST http://127.0.0.1:8084/nodes/0/kill
  curl http://127.0.0.1:8084/stats`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return mock(cmd, &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:0", "host:port of the Manager; port 0 takes a free one")
	flags.StringVar(&f.control, "control", "127.0.0.1:0", "host:port that takes commands; port 0 takes a free one")
	flags.IntVar(&f.nodes, "nodes", 3, "number of DataProxy nodes")
	return cmd
}

func mock(cmd *cobra.Command, f *mockFlags) error {
	host, port, err := splitAddress(f.listen)
	if err != nil {
		return usagef(cmd, "--listen %q: %v", f.listen, err)
	}
	if _, _, err := splitAddress(f.control); err != nil {
		return usagef(cmd, "--control %q: %v", f.control, err)
	}
	cluster, err := dataproxytest.NewCluster(dataproxytest.WithListenHost(host), dataproxytest.WithManagerPort(port),
		dataproxytest.WithNodes(f.nodes))
	if err != nil {
		return err
	}
	defer cluster.Close()
	listener, err := net.Listen("tcp", f.control)
	if err != nil {
		return fmt.Errorf("--control: %w", err)
	}
	server := &http.Server{Handler: cluster.ControlHandler(), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	defer server.Close()

	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s\ncontrol http://%s\n", cluster.URL(), listener.Addr())
	for _, node := range cluster.Nodes() {
		fmt.Fprintf(out, "node %s\n", node.Addr())
	}
	select {
	case <-cmd.Context().Done():
		return nil
	case err := <-ended:
		return err
	}
}

func splitAddress(text string) (host string, port int, err error) {
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, errors.New("must be host:port")
	}
	port, err = strconv.Atoi(portText)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("the port %q must be a number of 0..65535", portText)
	}
	return host, port, nil
}
