package spool

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// segments returns a slot of one owner who is gone: batches 1 to n, three a segment.
func segments(t *testing.T, n int) *memFS {
	t.Helper()
	disk := newMemFS(testDir)
	s := openIn(t, disk, SyncOff)
	put(t, s, true, seq(1, n)...)
	require.NoError(t, s.Close())
	return disk
}

// nodeAt returns the file of the segment at that place in the order of numbers.
func nodeAt(t *testing.T, disk *memFS, i int) (string, *memNode) {
	t.Helper()
	path := filepath.Join(testDir, disk.named(t, segmentSuffix)[i])
	_, n, err := disk.node("", path)
	require.NoError(t, err)
	n.now = slices.Clone(n.now)
	return path, n
}

// deliver opens the slot, reads all of it, acks it and closes.
func deliver(t *testing.T, disk *memFS) (got []int, stats Stats) {
	t.Helper()
	s := openIn(t, disk, SyncOff)
	refs, got := readAll(t, s)
	for _, r := range refs {
		s.Ack(r)
	}
	require.NoError(t, s.Close())
	return got, s.Stats()
}

// recordAt returns the batch that a byte of a segment belongs to, counted from 1, or 0.
func recordAt(off int) int {
	r, n := batchOf(1), 0
	for at := headerSize; at <= off; n++ {
		at += r.size()
	}
	if n > 3 {
		return 0
	}
	return n
}

// S4: a flipped bit costs more than the one batch that it is in, is taken for a message, or makes the file disappear.
func TestAFlippedBitCostsOneBatchAtMost(t *testing.T) {
	disk := segments(t, 6)
	_, n := nodeAt(t, disk, 0)
	for off := range n.now {
		disk := disk.kill()
		_, n := nodeAt(t, disk, 0)
		n.now[off] ^= 1 << (off % 8)
		damaged := slices.Clone(n.now)
		got, stats := deliver(t, disk)
		want := slices.DeleteFunc(seq(1, 6), func(b int) bool { return b == recordAt(off) })
		require.Equal(t, want, got, "byte %d", off)
		require.Equal(t, 1, stats.Quarantined, "byte %d", off)
		require.Len(t, disk.quarantined(), 1)
		_, n, err := disk.node("", filepath.Join(testDir, quarantine, disk.quarantined()[0]))
		require.NoError(t, err)
		require.Equal(t, damaged, n.now, "the damaged file was changed")
	}
}

// S4: 4 KiB that the disk lost cost batches that do not lie in them.
func TestZeroedBlocksCostWhatIsInThem(t *testing.T) {
	for _, block := range []int{1, 64, 100, 200, 4096} {
		for off := 0; off < headerSize+3*batchSize()+footerSize; off += 13 {
			disk := segments(t, 6)
			_, n := nodeAt(t, disk, 0)
			end := min(off+block, len(n.now))
			lost := map[int]bool{}
			for i := off; i < end; i++ {
				if n.now[i] != 0 {
					lost[recordAt(i)] = true
				}
				n.now[i] = 0
			}
			got, _ := deliver(t, disk)
			want := slices.DeleteFunc(seq(1, 6), func(b int) bool { return lost[b] })
			require.Equal(t, want, got, "%d bytes at %d", block, off)
		}
	}
}

// S4: a file whose end was cut off is thrown away, or its half batch is delivered.
func TestACutTailCostsWhatItCut(t *testing.T) {
	disk := segments(t, 6)
	_, n := nodeAt(t, disk, 0)
	for size := range n.now {
		disk := disk.kill()
		_, n := nodeAt(t, disk, 0)
		n.now = n.now[:size]
		got, _ := deliver(t, disk)
		want := slices.DeleteFunc(seq(1, 6), func(b int) bool { return b <= 3 && !whole(b, size) })
		require.Equal(t, want, got, "%d bytes", size)
	}
}

// whole reports whether batch b ends before size.
func whole(b, size int) bool {
	end := headerSize
	for i := 1; i <= b; i++ {
		r := batchOf(i)
		end += r.size()
	}
	return end <= size
}

// S4: a deleted segment stops the others, or its loss is not told by a client that knew of it.
func TestADeletedSegmentStopsNothing(t *testing.T) {
	disk := segments(t, 9)
	path, _ := nodeAt(t, disk, 1)
	require.NoError(t, disk.Remove(path))
	got, _ := deliver(t, disk)
	require.Equal(t, append(seq(1, 3), seq(7, 9)...), got)

	disk = segments(t, 9)
	s := openIn(t, disk, SyncOff)
	path, _ = nodeAt(t, disk, 1)
	require.NoError(t, disk.Remove(path))
	_, got = readAll(t, s)
	require.Equal(t, append(seq(1, 3), seq(7, 9)...), got)
	require.Equal(t, 3, s.Stats().Lost)
	require.NoError(t, s.Close())
}

// S4: a copy of a segment has its batches delivered twice, or the copy is deleted.
func TestADoubledSegmentIsDeliveredOnce(t *testing.T) {
	disk := segments(t, 6)
	_, n := nodeAt(t, disk, 0)
	copyOf := &memNode{now: n.now, durable: n.now}
	disk.dirs[testDir].now[fileName(1<<50, segmentSuffix)] = copyOf
	got, stats := deliver(t, disk)
	require.Equal(t, seq(1, 6), got)
	require.Equal(t, 1, stats.Quarantined)
	require.Equal(t, []string{fileName(1<<50, segmentSuffix)}, disk.quarantined())
}

// S4: a segment that was renamed is lost, or its acks are.
func TestARenamedSegmentIsFound(t *testing.T) {
	disk := segments(t, 6)
	s := openIn(t, disk, SyncOff)
	refs, _ := readAll(t, s)
	s.Ack(refs[1])
	require.NoError(t, s.Close())
	path, _ := nodeAt(t, disk, 0)
	require.NoError(t, disk.Rename(path, filepath.Join(testDir, fileName(1<<50, segmentSuffix))))
	got, _ := deliver(t, disk)
	require.Equal(t, []int{1, 3, 4, 5, 6}, got)
	require.Empty(t, disk.quarantined())

	disk = segments(t, 6)
	path, _ = nodeAt(t, disk, 0)
	require.NoError(t, disk.Rename(path, path+".bak")) // somebody meant it
	got, _ = deliver(t, disk)
	require.Equal(t, seq(4, 6), got)
	require.Contains(t, disk.files(), ".seg.bak")
}

// S4: another program's file of our name is deleted, or read as messages.
func TestAForeignFileIsKept(t *testing.T) {
	for name, content := range map[string]string{
		"text": strings.Repeat("a line of a log\n", 100), "magic alone": string(segmentMagic) + strings.Repeat("x", 200),
		"one byte": "x", "zeros": strings.Repeat("\x00", 5000), "records' magic": strings.Repeat(string(recordMagic), 500),
	} {
		disk := segments(t, 3)
		disk.dirs[testDir].now[fileName(5, segmentSuffix)] = &memNode{now: []byte(content)}
		disk.dirs[testDir].now["notes.txt"] = &memNode{now: []byte("mine")}
		got, stats := deliver(t, disk)
		require.Equal(t, seq(1, 3), got, name)
		require.Equal(t, 1, stats.Quarantined, name)
		_, n, err := disk.node("", filepath.Join(testDir, quarantine, fileName(5, segmentSuffix)))
		require.NoError(t, err, name)
		require.Equal(t, content, string(n.now), name)
		require.Contains(t, disk.files(), "notes.txt")
	}
}

// S4: a client that is older than a file reads it wrongly, moves it, or writes to it.
func TestANewerFileIsLeftAlone(t *testing.T) {
	disk := segments(t, 6)
	path, n := nodeAt(t, disk, 0)
	binary.BigEndian.PutUint32(n.now[8:], Version+1)
	binary.BigEndian.PutUint32(n.now[headerSize-4:], checksum(n.now[:headerSize-4]))
	disk.dirs[testDir].now[strings.TrimSuffix(filepath.Base(path), segmentSuffix)+ackSuffix] = &memNode{now: []byte("acks of a newer kind")}
	before := slices.Clone(n.now)
	var told string
	s, err := openSlot(testDir, Options{FS: disk, Warn: func(format string, args ...any) { told += fmt.Sprintf(format, args...) }}, nil)
	require.NoError(t, err)
	refs, got := readAll(t, s)
	require.Equal(t, seq(4, 6), got)
	for _, r := range refs {
		s.Ack(r)
	}
	require.NoError(t, s.Close())
	require.Contains(t, told, "version 2, this client reads up to 1")
	require.Equal(t, before, n.now)
	require.Len(t, disk.named(t, segmentSuffix), 1)
	require.Len(t, disk.named(t, ackSuffix), 1)
}

// S4: a file that cannot be read for a moment is taken for a damaged one, and what is in it is never delivered; or its acks cannot be
// read, and all of it is sent again.
func TestAnUnreadableFileIsNotADamagedOne(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.EACCES, syscall.EMFILE} {
		for _, ending := range []string{segmentSuffix, ackSuffix} {
			for _, op := range []string{"open", "read"} {
				for skip := range 4 { // the calls that work before it
					name := fmt.Sprintf("%v in %s of %s after %d", fault, op, ending, skip)
					disk := segments(t, 6)
					s := openIn(t, disk, SyncOff)
					refs, _ := readAll(t, s)
					s.Ack(refs[0])
					require.NoError(t, s.Close())
					path, _ := nodeAt(t, disk, 0)
					sick := strings.TrimSuffix(path, segmentSuffix) + ending
					calls, cured := 0, false
					disk.before = func(did, path string, size int) (int, error) {
						if did == op && path == sick && !cured {
							if calls++; calls > skip {
								return 0, &fs.PathError{Op: op, Path: path, Err: fault}
							}
						}
						return size, nil
					}
					s = openIn(t, disk, SyncOff)
					_, got := readAll(t, s)
					cured = true
					s.Retry()
					_, more := readAll(t, s)
					got = append(got, more...)
					slices.Sort(got)
					require.Equal(t, seq(2, 6), got, name)
					require.Zero(t, s.Stats().Quarantined+s.Stats().Unreadable, name)
					require.NoError(t, s.Close())
				}
			}
		}
	}
}

// A file that can never be read again stops the others, or is removed.
func TestAFileThatStaysUnreadableStays(t *testing.T) {
	disk := segments(t, 9)
	sick, _ := nodeAt(t, disk, 1)
	disk.before = func(did, path string, size int) (int, error) {
		if did == "read" && path == sick {
			return 0, syscall.EIO
		}
		return size, nil
	}
	for range 3 {
		s := openIn(t, disk, SyncOff)
		refs, got := readAll(t, s)
		for _, r := range refs {
			s.Ack(r)
		}
		s.Retry()
		_, more := readAll(t, s)
		require.Empty(t, more)
		require.Equal(t, 1, s.Stats().Unreadable)
		require.NoError(t, s.Close())
		require.NotContains(t, got, 5)
	}
	require.Equal(t, []string{filepath.Base(sick)}, disk.named(t, segmentSuffix))
	disk.before = nil
	got, _ := deliver(t, disk)
	require.Equal(t, seq(4, 6), got)
}

// badDisk gives some bytes of one file never back, as a disk with bad blocks does.
type badDisk struct {
	*memFS
	path     string
	from, to int64
	reads    *int // of those
}

type badFile struct {
	File
	disk badDisk
}

func (d badDisk) Open(path string) (File, error) {
	f, err := d.memFS.Open(path)
	if err == nil && path == d.path {
		f = badFile{f, d}
	}
	return f, err
}

func (f badFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.disk.to || off+int64(len(p)) <= f.disk.from {
		return f.File.ReadAt(p, off)
	}
	*f.disk.reads++
	n, err := f.File.ReadAt(p[:max(0, f.disk.from-off)], off)
	return n, cmp.Or(err, error(syscall.EIO))
}

// S4: after a bad block, in which the head of a batch lies, all that is whole waited for ever; and of a bad first block all of the file did.
func TestABadBlockCostsWhatIsInIt(t *testing.T) {
	const n = 1000
	for _, bad := range [][2]int64{{0, 1}, {1, 2}, {2, 5}, {7, 12}, {25, 40}} {
		disk, reads := newMemFS(testDir), 0
		s, err := openSlot(testDir, Options{SegmentBytes: 1 << 20, FS: disk}, nil)
		require.NoError(t, err)
		var records []Record
		var ends []int64
		end := int64(headerSize)
		for i := range n {
			r := batchOf(i + 1)
			records, end = append(records, r), end+int64(r.size())
			ends = append(ends, end)
		}
		_, err = s.Append(nil, records, false)
		require.NoError(t, err)
		require.NoError(t, s.Close())
		path, _ := nodeAt(t, disk, 0)
		sick := badDisk{disk, path, bad[0] * block, bad[1] * block, &reads}
		var whole, broken []int
		for i, end := range ends {
			if start := end - int64(records[i].size()); start >= sick.to || end <= sick.from {
				whole = append(whole, i+1)
			} else {
				broken = append(broken, i+1)
			}
		}
		var warnings []string
		s, err = openSlot(testDir, Options{FS: sick, Warn: func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }}, nil)
		require.NoError(t, err)
		refs, got := readAll(t, s)
		require.Equal(t, whole, got, "bad: %v", bad)
		require.Less(t, reads, 40, "of what is bad: a disk takes seconds for each")
		require.Equal(t, 1, s.Stats().Unreadable)
		require.NotZero(t, s.Stats().Errors)
		require.Contains(t, strings.Join(warnings, "\n"), "cannot be read for now, and stays")
		for _, ref := range refs {
			s.Ack(ref)
		}
		require.NoError(t, s.Close())
		got, stats := deliver(t, disk) // and when it gives the rest back that comes, and nothing else
		require.Equal(t, broken, got, "bad: %v", bad)
		require.Zero(t, stats.Quarantined)
		require.Empty(t, disk.named(t, segmentSuffix))
	}
}
