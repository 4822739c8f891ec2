package spool

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// mostAcks is how many acks of one segment are read. Each record has one, and another one after an fsync has failed.
const mostAcks = 16 * mostRecords

// errForeign is the error of a file that has the name of a segment, but not its content.
var errForeign = errors.New("there is no record in it")

// recover reads what an earlier owner has left: heads, ends and acks, but no records. Those are read later. It never writes to a
// file that it finds, and leaves a file in place if it does not know what it is.
func (s *Spool) recover() error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if _, ok := parseName(strings.TrimSuffix(name, newSuffix), segmentSuffix); ok && strings.HasSuffix(name, newSuffix) {
			_ = s.failed(s.fs.Remove(filepath.Join(s.dir, name))) // a copy that was not finished; the original exists
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		_, ok := parseName(name, segmentSuffix)
		return !ok
	})
	// No number is used twice, even if the last segments of an owner were removed and a power cut brings them back: no owner makes
	// a segment in less than a nanosecond. With milliseconds, an owner that made several in one had higher numbers than the next
	// owner.
	s.next = uint64(max(1, time.Now().UnixNano()))
	for _, name := range names {
		number, _ := parseName(name, segmentSuffix)
		if number >= 1<<63 { // no client reaches this by counting
			s.warn("spool %s: %s is left alone: no segment has such a name", s.dir, name)
			continue
		}
		s.next = max(s.next, number+1)
		s.addFound(number, names)
	}
	return s.removeOrphans()
}

// addFound takes up the segment in a file of that number. The caller holds writing, or opens the slot.
func (s *Spool) addFound(number uint64, names []string) {
	name := fileName(number, segmentSuffix)
	h, size, version, err := s.head(number)
	switch {
	case errors.Is(err, errForeign):
		if size == 0 { // a crash just after it was made
			_ = s.failed(s.fs.Remove(filepath.Join(s.dir, name)))
		} else if err := s.quarantine(name); err != nil {
			s.warn("spool %s: %s is no segment, and could not be moved to the quarantine: %v", s.dir, name, s.failed(err))
		}
		return
	case err != nil: // it may be anything; Next tries again
		s.insert(&segment{segmentHeader: segmentHeader{number: number}, size: size, ended: true, trouble: s.failed(err)})
		s.warn("spool %s: %s cannot be read for now, and stays: %v", s.dir, name, err)
		return
	case version > Version:
		s.warn("spool %s: %s is of version %d, this client reads up to %d: it is left alone; a newer client delivers it", s.dir, name, version, Version)
		return
	case h.number != number:
		proper := fileName(h.number, segmentSuffix)
		if h.number >= 1<<63 || slices.Contains(names, proper) || s.has(h.number) {
			if err := s.quarantine(name); err != nil {
				s.warn("spool %s: %s is a copy of %s, and could not be moved to the quarantine: %v", s.dir, name, proper, s.failed(err))
			}
			return
		}
		if err := s.fs.Rename(filepath.Join(s.dir, name), filepath.Join(s.dir, proper)); err != nil {
			s.warn("spool %s: %s was renamed, and could not be named %s again: %v", s.dir, name, proper, s.failed(err))
			return
		}
		s.mu.Lock()
		s.next = max(s.next, h.number+1)
		s.mu.Unlock()
	}
	g := &segment{segmentHeader: h, size: size, ended: true, damaged: version == 0}
	s.survey(g)
	s.insert(g)
}

// insert adds a segment that was found to the list, in the order of numbers. Its owner may have had no time to sync it. The caller
// holds writing, or opens the slot.
func (s *Spool) insert(g *segment) {
	if s.opts.Sync != SyncOff {
		g.unsure, g.entries = true, true
		s.unsynced = append(s.unsynced, g)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments = append(s.segments, g)
	slices.SortFunc(s.segments, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
}

func (s *Spool) has(number uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(number) != nil
}

// head reads the header of a file. For a damaged file it learns from the records what it is; version is 0 then.
func (s *Spool) head(number uint64) (h segmentHeader, size int64, version uint32, err error) {
	f, err := s.fs.Open(s.path(number, segmentSuffix))
	if err != nil {
		return h, 0, 0, err
	}
	defer f.Close()
	if size, err = f.Size(); err != nil {
		return h, 0, 0, err
	}
	b := make([]byte, min(size, headerSize))
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		if salt, _ := saltIn(f, size, 0); salt != 0 { // the rest can be read, and says whose it is
			return segmentHeader{number: number, salt: salt}, size, Version, nil
		}
		return h, size, 0, err
	}
	h, version, ok := parseSegmentHeader(b)
	if ok {
		return h, size, version, nil
	}
	if size < headerSize && bytes.HasPrefix(segmentMagic, b[:min(len(b), len(segmentMagic))]) {
		return h, 0, 0, errForeign // cut off while it was made
	}
	salt, err := saltIn(f, size, min(size, headerSize))
	if err == io.EOF {
		err = errForeign
	}
	return segmentHeader{number: number, salt: salt}, size, 0, err
}

// saltIn returns the salt of the first whole record after off, or io.EOF. Any other error is the disk's: there may be a record that
// cannot be read.
func saltIn(f File, size, off int64) (salt uint64, fault error) {
	for scan := (scanner{f: f, size: size, off: off}); ; {
		switch _, err := scan.record(nil); {
		case err == nil:
			return scan.salt, nil
		case fault == nil || err != io.EOF:
			fault = err
		}
		if scan.off >= size {
			return 0, fault
		}
	}
}

// survey reads the acks of a segment and counts what is left of it: from its footer if it has one and nothing is acked, otherwise
// from the heads of its records.
func (s *Spool) survey(g *segment) {
	if err := s.readAcks(g); err != nil { // otherwise all of it would be sent again
		g.trouble = s.failed(err)
		s.warn("spool %s: the acks of %s cannot be read for now: %v", s.dir, fileName(g.number, segmentSuffix), err)
		return
	}
	g.surveyed = true
	f, err := s.fs.Open(s.path(g.number, segmentSuffix))
	if err != nil { // Next tells
		return
	}
	defer f.Close()
	if len(g.acked) == 0 && g.size >= headerSize+footerSize {
		b := make([]byte, footerSize)
		if _, err := f.ReadAt(b, g.size-footerSize); err == nil {
			if end, ok := parseFooter(b, g.salt, g.size-footerSize); ok {
				g.records, g.batches, g.messages = end.records, int(end.batches), end.messages
				g.ages.note(0, end.oldest)
				return
			}
		}
	}
	scan := scanner{f: f, size: g.size, salt: g.salt, off: headerSize, heads: true}
	whole := true
	for err = nil; err != io.EOF; whole = whole && err == io.EOF { // if it cannot be read, Next reports it
		_, err = scan.record(func(h recordHead) bool {
			g.ages.note(h.at.index, h.stored)
			if !g.acked.has(h.at.index) {
				g.batches++
				g.messages += int64(h.messages)
			}
			return true
		})
	}
	g.records = max(g.records, scan.next)
	g.known = whole && scan.damaged == 0 && g.ackCount >= int(g.records) // nothing is left to be read
}

func (s *Spool) readAcks(g *segment) error {
	f, err := s.fs.Open(s.path(g.number, ackSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	b := make([]byte, 64<<10)
	work := 0 // otherwise valid entries that each name all records could keep it busy for ever
	for at := int64(0); at < size; at += int64(len(b)) {
		b = b[:min(int64(len(b)), size-at)]
		if _, err := f.ReadAt(b, at); err != nil && err != io.EOF {
			return err
		}
		damaged := parseAcks(b, g.segmentHeader, func(a ackRange) {
			if work += int(a.count); work > mostAcks {
				return
			}
			for i := a.first; i < a.first+a.count; i++ {
				g.wasAcked(i)
			}
		})
		if damaged > 0 && !g.acksDamaged {
			g.acksDamaged = true
			s.warn("spool %s: %s is damaged: some of its batches may be sent again", s.dir, fileName(g.number, ackSuffix))
		}
	}
	g.ackSize = size
	return nil
}

// removeOrphans removes acks without a segment: their owner ended between the two removals. That the segment is gone may not be
// durable yet. With fsync that is made durable first, or a power cut would bring the segment back without its acks.
func (s *Spool) removeOrphans() error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	var orphans []string
	for _, name := range names {
		if number, ok := parseName(name, ackSuffix); ok && !slices.Contains(names, fileName(number, segmentSuffix)) {
			orphans = append(orphans, name)
		}
	}
	if len(orphans) > 0 && s.opts.Sync != SyncOff {
		if err := s.fs.SyncDir(s.dir); err != nil { // the next owner tries again
			_ = s.failed(err)
			return nil
		}
	}
	for _, name := range orphans {
		if err := s.fs.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			_ = s.failed(fmt.Errorf("%s: %w", name, err))
		}
	}
	return nil
}
