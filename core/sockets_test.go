package dataproxy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// openSockets counts the process's TCP sockets that are not idle connections to the fake Manager, which the HTTP client of the
// process shares and closes on its own.
func openSockets(t *testing.T) (n int) {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no list of open files here: %v", err)
	}
	for _, f := range files {
		if target, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	require.Positive(t, n, "the fake cluster listens")
	return n
}
