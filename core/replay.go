package dataproxy

import (
	"errors"
	"math"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// readBack sends what is only on the disk, oldest first, while nodes take messages. It uses at most a quarter of the memory. Fresh
// batches have the rest, and share the lanes with it. A sixteenth is reserved for it, so that it makes progress even if senders
// take all other room.
func (s *spooler) readBack() {
	most := int64(s.c.opts.MaxPendingBytes)
	for !s.surveying.Load() && !s.noneTakes() && (s.reading.Load() < most/4 || s.stuck.Load() > 0) {
		if s.c.end.closing.Load() {
			return
		}
		if !s.next() {
			s.backlog.Store(false)
			if !s.next() { // otherwise it was left to the disk meanwhile
				s.readAll()
				return
			}
			s.backlog.Store(true)
		}
		b := s.waiting
		b.mu.Lock()
		if b.unsettled == 0 { // the sweep of a close came first
			b.mu.Unlock()
			s.leaveWaiting()
			return
		}
		count, n, k := int64(b.count()), b.footprint(), b.kept
		if s.c.budget.admit(b.st, count, n) != noShortage {
			if s.reading.Load() > most/16 && s.stuck.Load() == 0 {
				b.mu.Unlock()
				return
			}
			s.c.budget.add(b.st, count, n)
		}
		b.charged = n
		b.wake(time.Now()) // not before it is charged: it may end at once, which would release what was not charged
		b.mu.Unlock()
		s.waiting = nil
		s.reading.Add(k.size)
		s.c.metrics.addPending(b.st, int(count))
		if s.c.opts.Ordered {
			b.st.comeBack(b, position{k.opening, k.ref})
		} else {
			s.c.conns.Dispatch(b)
		}
	}
}

// readAll ends the wait for what is counted as being on the disk and cannot be read, because it is damaged or for now.
func (s *spooler) readAll() {
	if s.onDisk.Load() == 0 {
		return
	}
	s.eachStream(func(st *stream) {
		if st.spooled.disk > 0 && !s.backlog.Load() {
			st.spooled.forget(s)
			st.getGoing()
		}
	})
}

// leaveWaiting returns a batch that waits for room to the disk.
func (s *spooler) leaveWaiting() {
	if b := s.waiting; b != nil {
		s.waiting = nil
		s.reading.Add(b.kept.size)
		s.c.finish(b, func() *Error { return b.fault(CodeClosed, "", nil) })
	}
}

// next reads one batch back, unless one waits already.
func (s *spooler) next() bool {
	if s.waiting != nil {
		return true
	}
	for _, store := range s.stores() {
		for {
			ref, r, ok := store.Next()
			if !ok {
				break
			}
			if r.Flags&^(spool.FlagItemized|spool.FlagSnappy) != 0 || r.Flags&spool.FlagItemized != 0 && s.c.opts.MessageFormat != Binary {
				s.c.log.Warnf("spool: batch %s stays in the folder: it takes a client with message_format=binary, or a newer one", r.ID)
				s.passed(store, ref, &r)
				continue
			}
			if s.giveUpOld(store, ref, &r) {
				continue
			}
			var err error
			if s.waiting, err = s.rebuild(store, ref, &r); err == nil {
				return true
			}
			s.c.log.Warnf("spool: batch %s with %d messages of group %q and stream %q is given up, since it cannot be read: %v", r.ID, r.Messages, r.Group, r.Stream, err)
			s.giveUp(store, ref, &r)
		}
	}
	return false
}

// giveUp removes a record that will not be sent.
func (s *spooler) giveUp(store *spool.Spool, ref spool.Ref, r *spool.Record) {
	s.counts.givenUp.Add(int64(r.Messages))
	store.Ack(ref)
	s.ackedOne()
	s.passed(store, ref, r)
}

// passed notes that a record will not be sent.
func (s *spooler) passed(store *spool.Spool, ref spool.Ref, r *spool.Record) {
	if key, ok := s.keyOf(store, r); ok && s.c.opts.Ordered {
		s.inLine(key, func(l *spoolLine) { l.took(position{s.openingOf(store), ref}, s) })
	}
}

// openingOf returns the number of the slot's opening, 0 for an adopted slot.
func (s *spooler) openingOf(store *spool.Spool) int {
	if store == s.own {
		return s.opening
	}
	return 0
}

// keyOf returns the stream in which a record is sent. In an ordered client, records of another slot have streams of their own,
// since there is no order between them and this client's batches.
func (s *spooler) keyOf(store *spool.Spool, r *spool.Record) (key streamKey, ok bool) {
	if checkGroupID(r.Group) != nil || CheckStreamID(r.Stream) != nil {
		return key, false
	}
	key = streamKey{group: r.Group, stream: r.Stream}
	if s.c.opts.Ordered {
		key.attributes = s.lines[store]
	}
	return key, true
}

// rebuild makes a batch from a record. It keeps its old id for ever, and nobody waits for it. It returns an error for a record that
// no client has stored.
func (s *spooler) rebuild(store *spool.Spool, ref spool.Ref, r *spool.Record) (*batch, error) {
	key, ok := s.keyOf(store, r)
	if !ok {
		return nil, errors.New("no group or stream has such a name")
	}
	body, ends, err := r.Items(s.body)
	if err != nil {
		return nil, err
	}
	if r.Flags&spool.FlagSnappy != 0 {
		s.body = body
	}
	b := s.c.batches.get(s.c.addStream(key), -forever, true)
	b.mu.Lock()
	defer b.mu.Unlock()
	if age := s.c.opts.SpoolMaxAge; age > 0 { // then it is left to the disk, and given up when it is read again
		b.due = time.Now().Add(age - s.age(r))
		b.opened = b.due.Add(-s.c.opts.SendTimeout)
	}
	b.id, b.eventTime, b.itemized = r.ID, r.EventTime, r.Flags&spool.FlagItemized != 0
	b.attributes, b.ownTail = r.Attributes, true // the ones it was stored with, whatever this client adds
	b.body.b = append(b.body.b, body...)
	if cap(s.body) > 4*storedAtOnce {
		s.body = nil
	}
	b.ends = append(b.ends, ends...)
	for range ends {
		b.receivers = append(b.receivers, unasked{})
	}
	b.unsettled = len(ends)
	b.undelivered.Store(int32(len(ends)))
	b.kept = &kept{store: store, ref: ref, opening: s.openingOf(store), size: int64(len(body)), rest: len(ends)}
	b.hooked = s.c.hooks.ofBatch(b, true)
	if r.Flags&spool.FlagSnappy != 0 && s.c.opts.Compression == Snappy {
		b.kept.block = append(*blocks.Get().(*[]byte), r.Body...)
	}
	return b, nil
}

// adoptedLine starts the text that replaces attributes in the key of a stream of batches from an adopted slot.
const adoptedLine = "\x00"

// forever is the deadline of batches that were read back.
const forever = math.MaxInt64 / 4

// unasked receives the results of messages that were read back: nobody waits for them.
type unasked struct{}

func (unasked) receive(*batch, int, *Error) {}
