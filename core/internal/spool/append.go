package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"
)

// Append writes records in one piece after all others, all or none of them, and appends their names to refs. With hold they count
// as being in memory: Next leaves them out until Release. After an error none of them is stored, but after a crash some of the
// first may be.
//
// After that they survive the end of the process, and once Sync has returned nil, a power cut.
func (s *Spool) Append(refs []Ref, records []Record, hold bool) ([]Ref, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	added := 0
	for i := range records {
		if !records[i].fits() {
			return refs, ErrTooLong
		}
		added += records[i].size()
	}
	if len(records) == 0 {
		return refs, nil
	}
	err := s.room(int64(added))
	if err == ErrFull && s.endAcked() {
		err = s.room(int64(added))
	}
	if err != nil {
		return refs, err
	}
	if g := s.active; g != nil && g.records > 0 &&
		(g.size+int64(added) > s.opts.SegmentBytes || int(g.records)+len(records) > mostRecords) {
		if err := s.endSegment(); err != nil {
			s.warn("spool %s: a segment was not ended in order: %v", s.dir, err)
		}
	}
	if s.active == nil {
		if err := s.begin(); err != nil {
			return refs, s.refused(err)
		}
	}
	g := s.active
	s.scratch = s.scratch[:0]
	for i := range records {
		at := place{g.salt, g.size + int64(len(s.scratch)), g.records + uint32(i)}
		s.scratch = records[i].append(s.scratch, at)
	}
	err = write(g.file, s.scratch)
	if err == nil {
		err = g.isThere(int64(len(s.scratch)))
	}
	if cap(s.scratch) > 4*window {
		defer func() { s.scratch = nil }()
	}
	if err != nil {
		s.abandon(g)
		return refs, s.refused(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range records {
		r := Ref{g.number, g.records, uint32(records[i].Messages)}
		if hold {
			g.hold(r.index)
		}
		g.ages.note(r.index, records[i].Stored)
		g.records++
		g.batches++
		g.messages += int64(records[i].Messages)
		g.total += int64(records[i].Messages)
		refs = append(refs, r)
	}
	g.size += int64(len(s.scratch))
	g.unsure = true
	return refs, nil
}

// isThere checks what was just written. A write to a file that somebody has removed succeeds, and is lost; in a file that somebody has cut
// it is at another place than it says.
func (g *segment) isThere(added int64) error {
	switch size, err := g.file.Size(); {
	case errors.Is(err, fs.ErrNotExist):
		return err
	case err == nil && size != g.size+added:
		return fmt.Errorf("%s: %d bytes were written, and it has %d: somebody has changed it", fileName(g.number, segmentSuffix), g.size+added, size)
	}
	return nil
}

// refused is the error of an append that the disk refused. It removes what is acked, because the next append may need that room:
// while nothing is stored no ack comes, and nothing else would remove it.
func (s *Spool) refused(err error) error {
	s.mu.Lock()
	some := slices.ContainsFunc(s.segments, (*segment).done)
	s.mu.Unlock()
	if some {
		_ = s.flushAcks(false) // it counts its errors
	}
	return s.failed(fmt.Errorf("spool %s: %w", s.dir, err))
}

// write is a write that fails if it wrote less.
func write(f File, b []byte) error {
	n, err := f.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// room checks whether n more bytes may be used.
func (s *Spool) room(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.active == nil {
		n += headerSize
	}
	if s.opts.MaxBytes > 0 && s.bytes()+n+footerSize > s.opts.MaxBytes {
		return ErrFull
	}
	return nil
}

// endAcked removes the active segment if all of it is acked. Otherwise a segment of large records would keep the spool full for
// ever, with nothing in it. The caller holds writing.
func (s *Spool) endAcked() bool {
	g := s.active
	if g == nil {
		return false
	}
	s.mu.Lock()
	empty := g.ackCount >= int(g.records)
	s.mu.Unlock()
	if !empty {
		return false
	}
	_ = s.endSegment() // without its end it goes, too
	return s.flushAcks(false) == nil
}

// begin makes the next segment the active one.
func (s *Spool) begin() error {
	s.closeRemoved()
	s.mu.Lock()
	number := s.next
	s.next++ // also if this fails: a file of that name may be left
	s.mu.Unlock()
	g := &segment{segmentHeader: segmentHeader{number, newSalt(), time.Now().UnixMilli()}, size: headerSize, own: true, surveyed: true, known: true, unsure: true, entries: true}
	path := s.path(number, segmentSuffix)
	f, err := s.fs.Create(path)
	if err != nil {
		return err
	}
	err = write(f, g.segmentHeader.append(nil))
	if err == nil {
		g.file = f
		s.active = g
		s.unsynced = append(s.unsynced, g)
	} else {
		_ = f.Close()
		if s.fs.Remove(path) == nil { // there is nothing in it
			return err
		}
		g.ended = true // the next flush of acks removes it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments = append(s.segments, g)
	return err
}

// abandon takes a segment out of use after a write to it failed. What was written of that is cut off if possible. If not, it is no
// damage: the file ends in it.
func (s *Spool) abandon(g *segment) {
	_ = g.file.Truncate(g.size)
	s.retire(g)
}

// retire makes g a segment to which nothing more is written.
func (s *Spool) retire(g *segment) {
	if s.active == g {
		s.active = nil
	}
	s.mu.Lock()
	g.ended = true
	s.mu.Unlock()
	if s.opts.Sync == SyncOff {
		s.leave(g)
	}
}

// leave closes a segment that is no longer written.
func (s *Spool) leave(g *segment) {
	closeFile(g)
	s.unsynced = slices.DeleteFunc(s.unsynced, func(other *segment) bool { return other == g })
}

// closeRemoved closes segments that were removed meanwhile: an open file keeps its room on the disk, perhaps the last.
func (s *Spool) closeRemoved() {
	for _, g := range slices.Clone(s.unsynced) {
		s.mu.Lock()
		gone := s.find(g.number) != g
		s.mu.Unlock()
		if gone {
			s.leave(g)
		}
	}
}

func closeFile(g *segment) {
	if g.file != nil {
		_ = g.file.Close()
		g.file = nil
	}
}

// endSegment ends the active segment in order. The caller holds writing.
func (s *Spool) endSegment() error {
	g := s.active
	if g == nil {
		return nil
	}
	s.mu.Lock()
	end := footer{records: g.records, batches: g.records, messages: g.total, oldest: g.ages.of(0)}
	b := end.append(nil, g.salt, g.size)
	s.mu.Unlock()
	err := write(g.file, b)
	if err != nil {
		_ = g.file.Truncate(g.size)
	} else {
		s.mu.Lock()
		g.size += int64(len(b))
		s.mu.Unlock()
		g.unsure = true
	}
	s.retire(g)
	return s.failed(err)
}

// Sync makes durable what was appended before. After an error the next call tries again what this one could not do; batches that a
// LostError names no longer exist. What an earlier owner has left is made durable, too. If that fails, there is a warning and no
// error, and it is tried again after Retry. With SyncOff it does nothing.
func (s *Spool) Sync() error {
	if s.opts.Sync == SyncOff {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.syncAll()
}

func (s *Spool) syncAll() error {
	var errs []error
	entries := false
	for _, g := range slices.Clone(s.unsynced) {
		err := s.failed(s.syncFile(g))
		switch {
		case err == nil:
		case g.own:
			errs = append(errs, err)
		default: // it must not keep what is appended from being stored; Retry causes another attempt
			s.warn("spool %s: what an earlier owner has left in %s is not made durable for now: %v", s.dir, fileName(g.number, segmentSuffix), err)
			if g.unsure {
				s.leave(g)
				continue
			}
		}
		entries = entries || g.entries
	}
	if entries {
		err := s.fs.SyncDir(s.dir)
		if err != nil {
			errs = append(errs, s.failed(err))
		}
		for _, g := range s.unsynced {
			switch {
			case !g.entries:
			case err == nil:
				g.entries = false
			default: // what the kernel could not write it may have forgotten: a name is made anew, too
				s.distrust(g)
			}
		}
	}
	for _, g := range slices.Clone(s.unsynced) {
		if g != s.active && !g.unsure && !g.entries {
			s.leave(g)
		}
	}
	return errors.Join(errs...)
}

// distrust has a segment written anew after an fsync of it failed: the next fsync would not report what was lost.
func (s *Spool) distrust(g *segment) {
	if s.active == g {
		s.retire(g)
	}
	g.distrusted, g.unsure = true, true
}

// syncFile makes the bytes of g durable. Those of an earlier owner, which may have had no time for that, are synced once.
func (s *Spool) syncFile(g *segment) error {
	if !g.unsure {
		return nil
	}
	if g.file == nil {
		f, err := s.fs.Append(s.path(g.number, segmentSuffix))
		if errors.Is(err, fs.ErrNotExist) { // all of it was delivered meanwhile, or Next tells
			g.unsure, g.entries = false, false
			return nil
		}
		if err != nil {
			return err
		}
		g.file = f
	}
	if !g.distrusted {
		err := g.file.Sync()
		if err == nil {
			g.unsure = false
			if g != s.active {
				closeFile(g)
			}
			return nil
		}
		s.warn("spool %s: fsync failed, what is in the segment is written anew: %v", s.dir, s.failed(err))
		s.distrust(g)
	}
	err := s.rewrite(g)
	if lost := (*LostError)(nil); err == nil || errors.As(err, &lost) || errors.Is(err, errDamagedBefore) {
		g.distrusted, g.unsure = false, false
		closeFile(g)
	}
	return err
}
