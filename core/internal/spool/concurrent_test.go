package spool

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Those who append, read, ack, record and sync at one time get in each other's way: a batch is read twice, or never, or a segment goes
// while there is something in it.
func TestManyUseItAtOneTime(t *testing.T) {
	for _, faulty := range []bool{false, true} {
		disk := newMemFS(testDir)
		rng := rand.New(rand.NewPCG(1, 2))
		if faulty {
			disk.before = func(op, _ string, size int) (int, error) { // reads do not fail: what cannot be read waits for Retry
				if op != "read" && op != "open" && rng.IntN(30) == 0 {
					return 0, syscall.EIO
				}
				return size, nil
			}
		}
		s, err := openSlot(testDir, Options{FS: disk, Sync: SyncBatch, SegmentBytes: 5000}, nil)
		for err != nil {
			s, err = openSlot(testDir, Options{FS: disk, Sync: SyncBatch, SegmentBytes: 5000}, nil)
		}
		const batches = 1500
		var all, helpers sync.WaitGroup
		done := make(chan struct{})
		acks := make(chan Ref, batches)
		all.Go(func() {
			for n := 1; n <= batches; n++ {
				for {
					if _, err := s.Append(nil, []Record{batchOf(n)}, false); err == nil {
						break
					}
				}
			}
		})
		all.Go(func() {
			seen, again := map[int]bool{}, map[int]bool{}
			for len(seen) < batches && !t.Failed() {
				ref, r, ok := s.Next()
				if !ok {
					runtime.Gosched()
					continue
				}
				n := int(r.ID.Seq)
				if !sameRecord(batchOf(n), r) {
					t.Errorf("batch %d is not as it was stored", n)
				}
				if n%7 == 0 && !again[n] {
					s.Release(ref)
					again[n] = true
					continue
				}
				if seen[n] {
					t.Errorf("batch %d was read twice", n)
				}
				seen[n] = true
				acks <- ref
			}
			close(acks)
		})
		all.Go(func() {
			for ref := range acks {
				if !s.Ack(ref) {
					t.Errorf("%v was acked before", ref)
				}
			}
		})
		for _, help := range []func(){func() { _ = s.FlushAcks(true) }, func() { _ = s.Sync() }, func() { s.Stats(); s.Retry(); _ = s.Check() }} {
			helpers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						help()
					}
				}
			})
		}
		all.Wait()
		close(done)
		helpers.Wait()
		disk.before = nil
		require.Zero(t, s.Stats().Batches)
		require.Zero(t, s.Stats().Messages)
		require.Zero(t, s.Stats().Lost)
		require.NoError(t, s.Close())
		require.Empty(t, disk.named(t, segmentSuffix))
	}
}
