package dataproxy

import (
	"errors"
	"fmt"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/connections"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// sealed is a batch that is to be stored. With spool_after it is sent meanwhile, so it may have ended, and its memory may be
// another batch's, before it is stored.
type sealed struct {
	b     *batch
	order uint64        // b is still the batch that was meant if it has this order
	at    time.Duration // when it was sealed, since the client's start
}

// lives reports whether it can be stored: none of its messages has its result, since a sender that knows of a failure may send the
// message again, and its id names no frame with a part of it. The caller holds b.mu.
func (e sealed) lives() bool {
	b := e.b
	return b.order == e.order && b.unsettled > 0 && !b.expired && b.frame.items == nil
}

// over reports whether it has ended.
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
	} else { // it is passed on, dead or alive
		s.queue.Queue.Push(e)
	}
	n := s.queue.Len()
	s.mu.Unlock()
	if !later || n == 1 { // otherwise a timer runs
		s.wake()
	}
	return !later && n > connections.YieldAfter
}

// due takes out what is to be stored now: what has waited for spool_after, or everything.
func (s *spooler) due(all bool) (due []sealed) {
	wait := s.c.opts.SpoolAfter
	if s.c.end.closing.Load() { // there may be little time left
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

// lookEvery is the time between two checks of what waits for the disk, or is on it.
func (s *spooler) lookEvery() time.Duration {
	if after := s.c.opts.SpoolAfter; after > 0 {
		return min(acksEvery, after/4)
	}
	return acksEvery
}

// store stores what is due, in few writes, and passes on what waits for that. A disk that fails does not stop it: the client
// continues without it.
func (s *spooler) store(all bool) {
	batches := s.due(all)
	most := min(storedAtOnce, s.c.opts.SpoolMaxBytes/16) // near the bound a whole write is stored, or nothing of it
	for len(batches) > 0 {
		group, bytes := batches[:0:0], 0
		for len(batches) > 0 && bytes < most {
			e := batches[0]
			e.b.mu.Lock()
			if e.lives() { // otherwise it was dropped
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
				s.c.conns.Dispatch(b) // a dead one is dropped there
			}
		}
	}
}

// isResult reports whether b's messages have their result now because they are stored. Then b is read back later.
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
		if err = s.sync(); err != nil { // it may be stored in spite of that
			for _, r := range s.refs {
				s.own.Ack(r)
			}
		}
	}
	s.unsynced = s.unsynced || err == nil && s.opts.Sync == spool.SyncInterval
	store, opening := s.own, s.opening
	switch {
	case err == nil:
		s.counts.stored(s.own, s.opts.MaxBytes)
	case errors.Is(err, spool.ErrFull):
		s.warn(fmt.Errorf("%w: spool_max_bytes are in use", err))
		s.counts.state.Store(SpoolFull)
	default:
		s.warn(err)
		s.counts.state.Store(SpoolFailed)
		s.reconsider()
	}
	_, pending := s.c.budget.pending()
	// Otherwise the memory is for other batches, and this one is compressed again when it is sent; or it was sent.
	keep := pending < int64(s.c.opts.MaxPendingBytes)/2 && s.c.opts.SpoolAfter == 0
	for i, e := range s.group {
		b, block := e.b, s.records[i].Body
		b.mu.Lock()
		if b.order == e.order {
			b.storing = false
		}
		if err == nil {
			if !e.lives() { // it was acked meanwhile, or its sender was told that it failed
				store.Ack(s.refs[i])
				s.ackedOne()
			} else {
				b.kept = &kept{store: store, ref: s.refs[i], opening: opening, rest: b.count()}
				b.leaveBulk(false) // its place in the bulk window is free
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

// place gives the batches of an ordered client their places: those of s.group the places where they were stored, and the others
// that of the next stored one. Each has its place before a batch that was sealed later can be on the disk only.
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

// record is b as it is stored: with its body as it is sent, in memory of its own, since a callback that receives the payload of a
// failed message may change it. The caller holds b.mu.
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
