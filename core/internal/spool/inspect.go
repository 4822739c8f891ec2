package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// SlotInfo is the content of a slot.
type SlotInfo struct {
	Name        string        `json:"name"`
	InUse       bool          `json:"in_use"` // a client has it open
	Segments    []SegmentInfo `json:"segments"`
	Quarantined []string      `json:"quarantined"` // names of files
}

// SegmentInfo is the content of a segment.
type SegmentInfo struct {
	Name     string    `json:"name"`
	Bytes    int64     `json:"bytes"`    // with its acks
	Batches  int       `json:"batches"`  // that are not acked
	Messages int64     `json:"messages"` // in them
	Oldest   time.Time `json:"oldest"`   // when the first of them was stored; zero if there are none
	Damaged  int64     `json:"damaged"`  // bytes that are no record
	Fault    string    `json:"fault"`    // why it, or a part of it, could not be read
}

// Inspect reads all slots of a folder and changes nothing. Clients may use the folder; what they do meanwhile is included or not.
// each, if it is not nil, is called for each batch that is not acked, in the order of storing, and its error ends the inspection.
// Body is valid until it returns. Without each, no body is read and its checksum is not verified.
func Inspect(dir string, each func(*Record) error) (slots []SlotInfo, err error) {
	folders, err := slotFolders(dir)
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		slot, err := inspectSlot(folder.path, each)
		if err != nil {
			return slots, err
		}
		slots = append(slots, slot)
	}
	return slots, nil
}

func inspectSlot(dir string, each func(*Record) error) (info SlotInfo, err error) {
	info = SlotInfo{Name: filepath.Base(dir), InUse: inUse(dir)}
	s := &Spool{dir: dir, fs: Disk}
	names, err := s.fs.List(dir)
	if err != nil {
		return info, err
	}
	if aside, err := s.fs.List(filepath.Join(dir, quarantine)); err == nil {
		info.Quarantined = aside
	}
	for _, name := range names {
		number, ok := parseName(name, segmentSuffix)
		if !ok {
			continue
		}
		segment, err := s.inspect(number, each)
		if err != nil {
			return info, err
		}
		if segment.Name != "" {
			info.Segments = append(info.Segments, segment)
		}
	}
	return info, nil
}

// inspect looks at one segment. The error is that of each.
func (s *Spool) inspect(number uint64, each func(*Record) error) (info SegmentInfo, err error) {
	h, size, version, fault := s.head(number)
	switch {
	case errors.Is(fault, os.ErrNotExist) || errors.Is(fault, errForeign) && size == 0: // all of it was acked just now, or it is being made
		return info, nil
	case fault == nil && version > Version:
		fault = fmt.Errorf("it is of version %d, this program reads up to %d", version, Version)
	}
	info = SegmentInfo{Name: fileName(number, segmentSuffix), Bytes: size}
	g := &segment{segmentHeader: h, size: size}
	if fault == nil {
		fault = s.readAcks(g)
	}
	if fault != nil {
		info.Fault = fault.Error()
		return info, nil
	}
	info.Bytes += g.ackSize
	f, fault := s.fs.Open(s.path(number, segmentSuffix))
	if fault != nil {
		info.Fault = fault.Error()
		return info, nil
	}
	defer f.Close()
	scan := scanner{f: f, size: size, salt: g.salt, off: headerSize, heads: each == nil}
	for {
		r, fault := scan.record(func(h recordHead) bool {
			if !g.acked.has(h.at.index) && each == nil {
				info.count(h.stored, int64(h.messages))
			}
			return each == nil || g.acked.has(h.at.index)
		})
		if fault == io.EOF {
			info.Damaged = scan.damaged
			return info, nil
		}
		if fault != nil { // the rest may be readable
			info.Fault = fault.Error()
			continue
		}
		info.count(r.head.stored, int64(r.Messages))
		if err := each(&r.Record); err != nil {
			return info, err
		}
	}
}

func (i *SegmentInfo) count(stored, messages int64) {
	if i.Batches == 0 {
		i.Oldest = time.UnixMilli(stored)
	}
	i.Batches++
	i.Messages += messages
}

// inUse reports whether a client has the slot open. It also reads the owner's file, because the lock does not show clients of this
// process.
func inUse(slot string) bool {
	path := filepath.Join(slot, slotLock)
	if _, err := os.Stat(path); err != nil {
		return false
	}
	used := true
	look := func() error {
		own, err := isOwn(slot)
		used = own || err != nil || isLocked(path)
		return nil
	}
	if err := exclusive(filepath.Dir(slot), slotsWait, look); err != nil && !errors.Is(err, ErrBusy) {
		_ = look() // a folder that can only be read has no client of this process
	}
	return used
}

// CheckDisk reports why a spool cannot be in this folder, which exists: it is not writable, or its file system has no locks. It
// leaves nothing there.
func CheckDisk(dir string) error {
	f, err := os.CreateTemp(dir, "check-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString("check")
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	for _, lock := range []func(string) (func(), error){lockFolder, lockSlot} {
		release, err := lock(f.Name())
		if err != nil {
			return err
		}
		release()
	}
	return nil
}
