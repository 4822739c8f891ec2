package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// Ack takes a record out: it is not delivered again by this client. FlushAcks makes it so for the next one. It only counts, and
// reports false for one that was acked before.
func (s *Spool) Ack(r Ref) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.find(r.segment)
	return g != nil && g.ack(r.index, int(r.messages))
}

// FlushAcks records the acks that were not recorded yet, and removes the segments of which nothing is left; with durable an fsync
// follows. After an error it has done what it could; the next call does the rest.
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
	defer s.acking.Unlock()
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
	var errs []error
	for _, w := range all {
		if w.done {
			err := s.drop(w.g, w.damaged)
			if err == nil {
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
			if err := s.syncAcks(w.g); err != nil {
				errs = append(errs, s.failed(err))
			}
		}
	}
	if durable && s.names {
		err := s.fs.SyncDir(s.dir)
		if s.names = err != nil; err != nil {
			errs = append(errs, s.failed(err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("spool %s: acks: %w", s.dir, err)
	}
	return nil
}

// recordAcks appends to the file of g's acks. What a crash or a full disk has cut off there is filled up, so that each entry lies
// where it is looked for.
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

func (s *Spool) syncAcks(g *segment) error {
	f, err := s.fs.Append(s.path(g.number, ackSuffix))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil { // none of them is sure: the next flush records all of them once more
		s.mu.Lock()
		g.recorded, g.recCount = nil, 0
		s.mu.Unlock()
		return err
	}
	g.acksUnsure = false
	return nil
}

// drop removes a segment of which nothing is left, and then its acks: the other way round a crash between the two would have all of it
// sent again.
func (s *Spool) drop(g *segment, damaged bool) error {
	if err := s.putAway(g.number, segmentSuffix, damaged); err != nil {
		return err
	}
	s.names = true
	var err error
	if s.opts.Sync != SyncOff && g.ackSize > 0 {
		err = s.failed(s.fs.SyncDir(s.dir))
	}
	if err == nil && g.ackSize > 0 { // a file of acks without a segment is removed by the next owner
		_ = s.failed(s.putAway(g.number, ackSuffix, g.acksDamaged))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(g)
	return nil
}

// forget takes g out of the list. The caller holds mu.
func (s *Spool) forget(g *segment) {
	s.segments = slices.DeleteFunc(s.segments, func(other *segment) bool { return other == g })
}

// putAway removes a file, or moves one that is damaged to the quarantine. One that is not there any more is away.
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

// quarantine moves a file where nobody looks for records. It is never deleted: somebody may want to see it.
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
