package dataproxy

import (
	"errors"
	"slices"
	"time"
)

// stallAfter is how long the disk may take before batches are sent without it.
const stallAfter = 5 * time.Second

var errDiskHangs = errors.New("the disk of spool_dir does not answer")

// works notes that the goroutine starts, or has ended, work that may wait for the disk.
func (s *spooler) works(on bool) {
	s.mu.Lock()
	s.working = on
	s.hangs.Store(false)
	s.mu.Unlock()
	if on {
		s.stall.Reset(stallAfter)
	} else {
		s.stall.Stop()
	}
}

// stalled sends batches without waiting for a disk that does not answer: those that wait for it, and, by way of take, those that
// come. Those that are being written may be stored in spite of that, as with spool_after. In an ordered client they wait, because
// what is sealed meanwhile could overtake them.
func (s *spooler) stalled() {
	defer s.c.guard()
	s.mu.Lock()
	if !s.working { // it has answered just now
		s.mu.Unlock()
		return
	}
	s.hangs.Store(true)
	var waiting []sealed
	if s.c.opts.SpoolAfter == 0 && !s.c.opts.Ordered {
		waiting = slices.Concat(s.inHand, s.queue.TakeAll())
		s.inHand = nil
	}
	s.mu.Unlock()
	s.c.log.Warnf("spool: the disk has not answered for %v, what is sent now is not stored", stallAfter)
	s.counts.state.Store(SpoolFailed)
	s.metrics.tell(s.stats())
	for _, e := range waiting {
		s.c.conns.Dispatch(e.b)
	}
}

// handsOn reports whether the next n batches that were taken out for storing still have to be passed on.
func (s *spooler) handsOn(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inHand == nil {
		return false
	}
	if s.inHand = s.inHand[n:]; len(s.inHand) == 0 {
		s.inHand = []sealed{} // without the batches that were in it
	}
	return true
}

// outage returns why batches that wait for the disk are not sent.
func (s *spooler) outage() error {
	if s == nil || !s.hangs.Load() {
		return nil
	}
	return errDiskHangs
}
