package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// Ack takes a record out, so that this client does not deliver it again; FlushAcks does the same for the next owner. Ack only
// counts, and returns false for a record that was acked before.
func (s *Spool) Ack(r Ref) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.find(r.segment)
	return g != nil && g.ack(r.index, int(r.messages))
}

// Has reports whether a record exists and was not acked. A failing disk may lose some, see LostError.
func (s *Spool) Has(r Ref) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.find(r.segment)
	return g != nil && r.index < g.records && !g.acked.has(r.index)
}

// FlushAcks records the acks that were not recorded yet, and removes the segments of which nothing is left. With durable it makes
// that durable, and does what Tidy does; without, it waits for no fsync. After an error it has done what it could, and the next
// call does the rest.
func (s *Spool) FlushAcks(durable bool) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	return s.flushAcks(durable)
}

func (s *Spool) flushAcks(durable bool) error {
	s.acking.Lock()
	errs, unsure := s.writeAcks(durable)
	s.acking.Unlock()
	if durable || s.opts.Sync == SyncOff {
		errs = append(errs, s.settle(unsure, durable))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("spool %s: acks: %w", s.dir, err)
	}
	return nil
}

// Tidy removes the acks of segments that were removed, once an fsync has made sure that those do not come back.
func (s *Spool) Tidy() error {
	if err := s.settle(nil, false); err != nil {
		return fmt.Errorf("spool %s: acks: %w", s.dir, err)
	}
	return nil
}

// settle is the part that waits for the disk. It must not delay the acks of the next flush.
func (s *Spool) settle(unsure []*segment, durable bool) error {
	s.settling.Lock()
	defer s.settling.Unlock()
	s.acking.Lock()
	removed := s.removed
	s.removed = nil
	names := s.names && (durable || s.opts.Sync != SyncOff && len(removed) > 0)
	s.names = s.names && !names
	s.acking.Unlock()
	var errs []error
	if names {
		if err := s.fs.SyncDir(s.dir); err != nil {
			s.acking.Lock()
			s.names, s.removed = true, append(removed, s.removed...)
			s.acking.Unlock()
			errs, removed = append(errs, s.failed(err)), nil
		}
	}
	for _, g := range removed { // a file of acks without a segment is removed by the next owner
		_ = s.failed(s.putAway(g.number, ackSuffix, g.acksDamaged))
	}
	for _, g := range unsure {
		if err := s.syncAcks(g); err != nil {
			errs = append(errs, s.failed(err))
		}
	}
	return errors.Join(errs...)
}

// writeAcks records acks, and removes segments of which nothing is left, but not their acks: in the opposite order a crash between
// the two would have all of it sent again. With durable it returns the segments whose acks are not durable yet. The caller holds
// acking.
func (s *Spool) writeAcks(durable bool) (errs []error, unsure []*segment) {
	type work struct {
		g             *segment
		done, damaged bool
		ranges        []ackRange
	}
	var all []work
	s.mu.Lock()
	for _, g := range s.segments {
		w := work{g: g, done: g.done(), damaged: g.damaged}
		if g.ackCount > g.recCount {
			w.ranges = g.acked.without(g.recorded)
		}
		if w.done || len(w.ranges) > 0 || durable && g.acksUnsure {
			all = append(all, w)
		}
	}
	s.mu.Unlock()
	for _, w := range all {
		if w.done {
			err := s.putAway(w.g.number, segmentSuffix, w.damaged)
			if err == nil {
				s.names = true
				if w.g.ackSize > 0 {
					s.removed = append(s.removed, w.g)
				}
				s.mu.Lock()
				s.forget(w.g)
				s.mu.Unlock()
				continue
			}
			errs = append(errs, s.failed(err)) // what cannot be removed must not be sent again
		}
		if len(w.ranges) > 0 {
			if err := s.recordAcks(w.g, w.ranges); err != nil {
				errs = append(errs, s.failed(err))
				continue
			}
		}
		if durable && w.g.acksUnsure {
			w.g.acksUnsure = false
			unsure = append(unsure, w.g)
		}
	}
	return errs, unsure
}

// recordAcks appends to the file of g's acks. If a crash or a full disk has cut off an entry, it fills that up, so that each entry
// is where it is expected.
func (s *Spool) recordAcks(g *segment, ranges []ackRange) error {
	path := s.path(g.number, ackSuffix)
	f, err := s.fs.Append(path)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = s.fs.Create(path)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	b := make([]byte, (ackSize-size%ackSize)%ackSize, 512)
	for _, a := range ranges {
		b = a.append(b, g.segmentHeader)
	}
	err = write(f, b)
	if err != nil {
		_ = f.Truncate(size)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g.ackSize = size
	if err != nil {
		return err
	}
	g.ackSize += int64(len(b))
	for _, a := range ranges {
		for i := a.first; i < a.first+a.count; i++ {
			g.record(i)
		}
	}
	g.acksUnsure, s.names = true, s.names || size == 0
	return nil
}

// syncAcks makes the acks of a segment durable. The caller holds settling.
func (s *Spool) syncAcks(g *segment) error {
	f, err := s.fs.Append(s.path(g.number, ackSuffix))
	if errors.Is(err, fs.ErrNotExist) { // all of it was acked meanwhile
		return nil
	}
	if err == nil {
		defer f.Close()
		err = f.Sync()
	}
	if err != nil { // none of them is certain: the next flush records all of them again
		s.acking.Lock()
		defer s.acking.Unlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		g.recorded, g.recCount, g.acksUnsure = nil, 0, true
	}
	return err
}

// forget takes g out of the list. The caller holds mu.
func (s *Spool) forget(g *segment) {
	s.segments = slices.DeleteFunc(s.segments, func(other *segment) bool { return other == g })
}

// putAway removes a file, or moves a damaged one to the quarantine. A file that does not exist is done.
func (s *Spool) putAway(number uint64, suffix string, damaged bool) error {
	name := fileName(number, suffix)
	err := error(nil)
	if damaged {
		err = s.quarantine(name)
	} else {
		err = s.fs.Remove(filepath.Join(s.dir, name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// quarantine moves a file to where nobody looks for records. It is never deleted, because somebody may want to examine it.
func (s *Spool) quarantine(name string) error {
	dir := filepath.Join(s.dir, quarantine)
	if err := s.fs.Mkdir(dir); err != nil {
		return err
	}
	taken, err := s.fs.List(dir)
	if err != nil {
		return err
	}
	inUse := make(map[string]bool, len(taken))
	for _, n := range taken {
		inUse[n] = true
	}
	target := name
	for n := 2; inUse[target]; n++ {
		target = fmt.Sprintf("%s.%d", name, n)
	}
	if err := s.fs.Rename(filepath.Join(s.dir, name), filepath.Join(dir, target)); err != nil {
		return err
	}
	s.mu.Lock()
	s.stats.Quarantined++
	s.mu.Unlock()
	s.warn("spool %s: %s is damaged, and is now in %s as %s; what was not damaged in it has been delivered", s.dir, name, quarantine, target)
	return nil
}
