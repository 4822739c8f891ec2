package dataproxy

import (
	"context"
	"sync"
	"time"
)

// running counts goroutines of one kind. Unlike with a sync.WaitGroup, one may start while somebody waits for the end of all: a
// late timer settles its messages while the client is closed.
type running struct {
	mu      sync.Mutex
	n       int
	waiting []chan struct{}
}

func (r *running) Add(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n += n; r.n == 0 {
		for _, none := range r.waiting {
			close(none)
		}
		r.waiting = nil
	}
}

func (r *running) Done() { r.Add(-1) }

// none returns a channel that is closed as soon as no goroutine runs.
func (r *running) none() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	none := make(chan struct{})
	if r.n == 0 {
		close(none)
	} else {
		r.waiting = append(r.waiting, none)
	}
	return none
}

// wait waits until none runs, for d, but no longer than lastGrace after the end of ctx.
func (r *running) wait(ctx context.Context, d time.Duration) bool {
	none, grace := r.none(), time.NewTimer(d)
	defer grace.Stop()
	select {
	case <-none:
		return true
	case <-grace.C:
		return false
	case <-ctx.Done():
	}
	grace.Reset(lastGrace)
	select {
	case <-none:
		return true
	case <-grace.C:
		return false
	}
}
