package spool

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// historySteps is how many calls of the store a history has; each makes some changes to the disk.
const historySteps = 9

// histories is how many are tried: some in each run of the tests, and as many as make crash asks for.
func histories(t *testing.T) uint64 {
	text := os.Getenv("INLONG_TEST_HISTORIES")
	if text == "" {
		return 60
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What was stored is lost, altered, invented or sent again behind its ack, where the power goes or the process ends at the wrong
// moment: the disk may then have any part of what was not synced.
func TestPowerCutsAndKillsBreakNoPromise(t *testing.T) {
	n := histories(t)
	var next, states atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := next.Add(1); seed <= n && !t.Failed(); seed = next.Add(1) {
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
	t.Logf("%d histories, %d states", n, states.Load())
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
