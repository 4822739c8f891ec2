package pages

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

const hasCompiler22 = `"$0" --list-modules | grep -qE '^jdk\.compiler@(2[2-9]|[3-9][0-9])'`

// java returns the java of a JDK of 22 or newer. The one in PATH may be older, beside a newer one.
func java() string {
	others, _ := filepath.Glob("/usr/lib/jvm/*/bin/java")
	for _, path := range append([]string{"java", filepath.Join(os.Getenv("JAVA_HOME"), "bin/java")}, others...) {
		if exec.Command("sh", "-c", hasCompiler22, path).Run() == nil {
			return path
		}
	}
	return "java"
}

// The programs that call the C library from other languages lay out its structs by themselves: one field too few, and they send rubbish.
// Each runs where its runtime is there, and the library is built.
func TestOtherLanguagesSendThroughTheCLibrary(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(root, "build/lib/libinlong_dataproxy.so")); err != nil {
		t.Skip("not built")
	}
	programs := filepath.Join(root, "bindings/c/examples/languages")
	languages := map[string]struct{ runs, command []string }{ // what succeeds where the runtime is there, and how the example is run
		"Node":    {[]string{"node", "-e", "require('koffi')"}, []string{"node", "send.js"}},
		"Ruby":    {[]string{"ruby", "-rfiddle/import", "-e", "1"}, []string{"ruby", "send.rb"}},
		"PHP":     {[]string{"php", "-d", "ffi.enable=1", "-r", "FFI::cdef('');"}, []string{"php", "-d", "ffi.enable=1", "send.php"}},
		"LuaJIT":  {[]string{"luajit", "-e", "require 'ffi'"}, []string{"luajit", "send.lua"}},
		"Java 22": {[]string{"sh", "-c", hasCompiler22, java()}, []string{java(), "--enable-native-access=ALL-UNNAMED", "Send.java"}},
	}
	for name, language := range languages {
		t.Run(name, func(t *testing.T) {
			start := func(command []string) *exec.Cmd {
				cmd := exec.Command(command[0], command[1:]...)
				cmd.Dir = programs
				cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(root, "build/lib"), "INLONG_BASIC_AUTH=id:key",
					"NODE_PATH="+filepath.Join(root, "build/tools/node/node_modules"))
				return cmd
			}
			if out, err := start(language.runs).CombinedOutput(); err != nil {
				t.Skipf("%s: not on this machine: %v %.80q", name, err, out)
			}
			cluster := dataproxytest.Start(t, dataproxytest.WithBasicAuth("id", "key"))
			send := func(stream string, lines []string) (said, complaints string, err error) {
				cmd := start(append(slices.Clone(language.command), cluster.URL(), "test_group", stream))
				cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
				var out, errs bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &errs
				err = cmd.Run()
				return out.String(), errs.String(), err
			}
			var lines []string
			for i := range 3000 {
				lines = append(lines, fmt.Sprintf("line %d, ünï", i))
			}
			said, complaints, err := send("test_stream", append([]string{""}, lines...))
			require.NoError(t, err, "%s%s", said, complaints)
			require.Equal(t, "3000 acked, 0 failed\n", said)
			var arrived []string
			for _, m := range cluster.Messages() {
				arrived = append(arrived, string(m))
			}
			slices.Sort(arrived)
			slices.Sort(lines)
			require.Equal(t, lines, arrived)

			for _, node := range cluster.Nodes() { // a failure is told by its line, and is no success
				node.Standing(dataproxytest.ErrorCode(121))
			}
			said, complaints, err = send("test_stream", []string{"", "refused"})
			require.Error(t, err)
			require.Equal(t, "0 acked, 1 failed\n", said)
			require.Contains(t, complaints, "line 2: ")
			require.Contains(t, complaints, "121")
			said, complaints, err = send("no stream", []string{"x"})
			require.Error(t, err)
			require.Equal(t, "0 acked, 1 failed\n", said)
			require.Contains(t, complaints, "line 1: ")
			require.Contains(t, complaints, "stream")
		})
	}
}
