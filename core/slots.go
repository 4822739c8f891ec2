package dataproxy

import (
	"errors"
	"fmt"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// opened begins with a slot of its own.
func (s *spooler) opened() {
	s.opening++
	s.behind, s.surveyed = position{s.opening, s.own.End()}, 0
	s.surveying.Store(s.c.opts.Ordered)
	s.counts.opened(s.stores())
}

// stores returns the slots that are open, its own first.
func (s *spooler) stores() (all []*spool.Spool) {
	if s.own != nil {
		all = append(all, s.own)
	}
	return append(all, s.adopted...)
}

// reconsider closes a slot that has gone from under its store.
func (s *spooler) reconsider() {
	if err := s.own.Check(); err != nil {
		lost := s.own.Stats().Batches - s.disown(s.own, true)
		_ = s.own.Close()
		s.counts.closed(s.own)
		if lost > 0 {
			s.counts.lost.Add(int64(lost))
			s.c.log.Errorf("spool: %d batches are lost with their folder", lost)
		}
		s.own = nil
		s.unusable(err)
		s.counts.opened(s.stores())
	}
}

// disown lets batches of a store that are also in memory, all of them or those that it does not have any more, end as if they had never been
// stored, except where a message has the result "stored". It returns their number.
func (s *spooler) disown(store *spool.Spool, all bool) (batches int) {
	for _, b := range s.c.batches.all() {
		b.mu.Lock()
		if b.kept != nil && b.kept.store == store && (all || !store.Has(b.kept.ref)) {
			batches++
			// One that is settled may be gone from here at any time, with what is charged for it.
			if b.unsettled > 0 && !b.replayed && !b.kept.counts && b.told() == 0 {
				b.kept = nil
				b.pay()
			}
		}
		b.mu.Unlock()
	}
	return batches
}

// unusable says so, and has the folder tried again later.
func (s *spooler) unusable(err error) {
	s.warn(fmt.Errorf("the folder cannot be used, what is sent now is not stored: %w", err))
	s.reopenAt = time.Now().Add(reopenEvery)
}

func (s *spooler) reopen() bool {
	if time.Now().Before(s.reopenAt) {
		return false
	}
	own, err := spool.Open(s.c.opts.SpoolDir, s.opts)
	if err != nil {
		s.warn(err)
		s.counts.errors.Add(1)
		s.reopenAt = time.Now().Add(reopenEvery)
		return false
	}
	s.own = own
	if s.c.opts.Ordered {
		s.eachStream(func(st *stream) { st.spooled.forget(s) })
	}
	s.opened()
	return true
}

// lookForOrphans has adopt look for slots whose owners are gone. A look that is under way keeps its end, at which it tells what it waits for.
func (s *spooler) lookForOrphans() {
	if !s.looks() {
		s.adoptUntil = time.Now().Add(adoptWait)
	}
}

// adopt takes the slots whose owners are gone. It does not wait for others who do that: what is to be stored would wait, too, for as long as
// somebody is stopped with the folder's lock. It is called again soon then.
func (s *spooler) adopt() {
	for s.looks() {
		store, err := spool.Adopt(s.c.opts.SpoolDir, s.opts)
		if store == nil && errors.Is(err, spool.ErrBusy) && time.Now().Before(s.adoptUntil) {
			return
		}
		s.warn(err)
		if store == nil {
			s.adoptUntil = time.Time{}
			return
		}
		st := store.Stats()
		s.c.log.Warnf("spool: %d batches with %d messages of a client that is gone are sent by this one", st.Batches, st.Messages)
		s.adopted = append(s.adopted, store)
		s.counts.opened(s.stores())
		if s.lines == nil {
			s.lines = map[*spool.Spool]string{}
		}
		s.adoptions++
		s.lines[store] = fmt.Sprint(adoptedLine, s.adoptions)
	}
}

// looks reports whether adopt has something to do.
func (s *spooler) looks() bool { return !s.adoptUntil.IsZero() }
