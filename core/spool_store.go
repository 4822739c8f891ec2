package dataproxy

import (
	"errors"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/connections"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// sealed is a batch that is to be stored. With spool_after it is sent meanwhile, so that it may be done with, and its memory be another
// batch's, before its turn comes.
type sealed struct {
	b     *batch
	order uint64        // it is the batch that was meant where b still has it
	at    time.Duration // when it was sealed, since the client's start
}

// lives reports whether it can be stored: nothing of it has its result, since who was told that a message failed may send it again; and
// its id names no frame with a part of it. The caller holds b.mu.
func (e sealed) lives() bool {
	b := e.b
	return b.order == e.order && b.unsettled > 0 && !b.expired && b.frame.items == nil
}

// over reports whether it is done with.
func (e sealed) over() bool {
	e.b.mu.Lock()
	defer e.b.mu.Unlock()
	return !e.lives()
}

// take takes a sealed batch to be stored; without spool_after also to be sent then. behind asks the sender to let others run.
func (s *spooler) take(b *batch) (behind bool) {
	later := s.c.opts.SpoolAfter > 0
	e := sealed{b: b, order: b.order}
	if later {
		e.at = time.Since(s.c.start)
	}
	s.mu.Lock()
	if s.hangs.Load() && !later && !s.c.opts.Ordered {
		s.mu.Unlock()
		return s.c.conns.Dispatch(b)
	}
	if later {
		s.queue.Push(e, sealed.over)
	} else { // it is to be handed on, dead or alive
		s.queue.Queue.Push(e)
	}
	n := s.queue.Len()
	s.mu.Unlock()
	if !later || n == 1 { // else a timer runs
		s.wake()
	}
	return !later && n > connections.YieldAfter
}

// due takes out what is to be stored now: what has waited for spool_after, or all.
func (s *spooler) due(all bool) (due []sealed) {
	wait := s.c.opts.SpoolAfter
	if s.c.closing.Load() { // the time that is left for it may be short
		wait = min(wait, acksEvery)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait == 0 || all {
		s.inHand = s.queue.TakeAll()
		return s.inHand
	}
	now := time.Since(s.c.start)
	for e, ok := s.queue.Peek(); ok && now-e.at >= wait; e, ok = s.queue.Peek() {
		s.queue.Pop()
		due = append(due, e)
	}
	return due
}

// storesLater reports whether something waits for spool_after.
func (s *spooler) storesLater() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.Len() > 0
}

// lookEvery is the time between two looks at what waits for the disk, or on it.
func (s *spooler) lookEvery() time.Duration {
	if after := s.c.opts.SpoolAfter; after > 0 {
		return min(acksEvery, after/4)
	}
	return acksEvery
}

// store stores what is due, in few writes, and hands it on where that waits for it. A disk that refuses does not stop it: the client
// continues as without one.
func (s *spooler) store(all bool) {
	batches := s.due(all)
	most := min(storedAtOnce, s.c.opts.SpoolMaxBytes/16) // near the bound all of it is stored, or nothing
	for len(batches) > 0 {
		group, bytes := batches[:0:0], 0
		for len(batches) > 0 && bytes < most {
			e := batches[0]
			e.b.mu.Lock()
			if e.lives() { // else it was let go of
				bytes += len(e.b.body.b)
			}
			e.b.mu.Unlock()
			group, batches = append(group, e), batches[1:]
		}
		s.storeGroup(group)
		if s.c.opts.SpoolAfter > 0 || !s.handsOn(len(group)) {
			continue
		}
		for _, e := range group {
			switch b := e.b; {
			case s.c.opts.SpoolResult == SpoolResultStored && s.isResult(b):
				s.c.finish(b, nil)
			case s.c.opts.Ordered:
				b.st.mu.Lock()
				b.st.enter(b)
				b.st.mu.Unlock()
			default:
				s.c.conns.Dispatch(b) // one that is dead is dropped there
			}
		}
	}
}

// isResult reports whether b's messages have their result now, which is that they are stored: b is read back when its turn comes.
func (s *spooler) isResult(b *batch) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kept == nil || b.unsettled == 0 {
		return false
	}
	b.kept.counts = true
	return true
}

func (s *spooler) storeGroup(all []sealed) {
	if s.own == nil && !s.reopen() {
		s.place(all, nil)
		return
	}
	s.records, s.group = s.records[:0], s.group[:0]
	for _, e := range all {
		e.b.mu.Lock()
		if e.lives() {
			e.b.storing = true
			s.group = append(s.group, e)
			s.records = append(s.records, e.b.record())
		}
		e.b.mu.Unlock()
	}
	if len(s.group) == 0 {
		s.place(all, nil)
		return
	}
	var err error
	s.refs, err = s.own.Append(s.refs[:0], s.records, true)
	s.place(all, s.refs)
	if err == nil && s.opts.Sync == spool.SyncBatch {
		if err = s.sync(); err != nil { // it may be there all the same
			for _, r := range s.refs {
				s.own.Ack(r)
			}
		}
	}
	s.unsynced = s.unsynced || err == nil && s.opts.Sync == spool.SyncInterval
	store, opening := s.own, s.opening
	switch s.warn(err); {
	case err == nil:
		s.counts.stored(s.own, s.opts.MaxBytes)
	case errors.Is(err, spool.ErrFull):
		s.counts.state.Store(SpoolFull)
	default:
		s.counts.state.Store(SpoolFailed)
		s.reconsider()
	}
	_, pending := s.c.budget.pending()
	// Else memory is for other batches, and this one is compressed again when it is sent; or it was sent.
	keep := pending < int64(s.c.opts.MaxPendingBytes)/2 && s.c.opts.SpoolAfter == 0
	for i, e := range s.group {
		b, block := e.b, s.records[i].Body
		b.mu.Lock()
		if b.order == e.order {
			b.storing = false
		}
		if err == nil {
			if !e.lives() { // meanwhile: it was acked, or its sender was told that it failed
				store.Ack(s.refs[i])
				s.ackedOne()
			} else {
				b.kept = &kept{store: store, ref: s.refs[i], opening: opening, rest: b.count()}
				b.leaveBulk(false) // it does not fail for what is before it
				if keep && s.records[i].Flags&spool.FlagSnappy != 0 {
					b.kept.block, block = block, nil
					b.pay()
				}
			}
		}
		b.mu.Unlock()
		if block != nil {
			giveBlock(block)
		}
	}
	clear(s.records)
	clear(s.group)
}

// place gives the batches of an ordered client their places: those of s.group where they were stored, and the others that of the next one.
// Each has its own before one that was sealed behind it can be on the disk only.
func (s *spooler) place(all []sealed, refs []spool.Ref) {
	if !s.c.opts.Ordered {
		return
	}
	if len(refs) > 0 {
		s.behind = position{s.opening, refs[len(refs)-1].Behind()}
	}
	stored := 0
	for _, e := range all {
		at := s.behind
		if stored < len(refs) {
			at.ref = refs[stored]
			if s.group[stored] == e {
				stored++
			}
		}
		e.b.mu.Lock()
		if e.b.order == e.order {
			e.b.place = at
		}
		e.b.mu.Unlock()
	}
}

// record is b as it is kept: with its body as it goes to the network, in bytes of its own, since who gets the payload of a message that fails
// meanwhile may change it. The caller holds b.mu.
func (b *batch) record() spool.Record {
	flags := uint32(0)
	if b.itemized {
		flags = spool.FlagItemized
	}
	block, compressed := *blocks.Get().(*[]byte), false
	if b.st.c.opts.Compression == Snappy {
		if block, compressed = wire.Compress(block, b.body.b); compressed {
			flags |= spool.FlagSnappy
		}
	}
	if !compressed {
		block = append(block, b.body.b...)
	}
	return spool.Record{
		ID: b.id, Group: b.st.key.group, Stream: b.st.key.stream, Attributes: string(b.st.tail) + b.attributes, EventTime: b.eventTime,
		Stored: b.st.c.now().UnixMilli(), Messages: b.count(), Flags: flags, Body: block,
	}
}
