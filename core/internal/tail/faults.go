package tail

import (
	"errors"
	"io/fs"
	"slices"
	"time"
)

// setBroken notes of what the unpacking failed. Only that of a packed file does.
func (f *File) setBroken() {
	if p, ok := f.text.(*packedText); ok {
		f.broken = p.began
	}
}

// isBroken reports whether it is as it was then.
func (f *File) isBroken(m meta) bool {
	return f.broken.modified != 0 && f.broken.size == m.size && f.broken.modified == m.modified
}

// failed keeps a file that cannot be read for later, and says so once.
func (s *Set) failed(f *File, err error) {
	var final interface{ Final() bool }
	f.dead = asFinal(err, &final)
	if f.fault == nil || cause(f.fault) != cause(err) {
		s.warnUnreadable(f.Name(), cause(err), f.dead)
	}
	if f.fault, f.atEnd = err, false; f.dead {
		return
	}
	if f.retryAt = time.Now().Add(retryIn); errors.Is(err, errHandles) {
		f.retryAt = time.Time{} // there is room when others are read
	}
	f.close() // a handle may be stale: it is opened again
}

// await makes a file known that cannot be opened yet: it may be put aside before it can be.
func (s *Set) await(path string, m meta, err error) *File {
	f := &File{live: path, real: s.disk.resolved(path), size: m.size, modified: m.modified, proven: m.modified, changed: time.Now()}
	m.Born = s.disk.bornAt(path, m.key())
	s.know(f, m.ID)
	s.failed(f, err)
	return f
}

// findUnread finds the packed copy of a file that could not be opened, of which only the time is known: packers keep it.
func (s *Set) findUnread(f *File, all []entry) (found, sure bool) {
	for _, e := range all {
		if f.size == 0 || e.modified != f.wasProven() || !packedEnding.MatchString(e.name) || !named(e.name, f) || s.isIgnored(e) {
			continue
		}
		if s.isKnown(e) { // it was met before this one was deleted
			f.learn(f.head, f.at, f.at.Offset)
			f.gone, f.sought, f.fromPast, f.fault = time.Now(), time.Time{}, false, nil
			s.changes++
			return true, true
		}
		is := s.try(f, e)
		return is == isSame, is == isOther
	}
	return false, true
}

// mayPass reports whether a file that could not be opened may be another time.
func mayPass(err error) bool {
	var system *fs.PathError
	return errors.As(err, &system) && !errors.Is(err, fs.ErrNotExist) || errors.Is(err, errHandles) || errors.Is(err, errHangs)
}

// isRewritten lets a file be read again whose fault does not pass: it begins with something else now.
func (f *File) isRewritten(m meta) bool {
	if m.size == f.seen.size && m.modified == f.seen.modified {
		return false
	}
	f.seen = m
	head, _, _ := f.known()
	same, err := head.fits(f.text)
	f.dead = same || err != nil
	return !f.dead
}

func (s *Set) ok(f *File) {
	if f.fault != nil {
		s.warnReadable(f.Name(), cause(f.fault))
		f.fault = nil
	}
}

// Faults are the files that could not be read, with the reason.
func (s *Set) Faults() (faults []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if f.fault != nil {
			faults = append(faults, f.Name()+": "+cause(f.fault))
		}
	}
	for path, fault := range s.said {
		faults = append(faults, path+": "+fault)
	}
	slices.Sort(faults)
	return faults
}
