//go:build unix

package spool

import (
	"fmt"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// S6: an owner is killed whose forked child lives on, and with the child its lock: nobody delivers its batches until the child ends.
func TestAForkedChildKeepsNoSlot(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks for open files in /proc")
	}
	dir := t.TempDir()
	owner := start(t, dir, "BATCHES=1 2", "CHILD=1")
	child := 0
	_, err := fmt.Sscan(owner.line(t, "child"), &child)
	require.NoError(t, err)
	defer func() { _ = syscall.Kill(child, syscall.SIGKILL) }()
	owner.line(t, "waits")
	_ = owner.cmd.Process.Kill()
	_, _ = owner.cmd.Process.Wait()
	s, err := Adopt(dir, Options{})
	require.NoError(t, err)
	require.NotNil(t, s)
	_, got := readAll(t, s)
	require.Equal(t, seq(1, 2), got)
	require.NoError(t, s.Close())
}

// An owner was killed in the moment in which it held the folder's lock and had just been forked: until the child ended, no client could be
// opened on the folder, and nothing was adopted. One that was stopped in that moment had the same effect.
func TestAProcessThatEndsOrStopsWithTheFoldersLockKeepsNobodyOut(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("on other systems the lock is that of all processes")
	}
	dir := t.TempDir()
	left, err := Open(dir, Options{})
	require.NoError(t, err)
	put(t, left, true, 1, 2)
	require.NoError(t, left.Close())
	owner, child := start(t, dir, "LOCKED=1"), 0
	require.Equal(t, "<nil>", owner.line(t, "locked"))
	_, err = fmt.Sscan(owner.line(t, "child"), &child)
	require.NoError(t, err)
	defer func() { _ = syscall.Kill(child, syscall.SIGKILL) }()
	adopts := func() {
		s, err := Adopt(dir, Options{})
		require.NoError(t, err)
		require.NotNil(t, s)
		_, got := readAll(t, s)
		require.Equal(t, seq(1, 2), got)
		require.NoError(t, s.Close())
		s, err = Open(dir, Options{})
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}
	require.NoError(t, owner.cmd.Process.Signal(syscall.SIGSTOP))
	adopts()
	_ = owner.cmd.Process.Kill()
	_, _ = owner.cmd.Process.Wait()
	require.NoError(t, syscall.Kill(child, 0))
	adopts()
}

// Who looked at a folder took the lock of each slot for a moment: a client that started in that moment passed its slot by, and with it what
// its streams had there.
func TestALookTakesNoSlotFromAnyone(t *testing.T) {
	dir := t.TempDir()
	looker := start(t, dir, "INSPECT=1")
	looker.line(t, "looks")
	for range 2000 {
		s, err := Open(dir, Options{})
		require.NoError(t, err)
		require.Equal(t, slotPath(dir, 1), s.dir)
		require.NoError(t, s.Close())
	}
}

// Somebody who was stopped while he held the folder's lock keeps all others waiting for ever.
func TestAFolderThatStaysLockedIsAnError(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockFolder(filepath.Join(dir, slotsLock))
	require.NoError(t, err)
	began := time.Now()
	_, err = Open(dir, Options{})
	require.ErrorIs(t, err, ErrBusy)
	require.Less(t, time.Since(began), 10*time.Second)
	_, err = Adopt(dir, Options{})
	require.ErrorIs(t, err, ErrBusy)
	unlock()
	s, err := Open(dir, Options{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}
