package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// atOnce bounds how many nodes are checked at the same time.
const atOnce = 16

// examination is what was seen of one node.
type examination struct {
	connect, beat time.Duration
	connected     bool
	err           error
}

// checkNodes returns the nodes that answer.
func (d *doctor) checkNodes(ctx context.Context, nodes []string) (healthy []string) {
	seen := make([]examination, len(nodes))
	var all sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, node := range nodes {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			seen[i] = examine(ctx, node, d.way())
		})
	}
	all.Wait()
	for i, node := range nodes {
		switch e := seen[i]; {
		case e.err == nil:
			healthy = append(healthy, node)
			d.ok("node "+node, "connects in %v, answers a heartbeat in %v", e.connect, e.beat)
		case !e.connected:
			d.add(levelFail, "node "+node, adviceForDial(e.err), "cannot connect: %v", e.err)
		case errors.Is(e.err, wire.ErrAnswer):
			d.add(levelFail, "node "+node, "What listens there is no DataProxy: check the node's TCP port in the Manager.", "%v", e.err)
		case errors.Is(e.err, os.ErrDeadlineExceeded):
			d.add(levelFail, "node "+node, "A node that is being stopped does this, or it hangs: restart it, or take it off the list; clients avoid it. So does what is no "+
				"DataProxy: check the port, which is 46801 unless the node was configured otherwise.",
				"accepts connections and does not answer a heartbeat within %v", d.options.ConnTimeout)
		default:
			d.add(levelFail, "node "+node, "It has too many connections, or refuses this machine's address (black or white list): see its log.",
				"closes the connection: %v", e.err)
		}
	}
	if len(nodes) > 0 && len(healthy) == 0 {
		d.add(levelFail, "nodes", "Nothing can be sent until one answers. Are they reachable from this machine at all, as the Manager names them?", "none of %d answers", len(nodes))
	}
	return healthy
}

// way is how the client reaches nodes.
func (d *doctor) way() *transport.Config {
	o := &d.options
	config := &transport.Config{ConnTimeout: o.ConnTimeout, Guard: func() {}}
	if o.Socks != "" {
		config.Open = transport.Socks(o.Socks, o.SocksAuth)
	}
	if o.NodeTLS {
		if files, err := d.files().Open(func(error) {}); err == nil { // checkConfig has read them
			config.TLS = files.To
		}
	}
	return config
}

func examine(ctx context.Context, node string, way *transport.Config) (e examination) {
	start, timeout := time.Now(), way.ConnTimeout
	host, _, err := net.SplitHostPort(node)
	if err != nil {
		e.err = err
		return e
	}
	dialing, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := transport.OpenTo(dialing, host, node, way)
	if err != nil {
		e.err = err
		return e
	}
	defer conn.Close()
	e.connected, e.connect = true, since(start)
	start = time.Now()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if e.err = conn.SetDeadline(start.Add(timeout)); e.err != nil {
		return e
	}
	if _, e.err = conn.Write(wire.Heartbeat); e.err != nil {
		return e
	}
	answer := make([]byte, len(wire.Heartbeat))
	if _, e.err = io.ReadFull(conn, answer); e.err != nil {
		return e
	}
	e.beat = since(start)
	if string(answer) != string(wire.Heartbeat) {
		e.err = fmt.Errorf("%w to a heartbeat: % x", wire.ErrAnswer, answer)
	}
	return e
}

// checkSend sends one message through each node by itself, for a client of all of them would not say which one fails.
func (d *doctor) checkSend(ctx context.Context, nodes []string) {
	for _, node := range nodes {
		start := time.Now()
		err := d.sendThrough(ctx, node)
		check := "message through " + node
		var e *dataproxy.Error
		switch {
		case err == nil:
			d.ok(check, "acked in %v: it is in the node's memory, not yet stored", since(start))
		case errors.As(err, &e) && e.ServerCode != 0: // also after a time-out: the node said "not now" until then
			d.add(levelFail, check, adviceFor(e), "%v: %s", err, meaningOf(e))
		case errors.Is(err, dataproxy.ErrSendTimeout):
			d.add(levelFail, check, "The node answers heartbeats and no messages: see its log. Raise send_timeout and ack_timeout if it is only slow.", "%v", err)
		case errors.As(err, &e):
			d.add(levelFail, check, adviceFor(e), "%v: %s", err, meaningOf(e))
		default:
			d.add(levelFail, check, "Check the node's log.", "%v", err)
		}
	}
}

func (d *doctor) sendThrough(ctx context.Context, node string) error {
	options := append(d.config.clientOptions(), dataproxy.WithOption("static_nodes", node), dataproxy.WithWorkerNum(1),
		dataproxy.WithLazyStart(false), dataproxy.WithMaxRetries(0), dataproxy.WithLogger(dataproxy.NopLogger()),
		dataproxy.WithSpoolDir("")) // it would send what others have left there
	client, err := dataproxy.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	text := "inlong-dataproxy doctor " + time.Now().UTC().Format(time.RFC3339)
	return client.Send(ctx, dataproxy.Message{StreamID: d.config.stream, Payload: []byte(text)})
}
