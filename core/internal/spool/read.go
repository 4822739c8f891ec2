package spool

import (
	"errors"
	"io"
	"io/fs"
	"slices"
)

// reader is where Next continues.
type reader struct {
	from    uint64   // the least number of a segment to read
	g       *segment // the one that is being read; nil: none
	anew    int
	file    File
	scan    scanner
	seen    bitmap // of this pass
	trouble error
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
	r.file, r.g = nil, nil
}

// Next reads back the oldest record that is neither acked nor in memory, and counts it as being in memory. Body is valid until the
// next call. ok is false if there is none that can be read. It is for one goroutine.
func (s *Spool) Next() (ref Ref, rec Record, ok bool) {
	s.reading.Lock()
	defer s.reading.Unlock()
	r := &s.reader
	for {
		g, limit := s.toRead(r)
		if g == nil {
			return ref, rec, false
		}
		if err := s.openFor(r, g); err != nil {
			r.trouble = err
			s.endPass(r, g)
			continue
		}
		r.scan.size = limit
		found, err := r.scan.record(func(h recordHead) bool {
			if !s.skips(g, h) {
				return false
			}
			r.seen.set(h.at.index)
			return true
		})
		switch {
		case err == nil:
			r.seen.set(found.head.at.index)
			if s.take(r, g, found.head) {
				return Ref{g.number, found.head.at.index, uint32(found.Messages)}, found.Record, true
			}
		case err != io.EOF: // the rest may be readable
			r.trouble = err
		case !s.endPass(r, g):
			return ref, rec, false
		}
	}
}

// toRead returns the first segment in which there may be something, and how much of it is written. If it is the segment that was
// read before, the pass continues.
func (s *Spool) toRead(r *reader) (g *segment, limit int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, 0
	}
	if s.back > 0 {
		r.from, s.back = min(r.from, s.back-1), 0
		r.close()
	}
	for _, g := range s.segments {
		if g.number < r.from || g.trouble != nil || g.known && g.batches <= g.inMemory {
			continue
		}
		return g, g.size
	}
	if r.g != nil && s.find(r.g.number) != r.g { // an open file keeps its room on the disk
		r.close()
	}
	return nil, 0
}

// openFor starts a pass through g, unless it is in one.
func (s *Spool) openFor(r *reader, g *segment) error {
	s.mu.Lock()
	anew, salt := g.anew, g.salt
	s.mu.Unlock()
	if r.g == g && r.anew == anew {
		return nil
	}
	r.close()
	f, err := s.fs.Open(s.path(g.number, segmentSuffix))
	if err != nil {
		return err
	}
	r.g, r.anew, r.file, r.trouble = g, anew, f, nil
	r.from, r.seen = g.number, nil
	buf := r.scan.buf[:0]
	if cap(buf) > 4*window {
		buf = nil
	}
	r.scan = scanner{f: f, salt: salt, off: headerSize, buf: buf}
	return nil
}

// skips is for readers: acked, or in memory.
func (s *Spool) skips(g *segment, h recordHead) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.acked.has(h.at.index) || g.held.has(h.at.index)
}

// take counts a record as being in memory, unless it was acked while it was read.
func (s *Spool) take(r *reader, g *segment, h recordHead) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.acked.has(h.at.index) || g.anew != r.anew {
		return false
	}
	if h.at.index >= g.records { // the survey of an earlier owner's segment ended at damage
		g.records = h.at.index + 1
	}
	g.hold(h.at.index)
	g.ages.note(h.at.index, h.stored)
	return true
}

// endPass ends the pass through g, and reports whether there may be more in it.
func (s *Spool) endPass(r *reader, g *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(r.trouble, fs.ErrNotExist):
		if lost := g.batches - g.inMemory; lost > 0 { // otherwise it was removed in order during the pass
			s.stats.Lost += lost
			s.warn("spool %s: %s is gone, and %d batches with it", s.dir, fileName(g.number, segmentSuffix), lost)
		}
		s.forget(g)
	case r.trouble != nil:
		g.trouble = r.trouble
		s.stats.Errors++
		s.warn("spool %s: %s cannot be read for now, and stays: %v", s.dir, fileName(g.number, segmentSuffix), r.trouble)
	case g.anew != r.anew: // its records have moved
		r.close()
		return true
	case !g.ended, r.scan.off < g.size:
		more := r.scan.off < g.size
		g.lacks = !more && g.batches > g.inMemory && s.back == 0 // Retry ends it, so that the next pass tells
		return more
	default:
		s.learn(r, g)
	}
	r.close()
	r.from = g.number + 1
	return true
}

// learn notes what a segment has after it was read to its end: what was not found does not exist. The caller holds mu.
func (s *Spool) learn(r *reader, g *segment) {
	end := r.scan.closed
	if end != nil {
		g.records = max(g.records, end.records)
	}
	g.records = max(g.records, r.scan.next)
	known := g.known
	g.known = true
	missing := g.misses(r.seen)
	if known {
		s.stats.Lost += missing
	}
	g.damaged = g.damaged || r.scan.damaged > 0 || known && missing > 0 || end != nil && r.seen.count() < int(end.batches)
	if more := r.scan.damaged - g.damage; more > 0 || g.damaged && !known {
		g.damage += more
		s.stats.Damaged += more
		s.warn("spool %s: %s is damaged: %d bytes are no record; the others are delivered", s.dir, fileName(g.number, segmentSuffix), g.damage)
	}
}

// Release says that a record is no longer in memory, so Next returns it again.
func (s *Spool) Release(ref Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.find(ref.segment)
	if g == nil || !g.held.has(ref.index) {
		return
	}
	g.release(ref.index)
	s.goBack(ref.segment)
}

// Retry causes another attempt with segments that could not be read, or made durable.
func (s *Spool) Retry() {
	s.writing.Lock()
	defer s.writing.Unlock()
	if g := s.active; g != nil && s.lacks(g) {
		_ = s.endSegment() // without its end it is read as well
	}
	s.acking.Lock()
	defer s.acking.Unlock()
	s.mu.Lock()
	var anew []uint64
	for _, g := range slices.Clone(s.segments) {
		if g.unsure && !g.own && !slices.Contains(s.unsynced, g) { // a Sync has left it out
			s.unsynced = append(s.unsynced, g)
		}
		if g.trouble == nil {
			continue
		}
		g.trouble = nil
		s.goBack(g.number)
		if !g.surveyed { // not even its head was read, so it may be anything
			s.forget(g)
			s.leave(g)
			anew = append(anew, g.number)
		}
	}
	s.mu.Unlock()
	if len(anew) == 0 {
		return
	}
	names, err := s.fs.List(s.dir)
	for _, number := range anew {
		if err == nil && !slices.Contains(names, fileName(number, segmentSuffix)) {
			continue
		}
		s.addFound(number, names)
	}
}

// lacks reports whether not all of an own segment was found that should be there, and has Next look at it again then.
func (s *Spool) lacks(g *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.lacks {
		s.goBack(g.number)
	}
	return g.lacks
}

// Survey calls visit for each record of an earlier owner that Next would return, in the order of storing, one segment in each call:
// the first whose number is not below from. It returns the next from, and ok false if there is no such segment. Records of segments
// that cannot be read are left out.
func (s *Spool) Survey(from uint64, visit func(Ref, *Record)) (next uint64, ok bool) {
	s.mu.Lock()
	i := slices.IndexFunc(s.segments, func(g *segment) bool { return g.number >= from && !g.own })
	if i < 0 {
		s.mu.Unlock()
		return from, false
	}
	g := s.segments[i]
	scan := scanner{size: g.size, salt: g.salt, off: headerSize}
	s.mu.Unlock()
	f, err := s.fs.Open(s.path(g.number, segmentSuffix))
	if err != nil {
		return g.number + 1, true
	}
	defer f.Close()
	for scan.f = f; ; {
		r, err := scan.record(func(h recordHead) bool { return s.skips(g, h) })
		switch err {
		case nil:
			visit(Ref{g.number, r.head.at.index, uint32(r.Messages)}, &r.Record)
		case io.EOF:
			return g.number + 1, true
		}
	}
}

// End returns a name that is after all that is stored, and not after anything that this owner will store.
func (s *Spool) End() Ref {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Ref{segment: s.next}
}

// goBack has Next read that segment again. The caller holds mu.
func (s *Spool) goBack(number uint64) {
	if s.back == 0 || number+1 < s.back {
		s.back = number + 1
	}
}
