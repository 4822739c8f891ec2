package pages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// No example of C or Python took credentials, so none ran against a Manager as it is shipped since 2.4.
func TestEachExampleTakesCredentials(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	examples := 0
	for _, pattern := range []string{"bindings/c/examples/0*.c*", "bindings/python/examples/0*.py"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), "Client") && !strings.Contains(string(text), "inlong_client_new") {
				continue // it reads a topic, and asks no Manager
			}
			examples++
			for _, way := range []string{`--auth ID:KEY`, "INLONG_BASIC_AUTH"} {
				if !strings.Contains(string(text), way) && !strings.Contains(string(text), `"--auth", metavar="ID:KEY"`) {
					t.Errorf("%s does not know %s", file, way)
				}
			}
		}
	}
	if examples < 12 {
		t.Errorf("only %d examples found", examples)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(readme), `"INLONG_BASIC_AUTH"`); n < 3 {
		t.Errorf("%d of the README's first programs take credentials from the environment, want 3", n)
	}
}

// The first example of each language, against a Manager that wants credentials. It is skipped where `make build` did not run.
func TestFirstExamplesSendThroughAManagerThatWantsCredentials(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string][]string{
		"C": {filepath.Join(root, "build/examples/01_send")}, "C++": {filepath.Join(root, "build/examples/08_raii")},
		"Python": {"python3", filepath.Join(root, "bindings/python/examples/01_send.py")},
	} {
		t.Run(name, func(t *testing.T) {
			built := command[0]
			if name == "Python" {
				built = filepath.Join(root, "build/lib/libinlong_dataproxy.so")
			}
			if _, err := os.Stat(built); err != nil {
				t.Skip("not built")
			}
			cluster := dataproxytest.Start(t, dataproxytest.WithBasicAuth("id", "key"))
			run := func(env string, auth ...string) error {
				args := append(append(command[1:len(command):len(command)], auth...), cluster.URL(), "test_group", "s", "1")
				cmd := exec.Command(command[0], args...)
				cmd.Env = append(os.Environ(), "INLONG_BASIC_AUTH="+env, "PYTHONPATH="+filepath.Join(root, "bindings/python"))
				out, err := cmd.CombinedOutput()
				t.Logf("%q: %s", auth, out)
				return err
			}
			if err := run("", "--auth", "id:key"); err != nil {
				t.Errorf("--auth: %v", err)
			}
			if err := run("id:key"); err != nil {
				t.Errorf("by the environment: %v", err)
			}
			sent := cluster.Count()
			if run("") == nil || run("id:key", "--auth", "id:wrong") == nil || cluster.Count() != sent {
				t.Errorf("acked without the right credentials")
			}
		})
	}
}
