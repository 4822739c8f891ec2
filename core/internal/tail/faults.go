package tail

import (
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
	if f.fault == nil || f.fault.Error() != err.Error() {
		s.warnUnreadable(f.Name(), err.Error(), f.dead)
	}
	if f.fault, f.atEnd = err, false; f.dead {
		return
	}
	f.retryAt = time.Now().Add(retryIn)
	f.close() // a handle may be stale: it is opened again
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
		s.warnReadable(f.Name(), f.fault.Error())
		f.fault = nil
	}
}

// Faults are the files that could not be read, with the reason.
func (s *Set) Faults() (faults []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if f.fault != nil {
			faults = append(faults, f.Name()+": "+f.fault.Error())
		}
	}
	for path, fault := range s.said {
		faults = append(faults, path+": "+fault)
	}
	slices.Sort(faults)
	return faults
}
