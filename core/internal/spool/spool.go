// Package spool keeps sealed batches in files until they are acked, so that they survive an outage, the end of the process and,
// with fsync, a power cut. It knows neither client nor network, and starts no goroutine. core/SPOOL.md describes the files, and
// says why they are as they are.
package spool

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"
)

// Sync says when what is appended is made durable.
type Sync int

const (
	// SyncOff: never. The records survive the end of the process, but not a power cut.
	SyncOff Sync = iota
	// SyncInterval leaves the calls of Sync to a timer: a power cut loses what was appended after the last sync.
	SyncInterval
	// SyncBatch: the owner calls Sync after each Append, or after several, and takes nothing as stored before it returns.
	SyncBatch
)

// Errors of Append.
var (
	// ErrFull: MaxBytes are in use. Nothing was written.
	ErrFull = errors.New("the spool is full")
	// ErrTooLong: a record is longer than the format allows. Nothing was written.
	ErrTooLong = errors.New("a record is too long for the spool")
	// ErrClosed: the spool was closed.
	ErrClosed = errors.New("the spool is closed")
)

// Options of a spool.
type Options struct {
	Sync         Sync
	MaxBytes     int64 // of all files of a slot except those in quarantine; 0: no bound
	SegmentBytes int64 // a segment of this size is followed by another one; 0: 8 MiB; at most an eighth of MaxBytes
	FS           FS    // nil: Disk
	// Warn is told what an operator should know. It must not call the spool.
	Warn func(format string, args ...any)
}

const defaultSegment = 8 << 20

// Ref names a record that was appended or read back.
type Ref struct {
	segment  uint64
	index    uint32
	messages uint32
}

// Before reports whether r was stored before other, in the same slot.
func (r Ref) Before(other Ref) bool {
	return r.segment < other.segment || r.segment == other.segment && r.index < other.index
}

// Behind returns the least name that something stored after r can have.
func (r Ref) Behind() Ref { return Ref{segment: r.segment, index: r.index + 1} }

// Stats describes what a spool holds.
type Stats struct {
	Bytes       int64     // of its files
	Batches     int       // not acked; too high for segments of an earlier owner until they are read
	Messages    int64     // in them
	Oldest      time.Time // when the first of them was stored, to the second in most cases; zero if there are none
	Damaged     int64     // bytes that were no record
	Quarantined int       // files that were moved to the quarantine
	Lost        int       // batches that a failing disk did not return
	Unreadable  int       // segments that cannot be read for now
	Errors      int       // of the disk
}

// Spool is one slot of a folder.
type Spool struct {
	dir  string
	opts Options
	fs   FS
	lock func() // releases the slot; nil if a test opened it alone

	// writing is held while records are appended and synced, acking while acks are recorded, settling while they are made durable.
	// All are taken before mu, in the order writing, settling, acking.
	writing  sync.Mutex
	active   *segment   // nil: the next append begins one
	unsynced []*segment // with records or a name that are not durable; the active one is among them
	scratch  []byte

	settling sync.Mutex
	acking   sync.Mutex
	removed  []*segment // their acks still exist
	names    bool       // names in the folder have changed since they were made durable

	reading sync.Mutex // taken before mu
	reader  reader

	mu       sync.Mutex
	segments []*segment // by number
	back     uint64     // one more than the number of the segment that Next must go back to; 0: none
	next     uint64     // number of the next one
	stats    Stats
	closed   bool
}

// openSlot opens a slot whose lock is held.
func openSlot(dir string, opts Options, unlock func()) (*Spool, error) {
	s := &Spool{dir: dir, opts: opts, fs: opts.FS, lock: unlock}
	if s.fs == nil {
		s.fs = Disk
	}
	if s.opts.SegmentBytes == 0 {
		s.opts.SegmentBytes = defaultSegment
	}
	if opts.MaxBytes > 0 { // the segment that is being written stays, however much of it is acked
		s.opts.SegmentBytes = min(s.opts.SegmentBytes, max(opts.MaxBytes/8, headerSize))
	}
	if err := s.recover(); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return s, nil
}

func (s *Spool) warn(format string, args ...any) {
	if s.opts.Warn != nil {
		s.opts.Warn(format, args...)
	}
}

// failed counts an error of the disk, and returns it.
func (s *Spool) failed(err error) error {
	if err != nil {
		s.mu.Lock()
		s.stats.Errors++
		s.mu.Unlock()
	}
	return err
}

// find returns a segment, or nil. The caller holds mu.
func (s *Spool) find(number uint64) *segment {
	i, ok := slices.BinarySearchFunc(s.segments, number, func(g *segment, n uint64) int { return cmp.Compare(g.number, n) })
	if !ok {
		return nil
	}
	return s.segments[i]
}

// Stats returns what the spool holds now.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	for _, g := range s.segments {
		out.Bytes += g.size + g.ackSize
		out.Batches += g.batches
		out.Messages += g.messages
		if g.trouble != nil {
			out.Unreadable++
		}
		if g.batches > 0 && out.Oldest.IsZero() {
			out.Oldest = time.UnixMilli(g.oldest())
		}
	}
	return out
}

// bytes returns what counts for MaxBytes. The caller holds mu.
func (s *Spool) bytes() (n int64) {
	for _, g := range s.segments {
		n += g.size + g.ackSize
	}
	return n
}

// Close records the acks, ends the last segment and releases the slot. What is left is for the next owner.
func (s *Spool) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	err := s.endSegment()
	if s.opts.Sync != SyncOff {
		err = errors.Join(err, s.syncAll())
	}
	err = errors.Join(err, s.flushAcks(s.opts.Sync != SyncOff))
	for _, g := range s.unsynced {
		closeFile(g)
	}
	s.unsynced = nil
	s.reading.Lock()
	s.reader.close()
	s.reading.Unlock()
	if s.lock != nil {
		s.lock()
	}
	return err
}

// newSalt returns a number that no other segment has.
func newSalt() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:]) | 1
}

// LostError is the error of a Sync that could write anew, and make durable, all but some records: the disk did not return those.
type LostError struct{ Batches int }

func (e *LostError) Error() string {
	return fmt.Sprintf("fsync failed, and %d batches could not be read back", e.Batches)
}

// Check reports that the segment which is being written was removed, for example with its folder: what is written to it would be
// lost. The slot's lock may be gone, too, so its owner closes the store and opens another one. If Check cannot find out, for lack
// of a permission or of a file handle, the segment counts as existing.
func (s *Spool) Check() (err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.active == nil {
		_, err = s.fs.List(s.dir)
	} else {
		var f File
		if f, err = s.fs.Open(s.path(s.active.number, segmentSuffix)); err == nil {
			_ = f.Close()
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
