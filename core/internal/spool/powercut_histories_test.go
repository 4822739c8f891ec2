package spool

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// historySteps is how many calls of the store a history has; each makes some changes to the disk.
const historySteps = 9

// histories is which are tried: some in each run of the tests, else as many as INLONG_TEST_HISTORIES says, or those from one number to
// another ("4001-8000"), for a long run in pieces.
func histories(t *testing.T) (first, last uint64) {
	text := os.Getenv("INLONG_TEST_HISTORIES")
	if text == "" {
		return 1, 60
	}
	from, to, ok := strings.Cut(text, "-")
	if !ok {
		from, to = "1", text
	}
	first, err := strconv.ParseUint(from, 10, 64)
	require.NoError(t, err)
	last, err = strconv.ParseUint(to, 10, 64)
	require.NoError(t, err)
	return max(first, 1), last
}

// S3: what was stored is lost, altered, invented or sent again after its ack, where the power goes or the process ends at the wrong
// moment: the disk may then have any part of what was not synced.
func TestPowerCutsAndKillsBreakNoPromise(t *testing.T) {
	first, last := histories(t)
	var next, states atomic.Uint64
	next.Store(first - 1)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := next.Add(1); seed <= last && !t.Failed(); seed = next.Add(1) {
				h := newHistory(seed)
				err := h.run(historySteps)
				states.Add(uint64(h.states))
				if err != nil {
					t.Errorf("history %d: %v", seed, err)
				}
			}
		})
	}
	workers.Wait()
	t.Logf("histories %d to %d, %d states", first, last, states.Load())
}

// A power cut brought a removed segment back after what was stored later: an owner that made several segments in a millisecond ended,
// and the next one opened the slot within it, so that its numbers were the lower ones.
func TestANewOwnersSegmentsAreBehindAllThatEarlierOnesMade(t *testing.T) {
	fs := newMemFS(testDir)
	highest := ""
	for owner := range 3 {
		s := openIn(t, fs, SyncOff)
		for n := range 300 {
			refs := put(t, s, true, 3*n+1, 3*n+2, 3*n+3)
			name := fileName(refs[0].segment, segmentSuffix)
			require.Greater(t, name, highest, "owner %d", owner)
			highest = name
			for _, ref := range refs {
				s.Ack(ref)
			}
		}
		require.NoError(t, s.Close())
		require.Empty(t, fs.named(t, segmentSuffix))
	}
}

// bend runs histories with a store that was bent until one is noticed.
func bend(t *testing.T, how func(*history)) {
	for seed := uint64(1); seed <= 200; seed++ {
		h := newHistory(seed)
		how(h)
		if err := h.run(historySteps); err != nil {
			t.Logf("history %d: %v", seed, err)
			return
		}
	}
	t.Fatal("nobody noticed")
}

// The test above passes on any store if its judge is blind.
func TestAStoreThatLeavesFsyncOutIsNoticed(t *testing.T) {
	bend(t, func(h *history) { h.fs.blind = true })
}

func TestAStoreThatRecordsAcksBeforeTheAnswerIsNoticed(t *testing.T) {
	bend(t, func(h *history) { h.early = true })
}

func TestAStoreThatDoesNotLookAtChecksumsIsNoticed(t *testing.T) {
	right := checksum
	defer func() { checksum = right }()
	checksum = func([]byte) uint32 { return 0 }
	bend(t, func(*history) {})
}
