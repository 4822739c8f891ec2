package dataproxy

import (
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// now is the wall-clock time when the client started plus the time since then. So ages do not change when the clock is set.
func (c *client) now() time.Time { return c.start.Add(time.Since(c.start)) }

// noAge is an age that no batch has. If a batch seems to be that old, the clock was wrong, then or now: some devices start in 1970.
const noAge = 10 * 365 * 24 * time.Hour

// ageOf returns how long ago that was, or the time since this client's start if a clock was wrong by decades.
func (c *client) ageOf(stored time.Time) time.Duration {
	if age := c.now().Sub(stored); age < noAge {
		return max(0, age) // the clock of an earlier owner may have been ahead
	}
	return time.Since(c.start)
}

// age is how long a record has been stored.
func (s *spooler) age(r *spool.Record) time.Duration { return s.c.ageOf(time.UnixMilli(r.Stored)) }

// giveUpOld gives up a record that was read back and is older than spool_max_age.
func (s *spooler) giveUpOld(store *spool.Spool, ref spool.Ref, r *spool.Record) bool {
	if most := s.c.opts.SpoolMaxAge; most == 0 || s.age(r) < most {
		return false
	}
	s.c.log.Countf(r.Messages, "%d messages of the spool are given up: they are older than spool_max_age")
	s.giveUp(store, ref, r)
	return true
}

// expire gives up what is too old even though no node takes messages, so that the disk has room for newer batches.
func (s *spooler) expire() {
	if s.c.opts.SpoolMaxAge == 0 || s.surveying.Load() {
		return
	}
	for _, store := range s.stores() {
		for {
			ref, r, ok := store.Next()
			if ok && s.giveUpOld(store, ref, &r) {
				continue
			}
			if ok {
				store.Release(ref)
			}
			break
		}
	}
}
