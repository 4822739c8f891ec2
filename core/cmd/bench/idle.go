package main

import (
	"runtime"
	"runtime/debug"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/cputime"
)

// idle is what a client costs that has nothing to do.
type idle struct {
	Baseline        uint64  `json:"baseline_bytes"`  // heap of the process before the client
	Heap            uint64  `json:"heap_bytes"`      // of the process with a new client
	HeapUsed        uint64  `json:"heap_used_bytes"` // of the process with a client that has worked
	Goroutines      int     `json:"goroutines"`      // of the client
	GoroutinesUsed  int     `json:"goroutines_used"` //
	CorePercent     float64 `json:"core_percent"`    // of one core
	CorePercentUsed float64 `json:"core_percent_used"`
}

const idleSettles = 200 * time.Millisecond

func runIdle(j job) (sample, error) {
	before := runtime.NumGoroutine()
	report := idle{Baseline: heap()}
	client, err := connect(j)
	if err != nil {
		return sample{}, err
	}
	defer client.Close()
	l, err := newLoad(job{Corpus: j.Corpus, Size: j.Size}, client)
	if err != nil {
		return sample{}, err
	}
	corpus := uint64(len(l.corpus)) // the benchmark's own
	time.Sleep(idleSettles)
	report.CorePercent = coreShare(seconds(j.Seconds))
	report.Heap = heap() - corpus
	report.Goroutines = runtime.NumGoroutine() - before
	sent, err := l.run(j.measured(asyncStep, 1))
	if err != nil {
		return sample{}, err
	}
	time.Sleep(idleSettles)
	report.HeapUsed = heap() - corpus
	report.CorePercentUsed = coreShare(seconds(j.Seconds))
	report.GoroutinesUsed = runtime.NumGoroutine() - before
	runtime.KeepAlive(l)
	return sample{Messages: sent, Acked: sent, Idle: &report}, nil
}

// heap returns what is live. What a sync.Pool holds goes in the second collection; memory goes back to the system now, so that
// the runtime does not do it while CPU time is measured.
func heap() uint64 {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// coreShare returns how much of a core the process uses, in percent.
func coreShare(over time.Duration) float64 {
	user, system := cputime.Used()
	began := time.Now()
	time.Sleep(over)
	u, s := cputime.Used()
	return 100 * float64(u+s-user-system) / float64(time.Since(began))
}
