package dataproxy

import "time"

// idleTimer runs only while there is something to wait for.
type idleTimer struct {
	timer *time.Timer
	c     <-chan time.Time // nil while it does not run
}

func (t *idleTimer) start(d time.Duration) {
	if t.c == nil {
		t.timer = time.NewTimer(d)
		t.c = t.timer.C
	}
}

func (t *idleTimer) stop() {
	if t.c != nil {
		t.timer.Stop()
	}
}
