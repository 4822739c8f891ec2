package spool

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// batchOf returns a record by its number.
func batchOf(n int) Record {
	return Record{ID: wire.BatchID{Client: 7, Seq: uint64(n)}, Group: "group", Stream: "stream", Attributes: "&a=b", EventTime: int64(n), Stored: int64(n),
		Messages: 2, Flags: 3, Body: fmt.Appendf(nil, "the body of batch %d, some bytes of it", n)}
}

// openIn opens a store over a file system of a test, with three of its records a segment.
func openIn(t *testing.T, fs FS, sync Sync) *Spool {
	t.Helper()
	s, err := openSlot(testDir, Options{Sync: sync, FS: fs, SegmentBytes: 3*int64(batchSize()) + headerSize, Warn: t.Logf}, nil)
	require.NoError(t, err)
	return s
}

// batchSize is that of a batch with a number of two digits.
func batchSize() int {
	r := batchOf(10)
	return r.size()
}

// put appends records one by one.
func put(t *testing.T, s *Spool, hold bool, numbers ...int) (refs []Ref) {
	t.Helper()
	for _, n := range numbers {
		var err error
		refs, err = s.Append(refs, []Record{batchOf(n)}, hold)
		require.NoError(t, err)
	}
	return refs
}

// readAll reads back all that there is, and its numbers.
func readAll(t *testing.T, s *Spool) (refs []Ref, numbers []int) {
	t.Helper()
	for {
		ref, r, ok := s.Next()
		if !ok {
			return refs, numbers
		}
		n := int(r.ID.Seq)
		require.True(t, sameRecord(batchOf(n), r), "batch %d is not as it was stored", n)
		refs, numbers = append(refs, ref), append(numbers, n)
	}
}

// seq returns the numbers from a to b.
func seq(a, b int) (out []int) {
	for n := a; n <= b; n++ {
		out = append(out, n)
	}
	return out
}

// named returns the names in a slot with this ending, in order.
func (m *memFS) named(t *testing.T, ending string) (names []string) {
	t.Helper()
	all, err := m.List(testDir)
	require.NoError(t, err)
	return slices.DeleteFunc(all, func(name string) bool { return filepath.Ext(name) != ending })
}

func (m *memFS) quarantined() []string {
	names, _ := m.List(filepath.Join(testDir, quarantine))
	return names
}

// Batches come back in another order than they were stored, or those that are in memory or acked come back too.
func TestWhatIsLeftComesBackInOrder(t *testing.T) {
	fs := newMemFS(testDir)
	s := openIn(t, fs, SyncOff)
	refs := put(t, s, true, 1, 2, 3, 4)
	refs = append(refs, put(t, s, false, 5, 6, 7)...)
	s.Ack(refs[5])
	_, got := readAll(t, s)
	require.Equal(t, []int{5, 7}, got)
	s.Release(refs[1])
	s.Release(refs[3])
	put(t, s, false, 8)
	_, got = readAll(t, s)
	require.Equal(t, []int{2, 4, 8}, got)
	_, got = readAll(t, s)
	require.Empty(t, got, "what is in memory")
	require.NoError(t, s.Close())

	s = openIn(t, fs, SyncOff)
	require.Equal(t, 7, s.Stats().Batches)
	require.EqualValues(t, 14, s.Stats().Messages)
	require.EqualValues(t, 1, s.Stats().Oldest.UnixMilli())
	refs, got = readAll(t, s)
	require.Equal(t, []int{1, 2, 3, 4, 5, 7, 8}, got)
	for _, r := range refs {
		require.True(t, s.Ack(r))
		require.False(t, s.Ack(r), "acked twice")
	}
	require.Zero(t, s.Stats().Batches)
	require.NoError(t, s.Close())
	require.Empty(t, fs.files(), "nothing is left to be kept")
}

// An ack is remembered by this client only, and everything is sent again after a restart.
func TestAcksOutliveTheirOwner(t *testing.T) {
	fs := newMemFS(testDir)
	s := openIn(t, fs, SyncOff)
	refs := put(t, s, true, seq(1, 8)...)
	for _, i := range []int{0, 1, 4, 7} {
		s.Ack(refs[i])
	}
	require.NoError(t, s.FlushAcks(false)) // and no Close: the process was killed
	s = openIn(t, fs, SyncOff)
	require.Equal(t, 4, s.Stats().Batches)
	_, got := readAll(t, s)
	require.Equal(t, []int{3, 4, 6, 7}, got)
}

// A crash in the middle of an ack shifts all that are recorded after it, and none of them is found again.
func TestAcksBehindATornOneAreFound(t *testing.T) {
	for cut := 1; cut < ackSize; cut++ {
		fs := newMemFS(testDir)
		s := openIn(t, fs, SyncOff)
		refs := put(t, s, true, 1, 2, 3)
		s.Ack(refs[0])
		require.NoError(t, s.FlushAcks(false))
		_, node, err := fs.node("", filepath.Join(testDir, fs.named(t, ackSuffix)[0]))
		require.NoError(t, err)
		node.now = append(node.now, node.now[:cut]...)
		s = openIn(t, fs, SyncOff)
		refs, _ = readAll(t, s)
		s.Ack(refs[1])
		require.NoError(t, s.FlushAcks(false))
		require.NoError(t, s.Close())
		s = openIn(t, fs, SyncOff)
		_, got := readAll(t, s)
		require.Equal(t, []int{2}, got, "%d bytes", cut)
	}
}

// The spool takes more of the disk than it was allowed to, or does not take anything again when there is room.
func TestTheBoundOfTheDiskHolds(t *testing.T) {
	fs := newMemFS(testDir)
	s, err := openSlot(testDir, Options{FS: fs, SegmentBytes: 1000, MaxBytes: 4000}, nil)
	require.NoError(t, err)
	var refs []Ref
	for n := 1; err == nil; n++ {
		refs, err = s.Append(refs, []Record{batchOf(n)}, true)
		require.LessOrEqual(t, s.Stats().Bytes, int64(4000))
	}
	require.ErrorIs(t, err, ErrFull)
	require.Greater(t, s.Stats().Bytes, int64(3500))
	for _, r := range refs[:len(refs)/2] {
		s.Ack(r)
	}
	require.NoError(t, s.FlushAcks(false))
	_, err = s.Append(nil, []Record{batchOf(99)}, true)
	require.NoError(t, err)
	_, err = s.Append(nil, []Record{{Body: make([]byte, MaxRecord)}}, true)
	require.ErrorIs(t, err, ErrTooLong)
	require.NoError(t, s.Close())
	_, err = s.Append(nil, []Record{batchOf(100)}, true)
	require.ErrorIs(t, err, ErrClosed)
}

// A spool was full for ever with nothing in it, where a record had more than half of the bound: its segment was still being written.
func TestASpoolInWhichAllIsAckedIsNotFull(t *testing.T) {
	for _, sync := range []Sync{SyncOff, SyncBatch} {
		s, err := openSlot(t.TempDir(), Options{Sync: sync, MaxBytes: 1 << 20, Warn: t.Logf}, nil)
		require.NoError(t, err)
		large := batchOf(1)
		large.Body = make([]byte, 600<<10)
		for range 3 {
			refs, err := s.Append(nil, []Record{large}, true)
			require.NoError(t, err)
			require.NoError(t, s.Sync())
			_, err = s.Append(nil, []Record{large}, true)
			require.ErrorIs(t, err, ErrFull)
			require.True(t, s.Ack(refs[0]))
		}
		require.NoError(t, s.FlushAcks(true))
		require.NoError(t, s.Close())
	}
}

// A payload that is a file of this or of another spool is read as its records: messages appear that nobody sent.
func TestARecordInAPayloadIsNone(t *testing.T) {
	other := newMemFS(testDir)
	s := openIn(t, other, SyncOff)
	put(t, s, false, 1, 2, 3)
	require.NoError(t, s.Close())
	_, node, err := other.node("", filepath.Join(testDir, other.named(t, segmentSuffix)[0]))
	require.NoError(t, err)
	file := node.now

	fs := newMemFS(testDir)
	s, err = openSlot(testDir, Options{FS: fs}, nil)
	require.NoError(t, err)
	hostile := Record{ID: wire.BatchID{Seq: 7}, Messages: 1, Body: file}
	own := Record{ID: wire.BatchID{Seq: 8}, Messages: 1, Body: nil}
	_, err = s.Append(nil, []Record{hostile}, false)
	require.NoError(t, err)
	_, node, err = fs.node("", filepath.Join(testDir, fs.named(t, segmentSuffix)[0]))
	require.NoError(t, err)
	own.Body = slices.Clone(node.now)
	_, err = s.Append(nil, []Record{own}, false)
	require.NoError(t, err)
	node.now = slices.Clone(node.now)
	node.now[headerSize+1] ^= 1 // the first one's head: the next record has to be looked for
	node.now[headerSize+hostile.size()+1] ^= 1
	for ok := true; ok; {
		var r Record
		if _, r, ok = s.Next(); ok {
			t.Fatalf("an invented batch: %+v", r.ID)
		}
	}
}

// A segment whose owner was killed after its last ack has no end, and stays in the folder for ever: a client that opens it, finds nothing to
// deliver and closes it never reads it to its end.
func TestASegmentWithoutAnEndGoesWhenAllOfItIsAcked(t *testing.T) {
	disk := newMemFS(testDir)
	s := openIn(t, disk, SyncOff)
	for _, ref := range put(t, s, true, 1, 2) {
		s.Ack(ref)
	}
	require.NoError(t, s.FlushAcks(false))
	require.Len(t, disk.named(t, segmentSuffix), 1, "it is still written to")
	next := openIn(t, disk, SyncOff) // the owner is gone without a close
	require.False(t, next.hasMore())
	require.NoError(t, next.Close())
	require.Empty(t, disk.named(t, segmentSuffix))
	require.Empty(t, disk.named(t, ackSuffix))
}

// The owner ends between the removal of a segment and that of its acks, the next one removes these, and a power cut brings the segment back:
// batches come again whose acks were durable.
func TestAcksGoBehindTheirSegmentAlsoAfterAPowerCut(t *testing.T) {
	disk := newMemFS(testDir)
	s := openIn(t, disk, SyncBatch)
	refs := put(t, s, true, 1, 2, 3, 4)
	require.NoError(t, s.Sync())
	s.Ack(refs[0])
	require.NoError(t, s.FlushAcks(true))
	s.Ack(refs[1])
	s.Ack(refs[2])
	require.NoError(t, s.FlushAcks(false))
	require.Len(t, disk.named(t, segmentSuffix), 1, "the first one is gone")
	openIn(t, disk, SyncBatch)
	cuts := 0
	disk.cuts(rand.New(rand.NewPCG(1, 1)), func(left *memFS) {
		cuts++
		_, numbers := readAll(t, openIn(t, left, SyncBatch))
		require.NotContains(t, numbers, 1)
		require.Contains(t, numbers, 4)
	})
	require.Greater(t, cuts, 1)
}

// heldDisk keeps an fsync from ending.
type heldDisk struct {
	FS
	held, free chan struct{}
}

func (d heldDisk) SyncDir(dir string) error {
	d.held <- struct{}{}
	<-d.free
	return d.FS.SyncDir(dir)
}

// A slow fsync of acks keeps others from being recorded: after a crash all of those are sent again.
func TestAcksAreRecordedWhileOthersAreMadeDurable(t *testing.T) {
	disk := newMemFS(testDir)
	held := heldDisk{disk, make(chan struct{}), make(chan struct{})}
	s := openIn(t, held, SyncInterval)
	refs := put(t, s, true, 1, 2)
	s.Ack(refs[0])
	durable := make(chan error)
	go func() { durable <- s.FlushAcks(true) }()
	<-held.held
	s.Ack(refs[1])
	slow := make(chan error)
	go func() { slow <- s.FlushAcks(false) }()
	recorded := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.segments[0].recCount == 2
	}
	require.Eventually(t, recorded, 10*time.Second, time.Millisecond)
	close(held.free)
	require.NoError(t, <-durable)
	require.NoError(t, <-slow)
}

// A survey holds up what it should only look at, or tells of what was acked: a stream then waits for what never comes.
func TestASurveyTellsWhatNextWillGiveBack(t *testing.T) {
	t.Parallel()
	fs := newMemFS(testDir)
	s := openIn(t, fs, SyncOff)
	refs := put(t, s, true, seq(10, 19)...)
	for _, i := range []int{1, 4, 5} {
		s.Ack(refs[i])
	}
	require.NoError(t, s.Close())
	s = openIn(t, fs, SyncOff)
	put(t, s, true, 20) // its own
	var found []int
	from, calls := uint64(0), 0
	for more := true; more; calls++ {
		from, more = s.Survey(from, func(_ Ref, r *Record) { found = append(found, int(r.ID.Seq)) })
	}
	require.Equal(t, []int{10, 12, 13, 16, 17, 18, 19}, found)
	require.Equal(t, 4+1, calls)
	_, numbers := readAll(t, s)
	require.Equal(t, found, numbers)
	require.NoError(t, s.Close())
}
