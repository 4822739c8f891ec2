//go:build unix

package spool

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// helperKey makes this test's program one that uses a spool: its value is the folder.
const helperKey = "INLONG_TEST_SPOOL_HELPER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperKey); dir != "" {
		if step, err := strconv.Atoi(os.Getenv("STEP")); err == nil {
			killedHelper(dir, step)
		} else {
			helper(dir)
		}
		return
	}
	os.Exit(m.Run())
}

// helper takes a slot and stores batches as fast as it can, or as many as told; it says of each that it is stored, and then waits to be
// killed. It acks every third one, and says so before.
func helper(dir string) {
	if os.Getenv("INSPECT") != "" {
		fmt.Println("looks")
		for {
			_, _ = Inspect(dir, nil)
		}
	}
	if os.Getenv("LOCKED") != "" {
		_, err := lockFolder(filepath.Join(dir, slotsLock))
		fmt.Println("locked", err)
		leaveChild(slotsLock)
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	s, err := Open(dir, Options{SegmentBytes: 4000})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if os.Getenv("CHILD") != "" { // a child that outlives this process has all of its open files
		leaveChild(slotLock)
	}
	fmt.Println("slot", filepath.Base(s.dir))
	from, count := 1, 0
	_, _ = fmt.Sscan(os.Getenv("BATCHES"), &from, &count)
	for n := from; n < from+count; n++ {
		refs, err := s.Append(nil, []Record{batchOf(n)}, true)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("stored", n)
		if n%3 == 0 {
			fmt.Println("acked", n)
			s.Ack(refs[0])
		}
		if n%5 == 0 {
			if err := s.FlushAcks(false); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
		}
	}
	if os.Getenv("EXEC") != "" {
		fmt.Println("execs")
		fmt.Println(syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), "EXEC=", "BATCHES=")))
	}
	fmt.Println("waits")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// leaveChild starts a process that has the open file of a lock, as a forked worker has.
func leaveChild(lock string) {
	child := exec.Command("sleep", "60")
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		var fd int
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		if _, err := fmt.Sscan(e.Name(), &fd); err == nil && filepath.Base(target) == lock {
			child.ExtraFiles = append(child.ExtraFiles, os.NewFile(uintptr(fd), target))
		}
	}
	if len(child.ExtraFiles) != 1 {
		fmt.Println("open locks:", len(child.ExtraFiles))
		os.Exit(1)
	}
	if err := child.Start(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("child", child.Process.Pid)
}

// process is a running helper.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	stdin io.Closer
}

func start(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), helperKey+"="+dir), env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{cmd, bufio.NewScanner(out), stdin}
	t.Cleanup(p.kill)
	return p
}

// line waits for a line that begins so, and returns the rest of it.
func (p *process) line(t *testing.T, begin string) string {
	t.Helper()
	for p.lines.Scan() {
		if rest, ok := strings.CutPrefix(p.lines.Text(), begin+" "); ok || p.lines.Text() == begin {
			return rest
		}
	}
	t.Fatalf("the process ended before it said %q", begin)
	return ""
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.stdin.Close()
	_ = p.cmd.Wait()
}

// Two clients write to one slot: they overwrite each other's batches, and both deliver all of them.
func TestASlotHasOneClient(t *testing.T) {
	dir := t.TempDir()
	other := start(t, dir)
	require.Equal(t, "slot-0001", other.line(t, "slot"))
	var slots []string
	for range 3 {
		s, err := Open(dir, Options{})
		require.NoError(t, err)
		put(t, s, true, 1)
		slots = append(slots, filepath.Base(s.dir))
		defer s.Close()
	}
	require.Equal(t, []string{"slot-0002", "slot-0003", "slot-0004"}, slots)
	orphan, err := Adopt(dir, Options{})
	require.NoError(t, err)
	require.Nil(t, orphan, "all have their owners")
}

// An owner looked for orphans while it could not read whose its own slot is, for lack of a file handle, and took that a second time, or gave
// its lock away: another process had it then, too.
func TestASlotWhoseOwnerCannotBeReadIsNotTaken(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	require.NoError(t, err)
	defer s.Close()
	put(t, s, true, 1)
	owner := filepath.Join(s.dir, slotOwner)
	require.NoError(t, os.Rename(owner, owner+".aside"))
	require.NoError(t, os.Mkdir(owner, 0o700)) // nobody can read it
	second, err := Adopt(dir, Options{})
	require.ErrorContains(t, err, owner)
	require.Nil(t, second)
	require.NoError(t, os.Remove(owner))
	require.NoError(t, os.Rename(owner+".aside", owner))
	require.Equal(t, "slot-0002", start(t, dir).line(t, "slot"))
}

// S6: the batches of an owner who was killed stay where they are, or those of one who is only stopped are delivered by two.
func TestAnOrphanIsAdoptedAndAStoppedOwnerIsNone(t *testing.T) {
	dir := t.TempDir()
	owner := start(t, dir, "BATCHES=1 4")
	owner.line(t, "waits")
	require.NoError(t, owner.cmd.Process.Signal(syscall.SIGSTOP))
	s, err := Adopt(dir, Options{})
	require.NoError(t, err)
	require.Nil(t, s)
	owner.kill()
	s, err = Adopt(dir, Options{})
	require.NoError(t, err)
	require.NotNil(t, s)
	again, err := Adopt(dir, Options{})
	require.NoError(t, err)
	require.Nil(t, again, "it is adopted once")
	refs, got := readAll(t, s)
	require.Equal(t, seq(1, 4), got, "the ack of the third was not recorded")
	for _, r := range refs {
		s.Ack(r)
	}
	require.NoError(t, s.Close())
	s, err = Adopt(dir, Options{})
	require.NoError(t, err)
	require.Nil(t, s, "nothing is left of it")
}

// A slot that somebody had removed hid all after it, and what they held was delivered by nobody.
func TestAnOrphanBehindARemovedSlotIsAdopted(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir, Options{})
	require.NoError(t, err)
	second, err := Open(dir, Options{})
	require.NoError(t, err)
	put(t, second, false, 1, 2)
	require.NoError(t, second.Close())
	require.NoError(t, first.Close())
	require.NoError(t, os.RemoveAll(slotPath(dir, 1)))
	s, err := Adopt(dir, Options{})
	require.NoError(t, err)
	require.NotNil(t, s)
	_, got := readAll(t, s)
	require.Equal(t, seq(1, 2), got)
	require.NoError(t, s.Close())
}

// A slot that cannot be taken, or read, hid all after it, and what those held was delivered by nobody.
func TestAnOrphanBehindOneThatCannotBeTakenIsAdopted(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir, Options{})
	require.NoError(t, err)
	second, err := Open(dir, Options{})
	require.NoError(t, err)
	put(t, first, false, 1)
	put(t, second, false, 2, 3)
	require.NoError(t, first.Close())
	require.NoError(t, second.Close())
	lock := filepath.Join(slotPath(dir, 1), slotLock)
	require.NoError(t, os.Remove(lock))
	require.NoError(t, os.Mkdir(lock, 0o700)) // nobody can open it to write
	s, err := Adopt(dir, Options{})
	require.ErrorContains(t, err, lock)
	require.NotNil(t, s)
	_, got := readAll(t, s)
	require.Equal(t, seq(2, 3), got)
	require.NoError(t, s.Close())
}

// slowDisk is a real one whose fsync of one folder does something else first.
type slowDisk struct {
	FS
	dir    string
	before func()
}

func (d slowDisk) SyncDir(dir string) error {
	if dir == d.dir {
		d.before()
	}
	return d.FS.SyncDir(dir)
}

// Workers that start together on a slow disk failed, since each waited for the lock of the folder while another one waited for its fsync.
func TestNobodyWaitsForTheFsyncOfAnother(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{Sync: SyncBatch, FS: slowDisk{Disk, dir, func() {
		other, err := Open(dir, Options{})
		if err != nil {
			t.Error(err)
			return
		}
		require.NoError(t, other.Close())
	}}})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// S5: the folder is moved away, or removed where the file system keeps a file that is open under another name, as NFS does: what was stored
// then was in a file that nobody reads, or that goes with its process.
func TestNothingIsStoredInAFolderThatIsMovedAway(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	require.NoError(t, err)
	put(t, s, false, 1)
	require.NoError(t, os.Rename(s.dir, s.dir+" aside"))
	_, err = s.Append(nil, []Record{batchOf(2)}, false)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, s.Check(), fs.ErrNotExist)
	_ = s.Close()
}

// A client whose slot was moved away wrote, at its end, that nobody holds the slot which another client of the process had made in its place:
// a third one took that, too, and both delivered what is in it.
func TestWhoLeavesASlotThatWasMovedAwayGivesNoOtherAway(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir, Options{})
	require.NoError(t, err)
	put(t, first, false, 1)
	require.NoError(t, os.Rename(first.dir, first.dir+" aside"))
	second, err := Open(dir, Options{})
	require.NoError(t, err)
	defer second.Close()
	require.Equal(t, first.dir, second.dir)
	put(t, second, true, 1)
	_ = first.Close()
	third, err := Open(dir, Options{})
	require.NoError(t, err)
	defer third.Close()
	require.NotEqual(t, second.dir, third.dir)
	orphan, err := Adopt(dir, Options{})
	require.NoError(t, err)
	require.Nil(t, orphan)
}

// Others can read what is kept, or a folder that cannot be one is found out when it is too late.
func TestFoldersAndFilesAreTheirOwners(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", strings.Repeat("long", 40), "with blanks, größer")
	s, err := Open(dir, Options{Sync: SyncBatch})
	require.NoError(t, err)
	refs := put(t, s, true, 1, 2)
	s.Ack(refs[0])
	require.NoError(t, s.FlushAcks(true))
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		info, infoErr := os.Stat(path)
		require.NoError(t, infoErr)
		require.Zero(t, info.Mode().Perm()&0o077, path)
		return err
	})
	require.NoError(t, err)
	require.NoError(t, s.Close())

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = Open(file, Options{})
	require.ErrorContains(t, err, file)
	_, err = Open(filepath.Join(file, "below"), Options{})
	require.ErrorContains(t, err, file)
}
