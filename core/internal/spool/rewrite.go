package spool

import (
	"errors"
	"io"
)

// errDamagedBefore: the file goes to the quarantine as it is, after it was read.
var errDamagedBefore = errors.New("what is not durable in it stays so, since it is damaged or cannot be read")

// rewrite writes what is left of a segment to a new file in its place, after an fsync of it has failed. What the file still
// returns, with correct checksums, may exist only in the kernel's memory. Indexes stay as they are. The caller holds writing.
func (s *Spool) rewrite(g *segment) (err error) {
	s.acking.Lock() // the segment is not removed meanwhile
	defer s.acking.Unlock()
	s.mu.Lock()
	gone, surveyed := s.find(g.number) != g, g.surveyed
	acked, records, size := append(bitmap(nil), g.acked...), g.records, g.size
	s.mu.Unlock()
	if gone {
		g.entries = false
		return nil
	}
	if !surveyed { // its length is not known, nor what is in it
		g.entries = false
		return errDamagedBefore
	}
	name := s.path(g.number, segmentSuffix) + newSuffix
	_ = s.fs.Remove(name) // of an earlier attempt
	f, err := s.fs.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			_ = s.fs.Remove(name)
		}
	}()
	b := g.segmentHeader.append(nil)
	end := footer{}
	scan := scanner{f: g.file, size: size, salt: g.salt, off: headerSize}
	at := int64(0)
	var seen bitmap
	for {
		r, readErr := scan.record(func(h recordHead) bool {
			if !acked.has(h.at.index) {
				return false
			}
			seen.set(h.at.index)
			return true
		})
		if readErr == io.EOF {
			break
		}
		if readErr != nil {
			return readErr
		}
		b = r.Record.append(b, place{g.salt, at + int64(len(b)), r.head.at.index})
		seen.set(r.head.at.index)
		end.batches++
		end.messages += int64(r.Messages)
		if end.oldest == 0 {
			end.oldest = r.Stored
		}
		if len(b) >= window {
			if err := write(f, b); err != nil {
				return err
			}
			at, b = at+int64(len(b)), b[:0]
		}
	}
	end.records = max(records, scan.next)
	if scan.damaged > 0 && !g.own {
		return errDamagedBefore
	}
	b = end.append(b, g.salt, at+int64(len(b)))
	if err := write(f, b); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := s.fs.Rename(name, s.path(g.number, segmentSuffix)); err != nil {
		return err
	}
	g.entries = true
	s.mu.Lock()
	g.size = at + int64(len(b))
	g.anew++
	g.records, g.known = max(g.records, scan.next), true
	lost := g.misses(seen)
	s.stats.Lost += lost
	s.goBack(g.number)
	s.mu.Unlock()
	if lost > 0 {
		return &LostError{lost}
	}
	return nil
}
