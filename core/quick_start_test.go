package dataproxy_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// The first thing that a new user does is to copy a sample from the README. It must compile as it stands, in a project of
// its own, and deliver.
func TestReadmeSamplesWorkOutsideTheRepository(t *testing.T) {
	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(top, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(top, "build/lib")

	t.Run("Go", func(t *testing.T) {
		folder, cluster := t.TempDir(), dataproxytest.Start(t)
		writeSample(t, filepath.Join(folder, "main.go"), string(readme), "go", cluster)
		module := "module example.org/first\n\ngo 1.26\n\n" + sample(t, string(readme), "")
		write(t, filepath.Join(folder, "go.mod"), strings.Replace(module, "=> ../inlong-dataproxy", "=> "+top, 1))
		runIn(t, folder, nil, "go", "mod", "tidy")
		runIn(t, folder, nil, "go", "run", ".")
		expect(t, cluster, "from Go", "from Go, async")
	})
	t.Run("C", func(t *testing.T) {
		needsLibrary(t, library)
		folder, cluster := t.TempDir(), dataproxytest.Start(t)
		writeSample(t, filepath.Join(folder, "first.c"), string(readme), "c", cluster)
		runIn(t, folder, nil, "gcc", "-Wall", "-Wextra", "-Werror", "-I"+filepath.Join(top, "include"), "first.c",
			"-L"+library, "-linlong_dataproxy", "-Wl,-rpath,"+library, "-o", "first")
		runIn(t, folder, nil, "./first")
		expect(t, cluster, "from C")
	})
	t.Run("Python", func(t *testing.T) {
		needsLibrary(t, library)
		folder, cluster := t.TempDir(), dataproxytest.Start(t)
		writeSample(t, filepath.Join(folder, "first.py"), string(readme), "python", cluster)
		runIn(t, folder, []string{"PYTHONPATH=" + filepath.Join(top, "bindings/python"), "PYTHONDONTWRITEBYTECODE=1"},
			"python3", "first.py")
		expect(t, cluster, "from Python", "text is sent as UTF-8", "line 0", "line 999")
		if n := cluster.Count(); n != 1002 {
			t.Errorf("%d messages arrived, want 1002", n)
		}
	})
}

// sample returns the first block of the README in that language.
func sample(t *testing.T, readme, language string) string {
	t.Helper()
	_, rest, found := strings.Cut(readme, "\n```"+language+"\n")
	if language == "" { // the end of a block looks like the start of one without a language
		_, rest, found = strings.Cut(readme, "\n\n```\n")
	}
	block, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !closed {
		t.Fatalf("the README has no block of language %q", language)
	}
	return block + "\n"
}

func writeSample(t *testing.T, path, readme, language string, cluster *dataproxytest.Cluster) {
	t.Helper()
	const url = "http://127.0.0.1:8083"
	text := sample(t, readme, language)
	if !strings.Contains(text, url) {
		t.Fatalf("the %s sample does not use %s", language, url)
	}
	write(t, path, strings.ReplaceAll(text, url, cluster.URL()))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func runIn(t *testing.T, folder string, env []string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func expect(t *testing.T, cluster *dataproxytest.Cluster, payloads ...string) {
	t.Helper()
	var received []string
	for _, payload := range cluster.Messages() {
		received = append(received, string(payload))
	}
	for _, want := range payloads {
		if !slices.Contains(received, want) {
			t.Errorf("%q did not arrive", want)
		}
	}
}

func needsLibrary(t *testing.T, folder string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(folder, "libinlong_dataproxy_core.so")); err != nil {
		t.Skipf("the C library is not built (make capi): %v", err)
	}
}
