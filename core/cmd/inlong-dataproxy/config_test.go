package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// streams returns the streams of what arrived, in its order.
func streams(cluster *dataproxytest.Cluster) (names []string) {
	for _, record := range cluster.Received() {
		names = append(names, record.Stream)
	}
	return names
}

// Anyone who overrides a file's value by the environment, or that one by a flag, must not send to the old place.
func TestFlagsWinOverEnvironmentAndThatOverTheFile(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := writeFile(t, "c.yaml", "url: "+cluster.URL()+"\ngroup_id: test_group\nstream: of_file\nsend_timeout: 20s\njson: true\n")
	send := func(want string, args ...string) {
		t.Helper()
		status, stdout, stderr := program("a\n", append([]string{"send"}, args...)...)
		if status != 0 || !strings.Contains(stdout, `"acked":1`) {
			t.Fatalf("status %d, %q: %s", status, stdout, stderr)
		}
		got := streams(cluster)
		if last := got[len(got)-1]; last != want {
			t.Errorf("sent to %q, want %q", last, want)
		}
	}
	send("of_file", "--config", file)
	t.Setenv("INLONG_CONFIG", file)
	send("of_file")
	t.Setenv("INLONG_STREAM", "of_environment")
	send("of_environment")
	send("of_flag", "--stream", "of_flag")

	t.Setenv("INLONG_WORKER_NUM", "none")
	if status, _, stderr := program("a\n", "send"); status != exitUsage || !strings.Contains(stderr, "INLONG_WORKER_NUM: option worker_num") {
		t.Errorf("status %d: %s", status, stderr)
	}
	t.Setenv("INLONG_WORKER_NUM", "")
	t.Setenv("INLONG_URL", "http://127.0.0.1:1")
	send("of_environment", "--url", cluster.URL())
	send("of_environment", "--option", "url="+cluster.URL())
}

// A key that is mistyped and ignored leaves a default in force, and nobody sees it.
func TestConfigFileRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"unknown key":   {"url: http://h:1\nsend_timeot: 1s\n", `line 2: key "send_timeot": unknown; did you mean "send_timeout"?`},
		"unknown group": {"group: g\n", `key "group": unknown; did you mean "group_id"?`},
		"all at once":   {"sream: s\nurll: u\n", `did you mean "url"?`},
		"twice":         {"url: a\nurl: b\n", "line 2"},
		"no value":      {"url:\n", `key "url": has no value`},
		"bad value":     {"send_timeout: 5\n", "line 1: option send_timeout"},
		"a flag's":      {"progress: maybe\n", "progress"},
		"no map":        {"- a\n", `must be "key: value" lines`},
		"no YAML":       {"a: [\n", "c.yaml"},
		"nested":        {"static_nodes: [[a]]\n", "an item of a list must be a plain value"},
		"two documents": {"stream: s\n---\nurl: http://h:1\n", `line 2: a second document`},
	} {
		t.Run(name, func(t *testing.T) {
			file := writeFile(t, "c.yaml", c.text)
			status, _, stderr := program("", "send", "--config", file)
			if status != exitUsage || !strings.Contains(stderr, c.says) {
				t.Errorf("status %d, want %d; %q should say %q", status, exitUsage, stderr, c.says)
			}
		})
	}
	if status, _, stderr := program("", "send", "--config", "/nonexistent.yaml"); status != exitUsage || !strings.Contains(stderr, "/nonexistent.yaml") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

// Lists and maps of a file must come to the client as the same text would by a flag.
func TestConfigFileTakesListsAndMaps(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := writeFile(t, "c.yaml", "# two nodes\nstatic_nodes:\n  - "+cluster.Node(0).Addr()+"\n  - "+cluster.Node(1).Addr()+
		"\ngroup_id: test_group\nstream: s\nadd_columns: {__addcol1__world: 7, __addcol2__zone: a}\n")
	if status, _, stderr := program("a\n", "send", "--config", file); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	record := cluster.Received()[0]
	if record.Attr["__addcol1__world"] != "7" || record.Attr["__addcol2__zone"] != "a" {
		t.Errorf("attributes %v", record.Attr)
	}
}
