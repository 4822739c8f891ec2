package dataproxy

import "time"

// makeRoom leaves batches that wait for a lane to the disk while memory is short; the result of their messages is "stored" then.
// Memory is short when it is short for one worker, of which a stream may have seven eighths: the own parts of other workers may be
// idle.
func (s *spooler) makeRoom() {
	b := &s.c.budget
	most := b.most()
	messages, bytes := b.pending()
	if bytes <= most/4*3 && messages <= b.maxMessages/4*3 {
		return
	}
	takes, ordered := !s.noneTakes(), s.c.opts.Ordered
	if ordered && takes && (s.onDisk.Load() == 0 || time.Since(s.madeRoom) < acksEvery) { // others may hold the memory, so this is not done for each batch that is sealed
		return
	}
	if s.c.opts.SpoolAfter > 0 && (ordered || !takes) { // what is left to the disk must be stored already
		s.store(true)
	}
	if ordered {
		s.madeRoom = time.Now()
		s.makeRoomInLines(takes, messages, bytes)
		return
	}
	for _, parked := range s.c.conns.TakeParked() {
		if bytes < most/2 && messages < b.maxMessages/2 {
			s.c.conns.Dispatch(parked)
			continue
		}
		count, held := s.leave(parked)
		if held == 0 {
			s.c.conns.Dispatch(parked)
		}
		bytes, messages = bytes-held, messages-count
	}
}

// makeRoomInLines is makeRoom for an ordered client. There, batches wait until the one before them in their stream has ended, and
// that one waits for a lane or is on the disk. While a node takes messages, it moves only those that wait for the disk.
func (s *spooler) makeRoomInLines(takes bool, messages, bytes int64) {
	for _, b := range s.c.batches.all() {
		if bytes < s.c.budget.most()/2 && messages < s.c.budget.maxMessages/2 {
			return
		}
		if takes && !b.behindDisk() {
			continue
		}
		count, held := s.leave(b)
		bytes, messages = bytes-held, messages-count
	}
}

// behindDisk reports whether b waits for batches of its stream that are on the disk only.
func (b *batch) behindDisk() bool {
	b.mu.Lock()
	st := b.st // b may be reused at any moment: leave checks once more
	b.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.busy != b && st.spooled.disk > 0
}

// leave leaves a batch to the disk alone, and returns what it held. That is nothing if it is not stored, is being sent, or was read
// back.
func (s *spooler) leave(b *batch) (messages, bytes int64) {
	b.mu.Lock()
	if b.kept == nil || b.replayed || b.written || b.unsettled == 0 {
		b.mu.Unlock()
		return 0, 0
	}
	messages, bytes = int64(b.count()), b.charged
	// Without giving the lock back: of an ordered client's b may be sent, be acked and be another one's open batch at any moment.
	s.c.finishHeld(b, func() *Error {
		return b.fault(CodeSendTimeout, "memory was short while no node took messages, or older ones of its stream were in the spool", s.c.outage(b))
	})
	return messages, bytes
}

// noneTakes reports whether no node takes messages.
func (s *spooler) noneTakes() bool {
	return s.c.conns.Stuck()
}
