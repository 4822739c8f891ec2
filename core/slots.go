package dataproxy

import (
	"errors"
	"fmt"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// opened starts to use the slot that this client has opened for itself.
func (s *spooler) opened() {
	s.opening++
	s.behind, s.surveyed = position{s.opening, s.own.End()}, 0
	s.surveying.Store(s.c.opts.Ordered)
	s.counts.opened(s.stores())
}

// stores returns the open slots, the client's own first.
func (s *spooler) stores() (all []*spool.Spool) {
	if s.own != nil {
		all = append(all, s.own)
	}
	return append(all, s.adopted...)
}

// reconsider closes a slot whose files were removed or replaced.
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

// disown treats batches of a store that are also in memory, all of them or those that the store no longer has, as never stored,
// unless a message of theirs has the result "stored". It returns their number.
func (s *spooler) disown(store *spool.Spool, all bool) (batches int) {
	for _, b := range s.c.batches.all() {
		b.mu.Lock()
		if b.kept != nil && b.kept.store == store && (all || !store.Has(b.kept.ref)) {
			batches++
			// A settled one may be removed here at any time, with its charge.
			if b.unsettled > 0 && !b.replayed && !b.kept.counts && b.told() == 0 {
				b.kept = nil
				b.pay()
			}
		}
		b.mu.Unlock()
	}
	return batches
}

// unusable logs the fault, and has the folder tried again later.
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

// lookForOrphans makes adopt look for slots whose owners have ended. A search that is running keeps its own end, when it logs what
// it waits for.
func (s *spooler) lookForOrphans() {
	if !s.looks() {
		s.adoptUntil = time.Now().Add(adoptWait)
	}
}

// adopt takes the slots whose owners have ended. It does not wait for others that do the same: if one of them were stopped while it
// holds the folder's lock, storing would wait, too. In that case it is called again soon.
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

// looks reports whether adopt has work to do.
func (s *spooler) looks() bool { return !s.adoptUntil.IsZero() }
