package dataproxy

import (
	"math"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/fifo"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// A batch of an ordered stream is sent when all batches sealed before it have ended. With a spool, some of those may be on the disk
// only; when they are read back, they return to their places. The store assigns the places, in the order of sealing.

// position is a batch's place among those of its slot. A batch that was not stored has the place of the next stored one.
type position struct {
	opening int // of a slot by this client, since a disk may fail and come back
	ref     spool.Ref
}

func (p position) before(other position) bool {
	return p.opening < other.opening || p.opening == other.opening && p.ref.Before(other.ref)
}

// lined is a batch that was read back and waits in a line.
type lined struct {
	b  *batch
	at position
}

// placed is b's place. A batch that is still to be stored comes after all stored ones.
func (b *batch) placed() position {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.place == (position{}) {
		return position{opening: math.MaxInt}
	}
	return b.place
}

// spoolLine holds the batches that wait until the stream's batch on its way has ended. The stream's mu guards it.
type spoolLine struct {
	sealed fifo.Mortal[*batch] // by this client, in the order of sealing
	back   []lined             // read back, in the order of storing

	disk  int      // number of batches on the disk only
	least position // none of these is before it
	exact bool     // one of these is at least
	past  bool     // a later one was read back since
	stuck bool     // something that was read back waits for the disk, and holds the memory for that
}

// idle reports whether l is empty, and nothing of it is on the disk.
func (l *spoolLine) idle() bool {
	return l == nil || l.sealed.Len() == 0 && len(l.back) == 0 && l.disk == 0
}

// enter puts a sealed batch into its line. The caller holds mu.
func (st *stream) enter(b *batch) {
	st.spooled.sealed.Push(b, endsDead)
	st.getGoing()
}

// endsDead reports whether b is dead. If so, b leaves its line, and counts as being on the disk before the next batch is
// considered. The caller holds the stream's mu.
func endsDead(b *batch) bool {
	if !b.dead() {
		return false
	}
	b.st.c.spooler.end(b, false, nil)
	return true
}

// getGoing sends the first batch in line if it may go. The caller holds mu.
func (st *stream) getGoing() {
	if st.busy == nil {
		st.next()
	}
}

// comeBack puts a batch that was read back into its line.
func (st *stream) comeBack(b *batch, at position) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.spooled.took(at, st.c.spooler)
	i := len(st.spooled.back)
	for i > 0 && at.before(st.spooled.back[i-1].at) {
		i--
	}
	st.spooled.back = append(st.spooled.back, lined{})
	copy(st.spooled.back[i+1:], st.spooled.back[i:])
	st.spooled.back[i] = lined{b, at}
	st.getGoing()
}

// left notes that what is stored at this place is on the disk only.
func (l *spoolLine) left(at position, s *spooler) {
	if l.disk == 0 || at.before(l.least) {
		l.least, l.exact, l.past = at, true, false
	}
	l.disk++
	s.onDisk.Add(1)
}

// took notes that what is stored at this place is no longer on the disk only. Something before it may have been left to the disk
// while it was read. What is passed a second time is damaged.
func (l *spoolLine) took(at position, s *spooler) {
	if l.disk > 0 {
		l.disk--
		s.onDisk.Add(-1)
	}
	if l.exact && !l.past && l.least.before(at) {
		l.past = true
	} else {
		l.least, l.exact = position{at.opening, at.ref.Behind()}, false
	}
	l.unstick(s)
}

// forget notes that the disk returns nothing more.
func (l *spoolLine) forget(s *spooler) {
	s.onDisk.Add(int64(-l.disk))
	l.disk = 0
	l.unstick(s)
}

func (l *spoolLine) unstick(s *spooler) {
	if l.stuck {
		l.stuck = false
		s.stuck.Add(-1)
	}
}

// pop takes the first batch out of l. ok is false if there is none, or if a batch on the disk comes before it.
func (l *spoolLine) pop(s *spooler) (b *batch, ok bool) {
	for {
		b, sealed := l.sealed.Peek()
		var at position
		if sealed {
			at = b.placed()
		}
		if len(l.back) > 0 && (!sealed || l.back[0].at.before(at)) {
			b, at, sealed = l.back[0].b, l.back[0].at, false
		} else if !sealed {
			return nil, false
		}
		if sealed && b.dead() { // it counts as being on the disk before the next one is considered
			l.sealed.Pop()
			s.end(b, false, nil)
			continue
		}
		if sealed && s.surveying.Load() || l.disk > 0 && l.least.before(at) {
			if len(l.back) > 0 && !l.stuck {
				l.stuck = true
				s.stuck.Add(1)
				s.wake()
			}
			return nil, false
		}
		if sealed {
			l.sealed.Pop()
		} else if l.back = l.back[1:]; len(l.back) == 0 {
			l.back = nil
		}
		return b, true
	}
}

// survey finds out, one segment in each call, for which streams of an ordered client an earlier owner of the slot left something on
// the disk. New batches of those streams wait for it. Until survey has finished, all streams wait.
func (s *spooler) survey() {
	if !s.surveying.Load() {
		return
	}
	if s.own != nil {
		next, more := s.own.Survey(s.surveyed, func(ref spool.Ref, r *spool.Record) {
			if key, ok := s.keyOf(s.own, r); ok {
				s.inLine(key, func(l *spoolLine) { l.left(position{s.opening, ref}, s) })
			}
		})
		if s.surveyed = next; more {
			s.wake()
			return
		}
	}
	s.surveying.Store(false)
	s.eachStream(func(st *stream) { st.getGoing() })
}

// inLine runs do for the line of that key.
func (s *spooler) inLine(key streamKey, do func(*spoolLine)) {
	for done := false; !done; {
		st := s.c.addStream(key)
		st.mu.Lock()
		if done = !st.gone; done {
			do(st.spooled)
		}
		st.mu.Unlock()
	}
}

// eachStream runs do for each stream of an ordered client under its lock.
func (s *spooler) eachStream(do func(*stream)) {
	for _, st := range s.c.streams.list() {
		st.mu.Lock()
		do(st)
		st.mu.Unlock()
	}
}
