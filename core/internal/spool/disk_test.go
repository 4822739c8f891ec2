package spool

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// failing has a call of these kinds fail that comes after so many of them, so many times.
func failing(disk *memFS, err error, skip, times int, ops ...string) {
	disk.before = func(op, path string, size int) (int, error) {
		if !slices.Contains(ops, op) {
			return size, nil
		}
		if skip--; skip >= 0 || times == 0 {
			return size, nil
		}
		times--
		return 0, &fs.PathError{Op: op, Path: path, Err: err}
	}
}

// S5: a disk that is full, or takes no new file, has a batch passed as stored, spoils what was stored before, or is not used again when
// it has room.
func TestADiskThatRefusesCostsNothingThatWasStored(t *testing.T) {
	for _, fault := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO} {
		for _, op := range []string{"write", "create", "truncate,write"} {
			for skip := range 6 {
				name := fmt.Sprintf("%v of %s after %d", fault, op, skip)
				disk := newMemFS(testDir)
				s := openIn(t, disk, SyncOff)
				failing(disk, fault, skip, 3, strings.Split(op, ",")...)
				var stored []int
				for n := 1; n <= 30; n++ {
					if _, err := s.Append(nil, []Record{batchOf(n)}, false); err == nil {
						stored = append(stored, n)
					} else {
						require.ErrorIs(t, err, fault, name)
					}
				}
				require.Less(t, len(stored), 30, name)
				require.Contains(t, stored, 30, "it is used again: "+name)
				require.NotZero(t, s.Stats().Errors)
				_, got := readAll(t, s)
				require.Equal(t, stored, got, name)
				s = openIn(t, disk, SyncOff) // killed
				_, got = readAll(t, s)
				require.Equal(t, stored, got, "after a restart: "+name)
			}
		}
	}
}

// A segment whose head could not be written, and which could not be removed either, stays in the folder until the next owner comes.
func TestASegmentThatCouldNotBeBegunDoesNotStay(t *testing.T) {
	for _, part := range []int{0, 10} {
		disk := newMemFS(testDir)
		s := openIn(t, disk, SyncBatch)
		disk.before = func(op, _ string, size int) (int, error) {
			switch op {
			case "write":
				return part, syscall.EIO
			case "remove":
				return 0, syscall.EIO
			}
			return size, nil
		}
		_, err := s.Append(nil, []Record{batchOf(1)}, false)
		require.ErrorIs(t, err, syscall.EIO)
		disk.before = nil
		require.Len(t, disk.named(t, segmentSuffix), 1)
		refs := put(t, s, false, 2)
		_, got := readAll(t, s)
		require.Equal(t, []int{2}, got)
		s.Ack(refs[0])
		require.NoError(t, s.Close())
		require.Empty(t, disk.named(t, segmentSuffix))
	}
}

// S5: a write that took a part of a batch leaves that part in front of the next ones.
func TestAShortWriteSpoilsNothing(t *testing.T) {
	for _, cutFails := range []bool{false, true} {
		for part := 1; part < batchSize(); part += 7 {
			disk := newMemFS(testDir)
			s := openIn(t, disk, SyncBatch)
			put(t, s, false, 1)
			disk.before = func(op, path string, size int) (int, error) {
				switch {
				case op == "truncate" && cutFails:
					return 0, syscall.EIO
				case op == "write":
					return part, syscall.ENOSPC
				}
				return size, nil
			}
			_, err := s.Append(nil, []Record{batchOf(2)}, false)
			require.ErrorIs(t, err, syscall.ENOSPC)
			disk.before = nil
			put(t, s, false, 3)
			require.NoError(t, s.Sync())
			got, stats := deliver(t, disk.cut(func(int) bool { return true }))
			require.Equal(t, []int{1, 3}, got)
			require.Zero(t, stats.Quarantined, "what was cut off is no damage")
		}
	}
}

// S5: fsync fails once, the next one works, and what the kernel has thrown away between the two passes as stored.
func TestAFailedFsyncIsNotBelievedToHaveWorkedLater(t *testing.T) {
	for skip := range 4 {
		for _, op := range []string{"sync", "syncdir"} {
			disk := newMemFS(testDir)
			s := openIn(t, disk, SyncBatch)
			stored := map[int]bool{}
			failing(disk, syscall.EIO, skip, 1, op)
			for n := 1; n <= 14; n++ {
				refs := put(t, s, false, n)
				err := s.Sync()
				for err != nil { // its owner still has it
					s.Ack(refs[0])
					refs = put(t, s, false, n)
					err = s.Sync()
				}
				stored[n] = true
				disk.cuts(rand.New(rand.NewPCG(1, 1)), func(left *memFS) {
					_, got := readAll(t, openIn(t, left, SyncBatch))
					for n := range stored {
						require.Contains(t, got, n, "%s after %d", op, skip)
					}
				})
			}
			require.NotZero(t, s.Stats().Errors)
			_, got := readAll(t, s)
			require.Equal(t, seq(1, 14), got, "%s after %d", op, skip)
		}
	}
}

// S5: fsync fails, and so does all that should cure it: what was stored before goes with it, or the store is not used again.
func TestADiskThatFailsForAWhileIsUsedAgain(t *testing.T) {
	for times := 1; times < 12; times++ {
		disk := newMemFS(testDir)
		s := openIn(t, disk, SyncBatch)
		put(t, s, false, 1, 2)
		require.NoError(t, s.Sync())
		failing(disk, syscall.EIO, 0, times, "sync", "rename", "create", "syncdir", "write")
		tries := 0
		for {
			tries++
			refs, err := s.Append(nil, []Record{batchOf(3)}, false)
			if err == nil {
				if err = s.Sync(); err == nil {
					break
				}
				s.Ack(refs[0])
			}
			require.Less(t, tries, 20)
		}
		_ = s.FlushAcks(true)
		left := disk.cut(func(int) bool { return false })
		_, got := readAll(t, openIn(t, left, SyncBatch))
		slices.Sort(got)
		require.Equal(t, []int{1, 2, 3}, slices.Compact(got))
	}
}

// Fsync fails of a segment that an earlier owner has left, or of one with acks in it: they are forgotten where it is written anew.
func TestASegmentThatIsWrittenAnewKeepsItsAcksAndPlaces(t *testing.T) {
	disk := newMemFS(testDir)
	s, err := openSlot(testDir, Options{FS: disk, Sync: SyncInterval}, nil)
	require.NoError(t, err)
	refs := put(t, s, true, seq(1, 20)...)
	for i := 0; i < 20; i += 3 {
		s.Ack(refs[i])
	}
	s.Release(refs[4])
	s.Release(refs[10])
	require.NoError(t, s.FlushAcks(false))
	failing(disk, syscall.EIO, 0, 1, "sync")
	require.NoError(t, s.Sync(), "it was cured")
	s.Release(refs[1])
	_, got := readAll(t, s)
	require.Equal(t, []int{2, 5, 11}, got)
	s.Ack(refs[2])
	require.NoError(t, s.FlushAcks(true))
	left := disk.cut(func(int) bool { return false })
	s, err = openSlot(testDir, Options{FS: left}, nil)
	require.NoError(t, err)
	refs, got = readAll(t, s)
	want := slices.DeleteFunc(seq(1, 20), func(n int) bool { return n%3 == 1 || n == 3 })
	require.Equal(t, want, got)
	for _, r := range refs {
		s.Ack(r)
	}
	require.NoError(t, s.Close())
	require.Empty(t, left.files())
}

// S5: what an fsync that failed has made unreadable passes as written anew.
func TestWhatTheDiskDoesNotGiveBackIsTold(t *testing.T) {
	disk := newMemFS(testDir)
	s, err := openSlot(testDir, Options{FS: disk, Sync: SyncBatch}, nil)
	require.NoError(t, err)
	refs := put(t, s, true, 1, 2, 3)
	failing(disk, syscall.EIO, 0, 1, "sync")
	_, n := nodeAt(t, disk, 0)
	n.now[headerSize+batchSize()+20] ^= 1 // in the second one's head
	require.Error(t, s.Sync())
	for _, r := range refs {
		s.Ack(r)
	}
	put(t, s, false, 1, 2, 3)
	require.NoError(t, s.Sync())
	require.NoError(t, s.FlushAcks(true))
	_, got := readAll(t, openIn(t, disk.cut(func(int) bool { return false }), SyncBatch))
	require.Equal(t, []int{1, 2, 3}, got)
}

// S5: the folder is removed while the store writes to it, and batches pass as stored in a file that nobody can find.
func TestAFolderThatIsRemovedIsNoticed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a folder, größer")
	s, err := Open(dir, Options{})
	require.NoError(t, err)
	require.NoError(t, s.Check())
	put(t, s, false, 1)
	require.NoError(t, s.Check())
	require.NoError(t, os.RemoveAll(dir))
	require.ErrorIs(t, s.Check(), fs.ErrNotExist)
	_ = s.Close()
	s, err = Open(dir, Options{})
	require.NoError(t, err)
	put(t, s, false, 2)
	_, got := readAll(t, s)
	require.Equal(t, []int{2}, got)
	require.NoError(t, s.Close())
}

// S5: a folder that cannot be looked at for a moment is taken for one that is gone: its store was closed, and what it had was sent again by the
// next one, or by none where the lock could not be given back.
func TestAFolderThatCannotBeLookedAtIsThere(t *testing.T) {
	for _, fault := range []error{syscall.EMFILE, syscall.EACCES, syscall.EIO} {
		disk := newMemFS(testDir)
		s := openIn(t, disk, SyncOff)
		for _, begun := range []bool{false, true} {
			failing(disk, fault, 0, -1, "list", "open")
			require.NoError(t, s.Check(), "%v, begun %v", fault, begun)
			disk.before = nil
			put(t, s, false, 1)
		}
	}
}

// Acks that could not be recorded are forgotten.
func TestAcksWaitForADiskThatTakesThem(t *testing.T) {
	disk := newMemFS(testDir)
	s := openIn(t, disk, SyncBatch)
	refs := put(t, s, true, 1, 2, 3, 4)
	require.NoError(t, s.Sync())
	for _, i := range []int{0, 1, 2, 3} {
		s.Ack(refs[i])
		failing(disk, syscall.ENOSPC, 0, 1, "write", "create", "sync", "remove", "syncdir")
		require.Error(t, s.FlushAcks(true), "%d", i)
	}
	disk.before = nil
	require.NoError(t, s.FlushAcks(true))
	_, got := readAll(t, openIn(t, disk.cut(func(int) bool { return false }), SyncBatch))
	require.Empty(t, got)
}

// S7: a second crash in the middle of what the first one made necessary loses what that one had left, a damaged file first of all.
func TestACrashWithinARecoveryIsAsIfItHadNotBeen(t *testing.T) {
	broken := segments(t, 6)
	_, n := nodeAt(t, broken, 0)
	n.now[headerSize+1] ^= 1
	damaged := slices.Clone(n.now)
	crashAt := func(disk *memFS, at int) (left *memFS, got []int, crashed bool) {
		left = disk.kill()
		changes := 0
		left.before = func(op, _ string, size int) (int, error) {
			if op == "read" || op == "open" || op == "list" || op == "append" {
				return size, nil
			}
			if changes++; changes > at {
				crashed = true
				return 0, errCrash
			}
			return size, nil
		}
		s, err := openSlot(testDir, Options{FS: left, SegmentBytes: 3*int64(batchSize()) + headerSize}, nil)
		require.NoError(t, err)
		refs, got := readAll(t, s)
		for _, r := range refs {
			s.Ack(r)
			_ = s.FlushAcks(false)
		}
		_ = s.Close()
		left.before = nil
		return left, got, crashed
	}
	for first := 0; ; first++ {
		once, got1, crashed := crashAt(broken, first)
		for second := 0; ; second++ {
			twice, got2, again := crashAt(once, second)
			got3, _ := deliver(t, twice)
			all := slices.Concat(got1, got2, got3)
			slices.Sort(all)
			require.Equal(t, seq(2, 6), slices.Compact(all), "%d, %d", first, second)
			require.Empty(t, twice.named(t, segmentSuffix))
			require.Len(t, twice.quarantined(), 1)
			_, n, err := twice.node("", filepath.Join(testDir, quarantine, twice.quarantined()[0]))
			require.NoError(t, err)
			require.Equal(t, damaged, n.now)
			if !again {
				break
			}
		}
		if !crashed {
			return
		}
	}
}

// A process is killed before it could sync, the next one cannot read its file at first, and a power cut takes what that one's Sync has
// called durable.
func TestWhatAnEarlierOwnerHasLeftIsSynced(t *testing.T) {
	for _, unreadable := range []int{0, 1} {
		disk := newMemFS(testDir)
		put(t, openIn(t, disk, SyncInterval), false, 1, 2)
		failing(disk, syscall.EIO, 0, unreadable, "read")
		s := openIn(t, disk, SyncInterval)
		require.NoError(t, s.Sync())
		_, got := readAll(t, openIn(t, disk.cut(func(int) bool { return false }), SyncInterval))
		require.Equal(t, []int{1, 2}, got)
	}
}

// A segment that could not be read at the start, of which nothing is known, is written anew with nothing in it when the folder's fsync fails.
func TestASegmentThatWasNeverReadIsNotWrittenAnew(t *testing.T) {
	disk := newMemFS(testDir)
	put(t, openIn(t, disk, SyncBatch), false, 1, 2)
	failing(disk, syscall.EIO, 0, 1, "open")
	s := openIn(t, disk, SyncBatch)
	failing(disk, syscall.EIO, 0, 1, "syncdir")
	require.Error(t, s.Sync())
	_ = s.Sync()
	require.NoError(t, s.Close())
	got, _ := deliver(t, disk)
	require.Equal(t, []int{1, 2}, got)
}

// With fsync a file of an earlier owner that could not be opened kept all that came from being stored, for as long as it lay there; and each
// Retry noted it once more.
func TestAnEarlierOwnersFileThatCannotBeOpenedStopsNoSync(t *testing.T) {
	for _, ops := range [][]string{{"append"}, {"sync"}, {"open", "append"}, {"open"}} {
		disk := newMemFS(testDir)
		put(t, openIn(t, disk, SyncInterval), false, 1, 2)
		left := disk.named(t, segmentSuffix)[0]
		disk.before = func(op, path string, size int) (int, error) {
			if filepath.Base(path) == left && slices.Contains(ops, op) || op == "create" && strings.HasSuffix(path, newSuffix) {
				return 0, syscall.EACCES
			}
			return size, nil
		}
		s := openIn(t, disk, SyncBatch)
		var refs []Ref
		for n := 3; n < 6; n++ {
			refs = append(refs, put(t, s, true, n)...)
			require.NoError(t, s.Sync(), ops)
			s.Retry()
			require.LessOrEqual(t, len(s.unsynced), 2, ops)
		}
		require.NotZero(t, s.Stats().Errors, ops)
		disk.before = nil
		s.Retry()
		require.NoError(t, s.Sync())
		for _, ref := range refs {
			s.Release(ref)
		}
		for _, open := range []*Spool{s, openIn(t, disk.cut(func(int) bool { return false }), SyncBatch)} {
			_, got := readAll(t, open)
			require.Equal(t, seq(1, 5), got, ops)
		}
	}
}
