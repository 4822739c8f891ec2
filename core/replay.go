package dataproxy

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// readBack sends what is only on the disk, oldest first, as long as nodes take messages, within a quarter of the memory: fresh batches
// have the rest, and share the lanes with it. A sixteenth is its own, so that it makes progress where senders take all the room that comes.
func (s *spooler) readBack() {
	most := int64(s.c.opts.MaxPendingBytes)
	for !s.c.dispatcher.waiting.Load() && s.c.dispatcher.usable() != nil && s.reading.Load() < most/4 {
		if s.c.closing.Load() {
			return
		}
		if !s.next() {
			s.backlog.Store(false)
			if !s.next() { // left to the disk meanwhile
				return
			}
			s.backlog.Store(true)
		}
		b := s.waiting
		b.mu.Lock()
		n := b.footprint()
		if s.c.budget.admit(b.st, int64(b.count()), n) != noShortage {
			if s.reading.Load() > most/16 {
				b.mu.Unlock()
				return
			}
			s.c.budget.add(b.st, int64(b.count()), n)
		}
		b.charged = n
		b.mu.Unlock()
		s.waiting = nil
		s.reading.Add(int64(len(b.body.b)))
		s.c.metrics.pending[b.st.share.index].Add(float64(b.count()))
		s.c.dispatcher.dispatch(b)
	}
}

// leaveWaiting gives a batch that waits for room back to the disk.
func (s *spooler) leaveWaiting() {
	if b := s.waiting; b != nil {
		s.waiting = nil
		s.reading.Add(int64(len(b.body.b)))
		s.c.budget.add(b.st, int64(b.count()), 0)
		s.c.metrics.pending[b.st.share.index].Add(float64(b.count()))
		s.c.finish(b, func() *Error { return b.fault(CodeClosed, "", nil) })
	}
}

// next reads one batch back, unless one waits.
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
			if r.Flags&^flagItemized != 0 || r.Flags == flagItemized && s.c.opts.MessageFormat != Binary {
				s.c.log.Warnf("spool: batch %s stays in the folder: it takes a client with message_format=binary, or a newer one", r.ID)
				continue
			}
			if s.waiting = s.rebuild(store, ref, &r); s.waiting != nil {
				return true
			}
			s.c.log.Warnf("spool: batch %s has no messages that can be sent: it is given up", r.ID)
			store.Ack(ref)
			s.ackedOne()
		}
	}
	return false
}

// rebuild makes a batch of a record: under its old id, for ever, and for nobody who waits. It returns nil for one that no client has
// stored.
func (s *spooler) rebuild(store *spool.Spool, ref spool.Ref, r *spool.Record) *batch {
	if checkGroupID(r.Group) != nil || CheckStreamID(r.Stream) != nil {
		return nil
	}
	itemized := r.Flags&flagItemized != 0
	ends := endsOf(r.Body, itemized)
	if len(ends) == 0 || len(ends) != r.Messages {
		return nil
	}
	key := streamKey{group: r.Group, stream: r.Stream}
	var ours bool
	if key.attributes, ours = strings.CutPrefix(r.Attributes, s.c.columns); !ours {
		key.attributes = ownTail + r.Attributes
	}
	b := s.c.batches.get(s.c.addStream(key), 0)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened = time.Now().Add(forever)
	b.due = b.opened
	b.wake(time.Now())
	b.id, b.eventTime, b.itemized = r.ID, r.EventTime, itemized
	b.body.b = append(b.body.b, r.Body...)
	b.ends = append(b.ends, ends...)
	for range ends {
		b.receivers = append(b.receivers, unasked{})
	}
	b.unsettled = len(ends)
	b.undelivered.Store(int32(len(ends)))
	b.kept = &kept{store: store, ref: ref, replayed: true}
	return b
}

// flagItemized marks a record whose messages have attributes of their own behind their payloads.
const flagItemized = 1

// endsOf returns where each message of a body ends, or nil for one that no client has made.
func endsOf(body []byte, itemized bool) (ends []uint32) {
	for at, payload := 0, true; at < len(body); payload = !payload || !itemized {
		if len(body)-at < itemHeader {
			return nil
		}
		n := int(binary.BigEndian.Uint32(body[at:]))
		if n > len(body)-at-itemHeader || n == 0 && payload {
			return nil
		}
		if at += itemHeader + n; !payload || !itemized {
			ends = append(ends, uint32(at))
		} else if at == len(body) {
			return nil
		}
	}
	return ends
}

// ownTail begins the attributes of a stream of batches that were stored with other columns than the client adds: they have those.
const ownTail = "\x00"

// forever is the deadline of what was read back.
const forever = math.MaxInt64 / 4

// unasked takes the results of messages that were read back: nobody waits for them.
type unasked struct{}

func (unasked) receive(*batch, int, *Error) {}
