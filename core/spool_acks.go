package dataproxy

import (
	"errors"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// keepAcks records acks, acksEvery after the first of them, on a goroutine of its own. The goroutine that stores may wait for an
// fsync, and what is acked meanwhile would be sent again after a crash.
func (s *spooler) keepAcks() {
	defer s.c.working.Done()
	defer s.c.guard()
	pause := time.NewTimer(acksEvery)
	defer pause.Stop()
	for {
		select {
		case <-s.ackKick:
		case <-s.c.ctx.Done():
			return
		}
		pause.Reset(acksEvery)
		select {
		case <-pause.C:
		case <-s.c.ctx.Done(): // closing the slots records the rest
			return
		}
		s.acks.Store(false)
		if s.flushAcks(false) {
			s.wake() // there may be a slot to release
		} else {
			s.ackedOne()
		}
	}
}

// ackedOne has acks recorded soon.
func (s *spooler) ackedOne() {
	if !s.acks.Load() && !s.acks.Swap(true) {
		select {
		case s.ackKick <- struct{}{}:
		default:
		}
	}
}

// flushAcks records the acks, so that what was acked is not sent again.
func (s *spooler) flushAcks(durable bool) (ok bool) {
	ok = true
	for _, store := range *s.counts.open.Load() {
		if err := store.FlushAcks(durable); err != nil && !errors.Is(err, spool.ErrClosed) {
			s.warn(err)
			ok = false
		}
	}
	return ok
}
