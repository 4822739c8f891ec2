//go:build unix

package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A process runs itself anew, as to load another configuration: it takes its own slot for that of a client which it still has, and what is
// there stays until the process ends.
func TestAProcessThatExecutesAnotherProgramLeavesItsSlot(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("execs by way of /proc")
	}
	p := start(t, t.TempDir(), "BATCHES=1 2", "EXEC=1")
	require.Equal(t, "slot-0001", p.line(t, "slot"))
	p.line(t, "execs")
	require.Equal(t, "slot-0001", p.line(t, "slot"))
}

// A program and a library in it have a runtime each, one of which is of a version that names no program: the other takes the slot too.
func TestAnOwnerOfThisProcessMayNameNoProgram(t *testing.T) {
	require.True(t, isOwnText(processName()+strings.Repeat(" ", 9)))
	require.True(t, isOwnText(ownerText()+strings.Repeat(" ", 9)))
}

// A process number comes again, in a container each time: the new process takes the dead owner's slot for its own client's.
func TestAnOwnerOfTheSameNumberIsAnother(t *testing.T) {
	dir := t.TempDir()
	slot := slotPath(dir, 1)
	require.NoError(t, os.Mkdir(slot, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(slot, slotOwner), fmt.Appendf(nil, "%d 1 2 3\n", os.Getpid()), 0o600))
	s, err := Open(dir, Options{})
	require.NoError(t, err)
	require.Equal(t, slot, s.dir)
	require.NoError(t, s.Close())
}
