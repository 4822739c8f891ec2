package spool

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// S5: a disk is full of a segment of which all is acked, since nothing looks at it once no ack comes; or which was removed, and is still open
// to be written or read. It stays full for ever.
func TestWhatIsAckedKeepsNoRoom(t *testing.T) {
	for _, sync := range []Sync{SyncOff, SyncInterval, SyncBatch} {
		for fails, room := range map[string]int{"write": 1, "create": 3} { // into the segment that is there, or at the beginning of the next one
			disk := newMemFS(testDir)
			s := openIn(t, disk, sync)
			for n := range room {
				refs := put(t, s, false, 10+n)
				_, got := readAll(t, s)
				require.Equal(t, []int{10 + n}, got)
				s.Ack(refs[0])
			}
			require.NoError(t, s.FlushAcks(false))
			disk.before = func(op, _ string, size int) (int, error) {
				if op == fails {
					return 0, syscall.ENOSPC
				}
				return size, nil
			}
			for range 2 {
				_, err := s.Append(nil, []Record{batchOf(20)}, true)
				require.ErrorIs(t, err, syscall.ENOSPC)
				require.Empty(t, disk.named(t, segmentSuffix))
				_, _, ok := s.Next()
				require.False(t, ok)
			}
			require.Zero(t, disk.handles)
			disk.before = nil
			put(t, s, true, 20)
			require.NoError(t, s.Close())
			require.Zero(t, disk.handles)
		}
	}
}
