package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/tcptest"
)

// A doctor that finds something wrong where nothing is, or sends without being told to, is not asked again.
func TestDoctorIsContentWithAHealthyCluster(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithBasicAuth("id", "key"))
	t.Setenv("INLONG_BASIC_AUTH", "id:key")
	args := []string{"doctor", "--url", cluster.URL(), "--group", "test_group"}
	status, stdout, stderr := program("", args...)
	if status != 0 || strings.Contains(stdout, levelFail) || strings.Contains(stdout, levelWarn) {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
	for _, node := range cluster.Nodes() {
		if !strings.Contains(stdout, "node "+node.Addr()+": connects in ") {
			t.Errorf("nothing of node %s: %s", node.Addr(), stdout)
		}
	}
	for _, part := range []string{"configuration: group test_group", "Manager: ", "credentials: accepted", "group: test_group is ready, 3 nodes", "clock: agrees",
		"stream: not checked: only a message shows", "see --send"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("lacks %q: %s", part, stdout)
		}
	}
	if n := cluster.Count(); n != 0 {
		t.Errorf("%d messages were sent without --send", n)
	}
	status, stdout, _ = program("", append(args, "--send", "--stream", "s", "--json")...)
	var findings []finding
	if err := json.Unmarshal([]byte(stdout), &findings); err != nil || status != 0 || len(findings) < 10 {
		t.Errorf("status %d, error %v: %s", status, err, stdout)
	}
	for _, node := range cluster.Nodes() {
		if node.Count() != 1 {
			t.Errorf("%d messages came to node %d, want 1", node.Count(), node.Index())
		}
	}
}

// The doctor is asked when something is wrong: what it says must name that, and what to do, and a script must see it.
func TestDoctorNamesTheFault(t *testing.T) {
	manager := func(status int, header, body string) func(*testing.T, *dataproxytest.Cluster) []string {
		return func(t *testing.T, _ *dataproxytest.Cluster) []string {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if header != "" {
					w.Header().Set("Date", header)
				}
				w.WriteHeader(status)
				w.Write([]byte(body))
			}))
			t.Cleanup(server.Close)
			return []string{"--url", server.URL}
		}
	}
	for name, c := range map[string]struct {
		prepare func(*testing.T, *dataproxytest.Cluster) []string
		says    []string
	}{
		"no Manager": {func(*testing.T, *dataproxytest.Cluster) []string { return []string{"--url", "http://127.0.0.1:1"} },
			[]string{"FAILED   Manager: no answer from 127.0.0.1:1", "Nothing listens there"}},
		"no such host": {func(*testing.T, *dataproxytest.Cluster) []string {
			return []string{"--url", "http://manager.invalid:8083"}
		},
			[]string{"FAILED   Manager", "manager.invalid"}},
		"not a Manager": {manager(404, "", "what?"), []string{"FAILED   Manager", "404 Not Found", "path of --url"}},
		"no JSON":       {manager(200, "", "<html>"), []string{"FAILED   group", "What answers there is no Manager"}},
		"a DataProxy": {func(t *testing.T, _ *dataproxytest.Cluster) []string {
			return []string{"--url", "http://" + echoes(t, "")}
		},
			[]string{"FAILED   Manager", "a DataProxy's port, perhaps?"}},
		"https": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			return []string{"--url", strings.Replace(c.URL(), "http:", "https:", 1)}
		}, []string{"FAILED   Manager", "try http in --url"}},
		"clock and credentials": {manager(403, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), "{}"),
			[]string{"FAILED   clock: this machine is -", "FAILED   credentials"}},
		"clock": {manager(200, time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), "{}"),
			[]string{"FAILED   clock: this machine is 1h0", "NTP"}},
		"silent Manager": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			c.Manager().Standing(dataproxytest.Silence())
			return []string{"--option", "manager_timeout=200ms"}
		}, []string{"FAILED   Manager", "No answer in time"}},
		"credentials": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			c.Manager().Standing(dataproxytest.HTTPStatus(403, ""))
			return nil
		}, []string{"FAILED   credentials", "INLONG_BASIC_AUTH"}},
		"wrong credentials": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			c.Manager().Standing(dataproxytest.HTTPStatus(403, ""))
			return []string{"--option", "basic_auth=a:b"}
		}, []string{"FAILED   credentials", "letter case", "everyone on this machine can read"}},
		"group status": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			c.Manager().SetGroupStatus("test_group", "to_be_submit")
			return nil
		}, []string{"FAILED   group", "to_be_submit", "approved"}},
		"unknown group": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			c.Manager().Standing(dataproxytest.Failure("group not found by groupId=test_group"))
			return nil
		}, []string{"FAILED   group", "spelling of the group"}},
		"no nodes": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			c.Manager().Standing(dataproxytest.EmptyList())
			return nil
		}, []string{"FAILED   nodes", "switched on"}},
		"dead node": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			c.Node(1).Kill()
			return nil
		}, []string{"cannot connect", "Nothing listens there", "1 of "}},
		"stopped node": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			c.Node(1).Stop()
			return []string{"--option", "conn_timeout=300ms"}
		}, []string{"does not answer a heartbeat within 300ms", "being stopped", "or it hangs", "no DataProxy", "46801"}},
		"no DataProxy": {func(t *testing.T, c *dataproxytest.Cluster) []string {
			return []string{"--option", "static_nodes=" + echoes(t, "HTTP/1.1 400 Bad Request\r\n")}
		}, []string{"What listens there is no DataProxy", "none of 1 answers"}},
		"closing node": {func(t *testing.T, c *dataproxytest.Cluster) []string {
			return []string{"--option", "static_nodes=" + echoes(t, "")}
		}, []string{"closes the connection", "too many connections"}},
		"topic": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			c.Node(0).Standing(dataproxytest.ErrorCode(115))
			return []string{"--send", "--stream", "s"}
		}, []string{"FAILED   message through ", "server code 115", "spelling of group and stream"}},
		"starting node": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			c.Node(0).Standing(dataproxytest.ErrorCode(1))
			return []string{"--send", "--stream", "s", "--option", "send_timeout=300ms"}
		}, []string{"FAILED   message through ", "server code 1", "no message queue configured yet", "an MQ cluster of the same tag",
			"it is in the node's memory, not yet stored"}},
		"stopped service": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			c.Node(0).Standing(dataproxytest.ErrorCode(2))
			return []string{"--send", "--stream", "s", "--option", "send_timeout=300ms"}
		}, []string{"server code 2", "an administrator stopped the node's service"}},
		"unknown code": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			c.Node(0).Standing(dataproxytest.ErrorCode(777))
			return []string{"--send", "--stream", "s"}
		}, []string{"server code 777", "a code that this program does not know", "see the node's log"}},
		"one of two addresses": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			return []string{"--url", "http://127.0.0.1:1," + c.URL()}
		}, []string{"FAILED   Manager: no answer from 127.0.0.1:1", "group: test_group is ready, 3 nodes", "answers a heartbeat"}},
		"no answer": {func(_ *testing.T, c *dataproxytest.Cluster) []string {
			c.Node(0).Standing(dataproxytest.DropAnswer())
			return []string{"--send", "--stream", "s", "--option", "send_timeout=300ms"}
		}, []string{"FAILED   message through ", "answers heartbeats and no messages"}},
		"values": {func(*testing.T, *dataproxytest.Cluster) []string { return []string{"--option", "basic_auth=nocolon"} },
			[]string{"FAILED   configuration", "basic_auth"}},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := dataproxytest.Start(t)
			args := []string{"doctor", "--url", cluster.URL(), "--group", "test_group"}
			status, stdout, stderr := program("", append(args, c.prepare(t, cluster)...)...)
			if status != exitFailure {
				t.Errorf("status %d: %s", status, stderr)
			}
			for _, part := range c.says {
				if !strings.Contains(stdout+stderr, part) {
					t.Errorf("should say %q:\n%s%s", part, stdout, stderr)
				}
			}
		})
	}
}

// echoes listens and answers whatever comes with text, or by closing.
func echoes(t *testing.T, text string) string {
	t.Helper()
	return tcptest.Serve(t, tcptest.Listen(t), func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 100))
		_, _ = io.WriteString(conn, text)
	})
}

// Settings that are allowed and hardly meant cost hours; they are told, and are no failure.
func TestDoctorWarnsOfMistakesInTheConfiguration(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := writeFile(t, "c.yaml", "basic_auth: a:b\n")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("INLONG_SEND_TIMEOUTS", "1s")
	t.Setenv("INLONG_HOME", "/opt")
	status, stdout, stderr := program("", "doctor", "--config", file, "--url", cluster.URL(), "--group", "test_group",
		"--option", "send_timeout=5s", "--option", "ack_timeout=10s", "--option", "batching_max_publish_delay=4s")
	if status != 0 {
		t.Errorf("status %d: %s", status, stderr)
	}
	for _, part := range []string{"ack_timeout 10s is not shorter", "batching_max_publish_delay 4s uses up", "others may read it",
		"INLONG_SEND_TIMEOUTS has no effect", "INLONG_SEND_TIMEOUT,"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("should say %q:\n%s", part, stdout)
		}
	}
	if strings.Contains(stdout, "INLONG_HOME") {
		t.Errorf("another program's variable is none of ours:\n%s", stdout)
	}
}

// A proxy that was set for something else answers in the Manager's place.
func TestDoctorTellsOfAProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer proxy.Close()
	c := newChild("doctor", "--url", "http://manager.invalid:8083", "--group", "test_group")
	var stdout bytes.Buffer
	c.Stdout, c.Env = &stdout, append(c.Env, "HTTP_PROXY=http://user:secret@"+proxy.Listener.Addr().String(), "NO_PROXY=")
	c.start(t)
	c.Wait()
	for _, part := range []string{"through the proxy " + proxy.Listener.Addr().String(), "NO_PROXY", "502 Bad Gateway"} {
		if !strings.Contains(stdout.String(), part) {
			t.Errorf("should say %q:\n%s%s", part, &stdout, c.stderr)
		}
	}
	if strings.Contains(stdout.String(), "secret") {
		t.Errorf("tells the proxy's password:\n%s", &stdout)
	}
}
