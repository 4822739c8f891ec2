package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

const (
	stalledAfter = 3 * time.Second // before the bar speaks of it
	stalledTold  = time.Minute
	rateOver     = 5 * time.Second
	samplesEach  = 250 * time.Millisecond
)

// watch knows whether a shipment makes progress, and why not.
type watch struct {
	s    *shipment
	told time.Time // the last line about an outage, or where its minute begins
	quit chan struct{}
	over sync.WaitGroup

	mu      sync.Mutex
	samples []sample // of the last seconds
	errors  int64    // of all nodes, at the last ack
	acked   int64
}

type sample struct {
	at    time.Time
	acked int64
}

// watch looks at the shipment until stop, and says each minute of an outage that there is one.
func (s *shipment) watch(ctx context.Context) *watch {
	w := &watch{s: s, told: time.Now(), quit: make(chan struct{})}
	s.lastAck.Store(w.told.UnixNano())
	w.over.Go(func() {
		clock := time.NewTicker(samplesEach)
		defer clock.Stop()
		for {
			select {
			case <-w.quit:
				return
			case now := <-clock.C:
				w.look(now)
				if ctx.Err() == nil {
					w.tell(now)
				}
			}
		}
	})
	return w
}

// tell logs each minute in which nothing is acked, the first one a minute after the last ack.
func (w *watch) tell(now time.Time) {
	since, why := w.stalled(now)
	if since < stalledTold {
		w.told = now.Add(-since)
	} else if now.Sub(w.told) >= stalledTold {
		w.told = now
		w.s.log.Warn(fmt.Sprintf("nothing acked for %s: %s", since.Round(time.Second), why), "waiting", w.s.waiting())
	}
}

func (w *watch) stop() {
	close(w.quit)
	w.over.Wait()
}

func (w *watch) look(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	acked := w.s.acked.Load()
	w.samples = append(w.samples, sample{now, acked})
	for len(w.samples) > 2 && now.Sub(w.samples[0].at) > rateOver {
		w.samples = w.samples[1:]
	}
	if acked != w.acked || w.s.waiting() == 0 {
		w.acked, w.errors = acked, nodeErrors(w.s.client.Stats())
		if acked == w.s.acked.Load() && w.s.waiting() == 0 {
			w.s.lastAck.Store(now.UnixNano()) // nothing is waited for
		}
	}
}

// rate is that of the last seconds.
func (w *watch) rate() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.samples) < 2 {
		return 0
	}
	first, last := w.samples[0], w.samples[len(w.samples)-1]
	return float64(last.acked-first.acked) / last.at.Sub(first.at).Seconds()
}

// stalled is for how long lines have waited of which none was acked, and why.
func (w *watch) stalled(now time.Time) (since time.Duration, why string) {
	since = now.Sub(time.Unix(0, w.s.lastAck.Load()))
	if w.s.waiting() == 0 || since < stalledAfter {
		return 0, ""
	}
	if err := w.s.notKept(); err != nil {
		return since, err.Error()
	}
	stats := w.s.client.Stats()
	usable := 0
	for _, lane := range stats.Lanes {
		if lane.Usable {
			usable++
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case len(stats.Nodes) == 0:
		return since, "no node is known, the Manager gives none"
	case usable == 0:
		return since, fmt.Sprintf("no connection to any of %s", plural(int64(len(stats.Nodes)), "node"))
	case nodeErrors(stats) > w.errors:
		return since, "all nodes refuse, or close the connection"
	}
	return since, "the nodes do not answer"
}

func nodeErrors(stats dataproxy.Stats) (n int64) {
	for _, node := range stats.Nodes {
		n += node.Errors
	}
	return n
}

// waiting is how many lines have no result yet.
func (s *shipment) waiting() int64 {
	return max(s.lines.Load()-s.acked.Load()-s.spooled.Load()-s.lost.Load(), 0)
}
