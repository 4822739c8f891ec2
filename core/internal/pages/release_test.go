package pages

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The pattern for the source archive also took the C archives, which PyPI refuses: with them the whole release.
func TestPyPIGetsWheelsAndSourceArchiveAlone(t *testing.T) {
	workflow, err := os.ReadFile(filepath.Join(top, ".github/workflows/release.yml"))
	require.NoError(t, err)
	command := regexp.MustCompile(`(?m)^ *- run: (mkdir dist && .*)$`).FindSubmatch(workflow)
	require.NotNil(t, command)
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "release"), 0o700))
	want := []string{"dist/inlong_dataproxy-0.1.0-py3-none-manylinux_2_28_aarch64.whl", "dist/inlong_dataproxy-0.1.0.tar.gz"}
	for _, name := range []string{"inlong_dataproxy-0.1.0-py3-none-manylinux_2_28_aarch64.whl", "inlong_dataproxy-0.1.0.tar.gz",
		"inlong_dataproxy-0.1.0-linux-x86_64.tar.gz", "inlong-dataproxy-0.1.0-linux-amd64.tar.gz", "SHA256SUMS"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, "release", name), nil, 0o600))
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", string(command[1]))
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "GITHUB_REF_NAME=v0.1.0")
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))
	got, err := filepath.Glob(filepath.Join(folder, "dist/*"))
	require.NoError(t, err)
	for i := range got {
		got[i], err = filepath.Rel(folder, got[i])
		require.NoError(t, err)
	}
	require.Equal(t, want, got)
}

// Its own go.mod replaces the client by the folder beside it, and asked for a version that no release has. Go heeds nobody else's
// replacement: no program could have the module.
func TestModuleForOpenTelemetryAsksForTheVersionOfItsRelease(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(top, "core/producer.go"))
	require.NoError(t, err)
	version := regexp.MustCompile(`(?m)^const Version = "(.*)"$`).FindSubmatch(source)
	require.NotNil(t, version)
	module, err := os.ReadFile(filepath.Join(top, "core/otel/go.mod"))
	require.NoError(t, err)
	require.Contains(t, string(module), "\tgithub.com/inlong-dataproxy/inlong-dataproxy v"+string(version[1])+"\n", "make versions")
}

// A heading that is the number and nothing else was none: the tag was refused, with a word that the changelog says nothing of it.
func TestChangesOfAVersionAreFoundByItsNumber(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"Makefile", ".ci/release.mk"} {
		text, err := os.ReadFile(filepath.Join(top, name))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), text, 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(folder, "core"), 0o700))
	run := func(target, version string) (string, error) {
		said, err := exec.CommandContext(t.Context(), "make", "-s", "-C", folder, target, "VERSION="+version, "TAG=v"+version).CombinedOutput()
		return string(said), err
	}
	for _, heading := range []string{"## 0.2.0", "## 0.2.0, of today", "## 0.2.0 (today)"} {
		text := "# Changelog\n\n## 0.2.01\nnot this\n" + heading + "\nthis\n## 0.1.0\nolder\n"
		require.NoError(t, os.WriteFile(filepath.Join(folder, "core/CHANGELOG.md"), []byte(text), 0o600))
		said, err := run("changes", "0.2.0")
		require.NoError(t, err, said)
		require.Equal(t, "this\n", said, heading)
		said, err = run("check-tag", "0.2.0")
		require.NoError(t, err, said)
		_, err = run("check-tag", "0.2")
		require.Error(t, err, "no such heading")
	}
}
