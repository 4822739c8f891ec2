package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/access"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/discovery"
)

// target is the cluster that is sent to.
type target struct {
	manager, group, stream, auth string
	options                      map[string]string // of every client
	nodes                        []string
	nodesGiven                   bool // by the user: else by the Manager
	frameLimit                   int
	authAsked                    bool // the Manager wants credentials
	source                       source
	fake                         *dataproxytest.Cluster
}

const defaultFrameLimit = 512 << 10 // a client's, and a node's as it is shipped

// startFake starts a cluster in this process and makes it the target.
func (t *target) startFake() (*dataproxytest.Cluster, error) {
	t.group, t.stream, t.auth, t.nodesGiven = "conformance_group", "conformance_stream", "conformance:key", true
	id, key, _ := strings.Cut(t.auth, ":")
	fake, err := dataproxytest.NewCluster(dataproxytest.WithGroups(t.group), dataproxytest.WithTopics(t.group+"/"+t.stream),
		dataproxytest.WithBasicAuth(id, key))
	if err != nil {
		return nil, err
	}
	t.manager, t.source = fake.URL(), recorder{fake}
	for _, n := range fake.Nodes() {
		t.nodes = append(t.nodes, n.Addr())
	}
	return fake, nil
}

// describe is what stands above the table.
func (t *target) describe() string {
	where := "Manager " + discovery.RedactURL(t.manager)
	switch {
	case t.fake != nil:
		where = "a fake cluster, since neither MANAGER nor NODES is given: Manager " + discovery.RedactURL(t.manager)
	case t.manager == "":
		where = "no Manager"
	}
	back := "not read back, since KAFKA is not given: only acks are checked"
	if t.source != nil {
		back = "read back from " + t.source.describe()
	}
	return fmt.Sprintf("Sending to %s, nodes %s, group %s, stream %s; %s.\n", where, strings.Join(t.nodes, " "), t.group, t.stream, back)
}

func (t *target) close() {
	if t.source != nil {
		t.source.close()
	}
	if t.fake != nil {
		t.fake.Close()
	}
}

// checkIDs finds what every client would refuse: said once, and not as a fault of each case.
func (t *target) checkIDs() error {
	options := dataproxy.Options{GroupID: t.group, BasicAuth: t.auth, StaticNodes: []string{"127.0.0.1:1"}}
	if err := options.ValidateAndSetDefault(); err != nil {
		return fmt.Errorf("GROUP, AUTH: %w", err)
	}
	if err := dataproxy.CheckStreamID(t.stream); err != nil {
		return fmt.Errorf("STREAM: %w", err)
	}
	return nil
}

// ask learns from the Manager what the cases need to know.
func (t *target) ask(ctx context.Context) error {
	t.frameLimit = defaultFrameLimit
	if t.manager == "" {
		return nil
	}
	listURLs, err := discovery.ListURLs(t.manager)
	if err != nil {
		return fmt.Errorf("MANAGER %q: %w", discovery.RedactURL(t.manager), err)
	}
	m := discovery.Manager{ListURLs: listURLs, Group: t.group}
	if file := t.options["ca_file"]; file != "" {
		roots, err := access.ReadRoots(file)
		if err != nil {
			return fmt.Errorf("option ca_file = %q: %w", file, err)
		}
		m.TLS = func() *tls.Config { return &tls.Config{RootCAs: roots} }
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if t.auth != "" {
		_, err := m.Fetch(ctx)
		t.authAsked = err != nil && strings.Contains(err.Error(), "credentials")
		m.Authorize = func(context.Context, string) (string, string, error) {
			return "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(t.auth)), nil
		}
	}
	list, err := m.Fetch(ctx)
	if err != nil {
		return fmt.Errorf("MANAGER %s: %w", discovery.RedactURL(t.manager), err)
	}
	if !t.nodesGiven {
		t.nodes = list.Nodes
	}
	if list.MaxPacketLength > 0 {
		t.frameLimit = min(t.frameLimit, list.MaxPacketLength)
	}
	return nil
}

// newPlan makes a plan whose client reaches the target.
func (t *target) newPlan(tag string) *plan {
	p := &plan{tag: tag, mode: modeAsync, options: maps.Clone(t.options)}
	if p.options == nil {
		p.options = make(map[string]string)
	}
	p.options["group_id"] = t.group
	if t.manager == "" {
		t.fixNodes(p, t.nodes)
		return p
	}
	p.options["url"] = t.manager
	if t.auth != "" {
		p.options["basic_auth"] = t.auth
	}
	return p
}

// fixNodes makes the plan's client go to these nodes without asking a Manager.
func (t *target) fixNodes(p *plan, nodes []string) {
	delete(p.options, "url")
	delete(p.options, "basic_auth")
	p.options["static_nodes"] = strings.Join(nodes, ",")
}

// mayAck says why a cluster of the user's may ack what the case wants refused. What the fake must do is known: it may not.
func (t *target) mayAck(why string) string {
	if t.fake != nil {
		return ""
	}
	return why
}

// finish gives messages that name no stream the target's.
func (t *target) finish(p *plan) {
	for _, m := range p.messages {
		if m.stream == "" {
			m.stream = t.stream
		}
	}
	if len(p.steps) == 0 || p.steps[len(p.steps)-1].kind != "close" {
		p.flush()
		p.close()
	}
}

// longest returns how many bytes of payload fit into one message of the plan, as the client itself says: one that has no
// node takes messages and sends none.
func (t *target) longest(p *plan) int {
	opts := []dataproxy.Option{dataproxy.WithLazyStart(true), dataproxy.WithStaticNodes("127.0.0.1:1"), dataproxy.WithGroupID(t.group),
		dataproxy.WithMaxFrameSize(t.frameLimit), dataproxy.WithLogger(dataproxy.NopLogger()),
		dataproxy.WithMetricsRegistry(prometheus.NewRegistry())}
	client, err := dataproxy.NewClient(opts...)
	if err != nil {
		panic(err) // none of these can be wrong
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	defer func() { _, _ = client.Shutdown(ctx) }()
	payload := make([]byte, t.frameLimit+1)
	return sort.Search(len(payload), func(n int) bool {
		refused := make(chan error, 1)
		client.SendAsync(context.Background(), dataproxy.Message{StreamID: t.stream, Payload: payload[:n+1],
			Attributes: map[string]string{tagAttribute: p.tag}}, func(_ dataproxy.Message, err error) { refused <- err })
		select {
		case err := <-refused: // at once, before SendAsync returned
			return errors.Is(err, dataproxy.ErrLogTooLong)
		default:
			return false
		}
	})
}

// setOption notes an option of every client.
func (t *target) setOption(text string) error {
	key, value, _ := strings.Cut(text, "=")
	if slices.Contains([]string{"url", "group_id", "static_nodes", "basic_auth"}, key) {
		return fmt.Errorf("%s has a variable of its own", strconv.Quote(key))
	}
	if t.options == nil {
		t.options = make(map[string]string)
	}
	t.options[key] = value
	return dataproxy.ParseOption(key, value)
}
