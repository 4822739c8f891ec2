package pages

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// twoCommands is the README's section that make test-fresh plays in new Debian roots.
const twoCommands = "Two commands"

// A new user typed in the page's line of packages, and the build or a test wanted another one. What .ci/tools asks for, and leaves
// out nothing without, must be in that line, and nothing else.
func TestPrerequisitesOfTheFirstPageAreThoseThatTheBuildAsksFor(t *testing.T) {
	var asked, named []string
	tools, err := os.ReadFile(filepath.Join(top, ".ci/tools"))
	require.NoError(t, err)
	_, list, _ := strings.Cut(string(tools), "\nlist='\n")
	list, _, closed := strings.Cut(list, "\n'\n")
	require.True(t, closed, "the list of tools")
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) == 2 {
			asked = append(asked, fields[1])
		}
	}
	for _, p := range readPages(t) {
		for _, section := range p.sections {
			if p.path == "README.md" && section.heading == twoCommands {
				require.Len(t, section.blocks, 1)
				line, _, _ := strings.Cut(section.blocks[0].text, "\n")
				_, packages, _ := strings.Cut(line, "apt-get update && apt-get install ") // an image for containers knows no package before
				named = strings.Fields(packages)
			}
		}
	}
	slices.Sort(asked)
	slices.Sort(named)
	require.NotEmpty(t, named)
	require.Equal(t, asked, named)
}

// script runs a script of .ci where these programs are, each of which does nothing, and no other but those that the script is made of.
func script(t *testing.T, programs []string, args ...string) (string, error) {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"bash", "id", "awk", "sort", "sed"} {
		path, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(folder, name)))
	}
	for _, name := range programs { // "name": it does nothing; "name 1": it fails; "id 0": it says so
		name, answer, _ := strings.Cut(name, " ")
		does := map[string]string{"1": "exit 1", "0": "echo 0"}[answer]
		_ = os.Remove(filepath.Join(folder, name))
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+does+"\n"), 0o700))
	}
	args[0] = filepath.Join(top, ".ci", args[0])
	cmd := exec.CommandContext(t.Context(), "bash", args...)
	cmd.Env = []string{"PATH=" + folder}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A test failed minutes later for a tool that was not there, or was left out without a word.
func TestToolsThatAreAbsentAreNamedBeforeTheFirstTest(t *testing.T) {
	said, err := script(t, nil, "tools", "install")
	require.Error(t, err)
	require.Regexp(t, `^Go is not installed: [^\n]*apt-get install git gcc g\+\+ make curl python3-venv\)\n$`, said)

	said, err = script(t, []string{"go", "git", "gcc", "make", "curl", "python3"}, "tools", "needed")
	require.Error(t, err)
	require.Regexp(t, `^to be installed first: apt-get install g\+\+ [^\n]*\n$`, said)

	needed := []string{"go", "git", "gcc", "g++", "make", "curl", "python3"}
	said, err = script(t, needed, "tools", "needed")
	require.NoError(t, err)
	require.Empty(t, said)

	said, err = script(t, append(needed, "clang"), "tools", "install")
	require.NoError(t, err)
	require.Contains(t, said, "skip valgrind (the C library under valgrind): not on this machine\n")
	require.NotContains(t, said, "clang")

	// As root, where apt can install nothing: no network, or a system that lacks one of them.
	said, err = script(t, append(needed, "clang", "apt-get 1", "id 0"), "tools", "install")
	require.NoError(t, err, said)
	require.Contains(t, said, "apt could not install valgrind")
	require.Contains(t, said, "skip valgrind (the C library under valgrind): not on this machine\n")
	require.NotContains(t, said, "skip clang")

	// A Go of the system that is older than go.mod wants and may not fetch another one failed each part, after the installation.
	said, err = script(t, append(needed[1:], "clang", "go 1"), "tools", "install")
	require.Error(t, err)
	require.Empty(t, said, "but what Go says")

	said, err = script(t, []string{"qemu"}, "tools", "get", "qemu=qemu-user", "debootstrap=debootstrap")
	require.Error(t, err, "it is neither there nor installed")
	require.Empty(t, said)
	_, err = script(t, []string{"qemu"}, "tools", "get", "qemu=qemu-user")
	require.NoError(t, err)
}

// The compiler was given half the folder's name, and said so seven times; in "R&D" the shell looked for a program "D".
func TestFolderWhoseNameTheBuildCannotTakeIsRefusedInAWord(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(top, "Makefile"))
	require.NoError(t, err)
	for name, unfit := range map[string]string{"my projects": "a space", "R&D": "&", "clone(1)": "( )", "it's": "'", "a,b": ",", "a$b": "$",
		"job@2": "", "feature%2Fx": "", "Müller": "", "c#": ""} {
		folder := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.Mkdir(folder, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "Makefile"), text, 0o600))
		said, err := exec.CommandContext(t.Context(), "make", "-C", folder, "--no-print-directory", "help").CombinedOutput()
		if unfit == "" {
			require.NoError(t, err, "%s: %s", name, said)
			continue
		}
		require.Error(t, err, name)
		require.Regexp(t, `^Makefile:\d+: \*\*\* make cannot build in a folder with `+regexp.QuoteMeta(unfit)+
			` in its name: [^\n]*\n$`, string(said))
	}
}

// go test says nothing of a test that was skipped: a machine without Kafka, promtool or IPv6 was as green as one with them.
func TestWhatWasNotTestedIsListed(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(log, []byte(`skip valgrind (leaks): not on this machine
ok   package/skip_of_something
=== Skipped
=== SKIP: core/x TestA (0.00s)
    a_test.go:3: a word before
    a_test.go:4: no IPv6: connect:
        refused

=== SKIP: core/internal/pages TestB (0.00s)
    b_test.go:4: needs the libraries: make test-pages

=== SKIP: core TestC/sub_one (0.00s)
    c_test.go:4: no promtool
SKIPPED [2] tests/test_async.py:35: uvloop is not installed
`), 0o600))
	said, err := script(t, nil, "left-out", log)
	require.NoError(t, err)
	require.Equal(t, `
not tested here:
  core TestC/sub_one: no promtool
  core/x TestA: no IPv6: connect:
  tests/test_async.py:35: uvloop is not installed
  valgrind (leaks): not on this machine
`, said)
	require.NoError(t, os.WriteFile(log, []byte("ok all\n"), 0o600))
	said, err = script(t, nil, "left-out", log)
	require.NoError(t, err)
	require.Equal(t, "\nnothing was left out\n", said)
}

// The record of a run had its last lines only: which test of a thousand had failed, in which root, was in none of them.
func TestWhatFailedIsListed(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(log, []byte(`    test_exit.c:16: tried again
ok   exit/one
    test_exit.c:17: left is 2, want 1
trixie:     test_exit.c:18: left is 3, want 1
FAIL exit/in_time
trixie: FAIL exit/in_time
FAIL build/c/test_exit ended with status 139
exit: 4 passed, 1 failed
FAILED tests/test_async.py::test_close[loop] - AssertionError: assert 1 == 2
FAIL	example.com/core	3.1s
=== Failed
=== FAIL: core TestA/sub (0.10s)
    a_test.go:3: the cause
    a_test.go:4: what follows from it
=== FAIL: core TestA (0.10s)

=== FAIL: core TestB (0.10s)
    b_test.go:5: 
        	Error Trace:	/home/me/b_test.go:5
        	Error:      	Received unexpected error:
        	            	a promise was broken

DONE 3 tests
`), 0o600))
	said, err := script(t, nil, "failed", log)
	require.NoError(t, err, said)
	require.Equal(t, `
failed:
  build/c/test_exit ended with status 139
  core TestA (0.10s)
  core TestA/sub (0.10s): a_test.go:3: the cause
  core TestB (0.10s): b_test.go:5: Received unexpected error:
  exit/in_time: test_exit.c:17: left is 2, want 1
  tests/test_async.py::test_close[loop] - AssertionError: assert 1 == 2
  trixie: exit/in_time: test_exit.c:18: left is 3, want 1
`, said)
	require.NoError(t, os.WriteFile(log, []byte("ok   all/of_it\n"), 0o600))
	said, err = script(t, nil, "failed", log)
	require.NoError(t, err)
	require.Empty(t, said)
}

// With -j the parts of test-c built the same programs at the same time, and half of one was linked or run.
func TestPartsOfTheTestsRunOneAfterTheOther(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(top, "Makefile"))
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "capi"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "Makefile"), text, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "capi/build.mk"), []byte(`
test-c: one other
one: ; sleep 0.3; [ ! -e other ]
other: ; touch other
`), 0o600))
	said, err := exec.CommandContext(t.Context(), "make", "-C", folder, "-j4", "test-c").CombinedOutput()
	require.NoError(t, err, string(said))
}
