package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

type mockFlags struct {
	listen, control, auth string
	topics                []string
	nodes, maxLength      int
	noRecord, untilEOF    bool
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
  POST   /manager/fault            the same for the Manager
  POST   /control                  the body is a command as JSON, such as {"op":"kill","node":0}; the libraries take the same

` + dataproxytest.ControlHelp(),
		Example: `  inlong-dataproxy mock --listen 127.0.0.1:8083 --control 127.0.0.1:8084
  curl -X POST http://127.0.0.1:8084/nodes/0/kill
  curl http://127.0.0.1:8084/stats`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return mock(cmd, &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:0", "`HOST:PORT` of the Manager; port 0 takes a free one")
	flags.StringVar(&f.control, "control", "127.0.0.1:0", "`HOST:PORT` that takes commands; port 0 takes a free one")
	flags.IntVar(&f.nodes, "nodes", 3, "`NUMBER` of DataProxy nodes")
	flags.StringVar(&f.auth, "auth", "", "`ID:KEY` that the Manager demands, as the option basic_auth has it")
	flags.StringArrayVar(&f.topics, "topic", nil, "`GROUP/STREAM`, or group for all its streams: all others are unknown then (code 115); may be repeated")
	flags.IntVar(&f.maxLength, "max-length", 512<<10, "`BYTES` of the longest frame; the connection of a longer one is closed")
	flags.BoolVar(&f.noRecord, "no-record", false, "count what arrives and keep nothing of it, for load tests")
	flags.BoolVar(&f.untilEOF, "until-eof", false, "end also when standard input ends, as with the program that started this one")
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
	options, err := f.clusterOptions()
	if err != nil {
		return usagef(cmd, "%v", err)
	}
	cluster, err := dataproxytest.NewCluster(append(options, dataproxytest.WithListenHost(host), dataproxytest.WithManagerPort(port))...)
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

	lines := fmt.Sprintf("%s\ncontrol http://%s\n", cluster.URL(), listener.Addr())
	for _, node := range cluster.Nodes() {
		lines += fmt.Sprintf("node %s\n", node.Addr())
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), lines); err != nil {
		return err // nobody would learn where it is
	}
	var eof chan error
	if f.untilEOF {
		eof = make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, cmd.InOrStdin())
			eof <- err
		}()
	}
	select {
	case <-cmd.Context().Done():
		return nil
	case err := <-eof:
		return err
	case err := <-ended:
		return err
	}
}

// clusterOptions are those that the flags ask for.
func (f *mockFlags) clusterOptions() ([]dataproxytest.Option, error) {
	const mostNodes, shortest, longest = 1000, 64, 20 << 20
	options := []dataproxytest.Option{dataproxytest.WithNodes(f.nodes), dataproxytest.WithMaxMessageLength(f.maxLength)}
	id, key, found := strings.Cut(f.auth, ":")
	switch {
	case f.nodes < 0 || f.nodes > mostNodes:
		return nil, fmt.Errorf("--nodes %d: must be 0 to %d", f.nodes, mostNodes)
	case f.maxLength < shortest || f.maxLength > longest:
		return nil, fmt.Errorf("--max-length %d: must be %d to %d", f.maxLength, shortest, longest)
	case f.auth != "" && (!found || id == "" || key == ""):
		return nil, errors.New("--auth: must be id:key")
	case f.auth != "":
		options = append(options, dataproxytest.WithBasicAuth(id, key))
	}
	for _, topic := range f.topics {
		if group, _, _ := strings.Cut(topic, "/"); group == "" {
			return nil, fmt.Errorf("--topic %q: must be group/stream, or group", topic)
		}
	}
	if len(f.topics) > 0 {
		options = append(options, dataproxytest.WithTopics(f.topics...))
	}
	if f.noRecord {
		options = append(options, dataproxytest.WithoutRecorder(), dataproxytest.WithTrustedBodies())
	}
	return options, nil
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
