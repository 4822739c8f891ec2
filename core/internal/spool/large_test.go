package spool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// S11, of the store alone: a large backlog is read through before its first batch is delivered, or costs memory by its length.
func TestALargeBacklogIsOpenedWithoutReadingIt(t *testing.T) {
	disk := newMemFS(testDir)
	s, err := openSlot(testDir, Options{FS: disk, SegmentBytes: 1 << 20}, nil)
	require.NoError(t, err)
	body := make([]byte, 5000)
	group := make([]Record, 50)
	const batches = 4000
	var refs []Ref
	for n := 0; n < batches; n += len(group) {
		for i := range group {
			group[i] = batchOf(n + i + 1)
			group[i].Body = body
		}
		refs, err = s.Append(refs, group, true)
		require.NoError(t, err)
	}
	for i := 0; i < 400; i += 3 { // some segments have acks
		s.Ack(refs[i])
	}
	require.NoError(t, s.FlushAcks(false)) // and no Close: the last segment has no end

	read := 0
	disk.before = func(op, path string, size int) (int, error) {
		if op == "read" && strings.HasSuffix(path, segmentSuffix) {
			read += size
		}
		return size, nil
	}
	s, err = openSlot(testDir, Options{FS: disk}, nil)
	require.NoError(t, err)
	require.Equal(t, batches-134, s.Stats().Batches)
	require.EqualValues(t, 2*(batches-134), s.Stats().Messages)
	_, r, ok := s.Next()
	require.True(t, ok)
	require.EqualValues(t, 2, r.ID.Seq)
	require.Less(t, read, int(s.Stats().Bytes)/40)

	kept := 0
	for _, g := range s.segments {
		kept += 8 * (cap(g.acked) + cap(g.held) + cap(g.recorded))
	}
	require.Less(t, kept, batches, "bytes that are kept, of 20 million")
}

// S10: the clock was a day ahead when the batches were stored, and what is stored now is delivered before them.
func TestAClockThatWasSetBackChangesNoOrder(t *testing.T) {
	disk := segments(t, 3)
	path, _ := nodeAt(t, disk, 0)
	ahead := fileOf(1, 2, 3)
	h := segmentHeader{number: 1 << 50, salt: 0x1234567890abcdef, created: 1}
	copy(ahead, h.append(nil))
	require.NoError(t, disk.Remove(path))
	disk.dirs[testDir].now[fileName(h.number, segmentSuffix)] = &memNode{now: ahead}
	s := openIn(t, disk, SyncOff)
	put(t, s, false, 4)
	_, got := readAll(t, s)
	require.Equal(t, seq(1, 4), got)
}

// S12: the folder is in memory, its path is long, its name has blanks and letters of more than a byte; or it is on a file system of another
// kind, as NFS or overlay, which INLONG_TEST_SPOOL_FOLDER names, being where nobody can mount one.
func TestFoldersOfManyKinds(t *testing.T) {
	at := map[string]string{"named": filepath.Join(t.TempDir(), strings.Repeat("a folder für 文件/", 12)), "given": os.Getenv("INLONG_TEST_SPOOL_FOLDER")}
	for name, parent := range map[string]string{"in memory": "/dev/shm", "given": at["given"]} {
		if at[name] = ""; parent == "" {
			continue
		}
		if dir, err := os.MkdirTemp(parent, "spool"); err == nil {
			at[name] = dir
			defer os.RemoveAll(dir)
		} else if name == "given" {
			t.Fatal(err)
		}
	}
	for name, dir := range at {
		t.Run(name, func(t *testing.T) {
			if dir == "" {
				t.Skip("there is none")
			}
			storeAndReadBack(t, dir)
		})
	}
}

func storeAndReadBack(t *testing.T, dir string) {
	t.Helper()
	for _, sync := range []Sync{SyncOff, SyncBatch} {
		s, err := Open(dir, Options{Sync: sync})
		require.NoError(t, err)
		refs := put(t, s, true, 1, 2)
		require.NoError(t, s.Sync())
		s.Ack(refs[0])
		require.NoError(t, s.FlushAcks(true))
		s.Release(refs[1])
		refs, got := readAll(t, s)
		require.Equal(t, []int{2}, got)
		s.Ack(refs[0])
		require.NoError(t, s.Close())
	}
}
