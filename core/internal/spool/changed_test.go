//go:build unix

package spool

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A client had no file handle left as it read its own segment back. At the next try the segment was taken for one of an earlier owner, and
// closed: the next batch ended the client by a panic, and what was in memory came twice.
func TestAnOwnSegmentThatCouldNotBeReadIsWrittenToAsBefore(t *testing.T) {
	disk := newMemFS(testDir)
	s := openIn(t, disk, SyncOff)
	held := put(t, s, true, 1)
	put(t, s, false, 2)
	disk.before = func(op, path string, size int) (int, error) {
		if op == "open" {
			return 0, syscall.EMFILE
		}
		return size, nil
	}
	_, got := readAll(t, s)
	require.Empty(t, got)
	require.Equal(t, 1, s.Stats().Unreadable)
	disk.before = nil
	s.Retry()
	put(t, s, false, 3, 4)
	refs, got := readAll(t, s)
	require.Equal(t, seq(2, 4), got)
	for _, r := range append(held, refs...) {
		s.Ack(r)
	}
	require.NoError(t, s.Close())
	require.Empty(t, disk.named(t, segmentSuffix))
}

// Somebody cut the segment that was being written. What came after that was at other places than it said, which no reader believes: it was
// called stored, and lost without a word.
func TestNothingIsStoredBehindACut(t *testing.T) {
	for _, size := range []int64{0, headerSize + 10, headerSize + int64(batchSize()) + 10, 100_000} {
		s, err := Open(t.TempDir(), Options{Warn: t.Logf})
		require.NoError(t, err)
		put(t, s, false, 1, 2, 3)
		files, err := filepath.Glob(filepath.Join(s.dir, "*"+segmentSuffix))
		require.NoError(t, err)
		require.NoError(t, os.Truncate(files[0], size))
		_, err = s.Append(nil, []Record{batchOf(4)}, false)
		require.ErrorContains(t, err, "somebody has changed it")
		put(t, s, false, 5, 6)
		refs, got := readAll(t, s)
		whole := min(3, max(0, int(size-headerSize)/batchSize()))
		require.Equal(t, append(seq(1, whole), 5, 6), got, size)
		require.Equal(t, 3-whole, s.Stats().Lost)
		for _, r := range refs {
			s.Ack(r)
		}
		require.NoError(t, s.Close())
		require.Zero(t, s.Stats().Batches)
		require.Equal(t, whole < 3, s.Stats().Quarantined == 1)
	}
}

// A part of the segment that was being written was damaged, and a client that had nothing more to store never said so: the batches counted as
// being there for as long as it ran.
func TestDamageInTheSegmentThatIsWrittenIsTold(t *testing.T) {
	for lost := range 2 { // the second one is the end of what there is
		disk := newMemFS(testDir)
		s := openIn(t, disk, SyncOff)
		put(t, s, false, 10, 11)
		_, n := nodeAt(t, disk, 0)
		clear(n.now[headerSize+lost*batchSize():][:batchSize()])
		refs, got := readAll(t, s)
		require.Equal(t, []int{11 - lost}, got)
		s.Retry()
		_, more := readAll(t, s)
		require.Empty(t, more)
		require.Equal(t, 1, s.Stats().Lost)
		s.Ack(refs[0])
		require.NoError(t, s.FlushAcks(false))
		require.Zero(t, s.Stats().Batches)
		require.Equal(t, 1, s.Stats().Quarantined)
		put(t, s, false, 12)
		_, got = readAll(t, s)
		require.Equal(t, []int{12}, got)
		require.NoError(t, s.Close())
	}
}

// The start of a client waited for ever at a pipe that had the name of a segment.
func TestAPipeIsNoSegment(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(slotPath(dir, 1), 0o700))
	for _, suffix := range []string{segmentSuffix, ackSuffix} {
		require.NoError(t, syscall.Mkfifo(filepath.Join(slotPath(dir, 1), fileName(1, suffix)), 0o600))
		require.NoError(t, os.Symlink(fileName(1, suffix), filepath.Join(slotPath(dir, 1), fileName(2, suffix))))
	}
	s, err := Open(dir, Options{})
	require.NoError(t, err)
	put(t, s, true, 1)
	_, err = Inspect(dir, nil)
	require.NoError(t, err)
	require.NoError(t, s.Close())
}
