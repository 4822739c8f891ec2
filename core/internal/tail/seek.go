package tail

import (
	"cmp"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"time"
)

const (
	wasTruncated = "the file was truncated"
	wasGone      = "it was gone"
)

// proofLength is how long a beginning must be that proves a copy whose name has nothing to do with the file's: other programs' files may
// begin with the same header.
const proofLength = printLength

// seek looks for a file that is not where it was, and gives it up in the end.
func (s *Set) seek(f *File) {
	if f.fault != nil && time.Now().Before(f.retryAt) {
		return
	}
	if f.sought.IsZero() {
		f.sought = time.Now()
	}
	found, sure := s.find(f)
	if !found && sure && s.cfg.Follow && time.Since(f.sought) >= patience {
		s.lose(f, cmp.Or(f.why, wasGone))
	}
}

// find opens the file under the name that it has now: by its number, and then by what is in it, for it may have been copied or packed.
func (s *Set) find(f *File) (found, sure bool) {
	if !s.cfg.Rotated {
		return false, true
	}
	all, readable := s.around(f)
	if found, sure = s.findAmong(f, all, false); !found && sure {
		found, sure = s.findAmong(f, s.beside(f), true)
	}
	return found, sure && readable
}

func (s *Set) findAmong(f *File, all []entry, beside bool) (found, sure bool) {
	if f.id.known() {
		for _, e := range all {
			if e.key() == f.id.key() {
				if is := s.try(f, e); is != isOther {
					return is == isSame, false
				}
				s.lostNumber(f, e.path)
				break
			}
		}
	}
	head, _, _ := f.known()
	switch {
	case head.Length == 0:
		return s.findUnread(f, all)
	case beside && head.Length < proofLength:
		return false, true
	}
	sure = true
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(b.modified, a.modified) })
	for _, e := range all {
		if s.isKnown(e) || s.isIgnored(e) {
			continue
		}
		related := e.path == f.live || e.path == f.real || named(e.name, f)
		if !related && (beside || head.Length < proofLength || s.asked(e.path)) {
			continue
		}
		switch s.try(f, e) {
		case isSame:
			delete(s.held, e.path)
			delete(s.copies, e.key())
			return true, true
		case isUnsure:
			sure = false
		}
	}
	return false, sure
}

// try opens a file of a folder as the one that is sought.
func (s *Set) try(f *File, e entry) likeness {
	if since, is := s.doubtful(f, e.meta); is {
		if time.Since(since) < patience {
			return isUnsure
		}
		return isOther // its packer was killed, or the disk was full
	}
	t, err := s.openText(e.path)
	switch {
	case errors.Is(err, errForeign):
		return isOther
	case err != nil:
		return isUnsure
	}
	if is := s.attach(f, t, e.path, e.key()); is != isSame {
		t.Close()
		return is
	}
	f.aside = e.path != f.live
	f.rename()
	s.changes++
	return isSame
}

// named reports whether a name is one that rotation gives to the file.
func named(name string, f *File) bool {
	return putAside(name, filepath.Base(f.live)) || putAside(name, filepath.Base(f.real))
}

// whereabouts finds the name that an open or closed file has now.
func (s *Set) whereabouts(f *File) bool {
	if !f.id.known() || !s.cfg.Rotated {
		return false
	}
	all, _ := s.around(f)
	return s.isAmong(f, all) || s.isAmong(f, s.beside(f))
}

func (s *Set) isAmong(f *File, all []entry) bool {
	for _, e := range all {
		if e.key() != f.id.key() || f.text == nil && f.id.Born != 0 && f.id.Born != s.disk.bornAt(e.path, e.key()) {
			continue
		}
		// The number may have been another file's when the folder was listed.
		if m, err := s.disk.inspect(e.path); err == nil && m.key() == f.id.key() {
			f.real = e.path
			f.rename()
			return true
		}
	}
	return false
}

// isCopy reports whether a path that nobody knows is the copy of a file that is read: copytruncate makes one, and a packer. As long as
// it is not sure, it is put off. Then it has closed the text, or made it that of a file which it continues.
func (s *Set) isCopy(sight sighting, t text) bool {
	if modified, known := s.copies[sight.key()]; known && modified == sight.modified {
		t.Close()
		return true
	}
	name := filepath.Base(sight.path)
	for _, f := range s.files {
		if f.live == sight.path || !named(name, f) {
			continue
		}
		inPlace := !f.aside && s.current[f.live] == f && f.id.Born <= sight.modified
		if !inPlace && !t.packed() {
			continue
		}
		if f.text == nil && !f.busy {
			if (f.aside || f.fromPast) && f.head.Length > 0 && s.attach(f, t, sight.path, sight.key()) == isSame {
				s.has(sight.path, f)
				return true
			}
			continue
		}
		if s.hasItsPlace(t, f) {
			t.Close()
			if !f.busy { // who reads it will meet it
				s.truncated(f) // and found again in the copy
			}
			return true
		}
		switch s.compare(t, sight, f) {
		case isSame:
			s.copies[sight.key()] = sight.modified
			t.Close()
			return true
		case isUnsure:
			t.Close()
			return true
		}
	}
	delete(s.held, sight.path)
	return false
}

// isContinued reports whether a new file is the old one of its path with more in it: editors, rsync and the like write a copy and rename
// it. All of the old one was read; t is read on then.
func (s *Set) isContinued(sight sighting, t text) bool {
	f := s.current[sight.path]
	if f == nil || f.text == nil || f.busy || f.queued || !f.atEnd || f.text.packed() {
		return false
	}
	head, at, _ := f.known()
	old, err := f.text.stat()
	if err != nil || old.links > 0 || old.size != f.seen.size || head.Length < proofLength {
		return false
	}
	if ok, err := holds(t, head, at); !ok || err != nil {
		return false
	}
	rest := old.size - at.Offset
	_, was, err1 := sumAt(f.text, at.Offset, rest)
	_, is, err2 := sumAt(t, at.Offset, rest)
	if err1 != nil || err2 != nil || was != is {
		return false
	}
	s.leave(f, head, at)
	id := sight.ID
	id.Born = t.file().born()
	s.number(f, id)
	f.text, f.atEnd, f.changed = t, false, time.Now()
	s.has(sight.path, f)
	s.changes++
	s.push(f)
	return true
}

// leave has what was deleted be read on for a time: its writer may have it open still. Nobody looks for it once that is over, so that it
// has neither a number nor an unread rest, which is in its copy.
func (s *Set) leave(f *File, head Head, at Place) {
	old := &File{live: f.live, real: f.real, text: f.text, head: head, at: at, size: at.Offset, modified: f.modified, proven: f.proven, seen: f.seen,
		aside: true, atEnd: true, gone: time.Now(), changed: time.Now(), start: at.Offset}
	old.progress.done, old.seen.links = at, 0
	old.rename()
	s.files = append(s.files, old)
}

// hasItsPlace reports whether a text has the place of an open file that has it no more: the file was truncated.
func (s *Set) hasItsPlace(t text, f *File) bool {
	head, at, _ := f.known()
	if head.Length == 0 || f.text.packed() {
		return false
	}
	if ok, err := holds(t, head, at); !ok || err != nil {
		return false
	}
	ok, err := holds(f.text, head, at)
	return !ok && err == nil
}

// isPatient reports whether what is at a path may become clear yet.
func (s *Set) isPatient(path string) bool {
	since, held := s.held[path]
	if !held {
		since = time.Now()
		s.held[path] = since
	}
	return s.cfg.Follow && time.Since(since) < patience
}

// doubt is that about a packed file which cannot be unpacked up to the place of another one; f is nil where it is no one's.
type doubt struct {
	f *File
	key
}

// doubted is how the packed file was. Until it changes the unpacking, which costs much, would end as it did.
type doubted struct {
	size, modified int64
	since          time.Time
}

func (s *Set) setDoubt(f *File, m meta) {
	s.doubts[doubt{f, m.key()}] = doubted{m.size, m.modified, time.Now()}
}

func (s *Set) doubtful(f *File, m meta) (since time.Time, is bool) {
	d, known := s.doubts[doubt{f, m.key()}]
	return d.since, known && d.size == m.size && d.modified == m.modified
}

type likeness int

const (
	isOther likeness = iota
	isUnsure
	isSame
)

func (s *Set) compare(t text, sight sighting, f *File) likeness {
	wait := s.isPatient(sight.path)
	n := f.beginning()
	if !t.packed() {
		n = min(n, sight.size)
	}
	if n == 0 || f.text.packed() {
		if wait {
			return isUnsure // the copy is not written yet
		}
		return isOther
	}
	own, err := headOf(t, n)
	switch {
	case errors.Is(err, errUnfinished) && wait:
		return isUnsure
	case err != nil || own.Length != n || !sameBeginning(t, f.text, n):
		return isOther
	}
	if t.packed() {
		if m, err := f.text.stat(); err == nil && m.links == 0 { // the packer deleted the one that is read
			s.number(f, ID{sight.Dev, sight.Ino, t.file().born()})
			f.real = sight.path
			s.changes++
			return isSame
		}
	}
	switch {
	case wait:
		return isUnsure // it may be truncated in a moment
	case t.packed() || sameBeginning(t, f.text, sight.size):
		s.cfg.Log.Warn("a file is the copy of one that is read, and is left out", "file", sight.path, "of", f.Name())
		return isSame
	}
	return isOther
}

func (s *Set) isIgnored(e entry) bool {
	known, found := s.ignored[e.key()]
	return found && (known.Modified == e.modified || known.Born != 0 && known.Born == s.disk.bornAt(e.path, e.key()))
}

// ignoreOlder notes what had been put aside before a file was met first: nobody asked for it.
func (s *Set) ignoreOlder(f *File, path string, first bool) {
	all, _ := s.around(f)
	since := s.lastScan.UnixNano()
	for _, e := range all {
		if !named(e.name, f) || s.byKey[e.key()] != nil || s.asked(e.path) {
			continue
		}
		if first || e.modified < since {
			s.ignored[e.key()] = ignored{ID{e.Dev, e.Ino, s.disk.bornAt(e.path, e.key())}, e.modified}
			s.changes++
		}
	}
	if !first {
		s.between(path, &File{live: path, real: f.real, modified: since}, f)
	}
}

// GiveUp ends the search for what was not found: it is not looked for any more, and what is after its place is a loss.
func (s *Set) GiveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.giveUp()
}

func (s *Set) giveUp() {
	for _, f := range s.files {
		if !f.sought.IsZero() && f.text == nil {
			s.lose(f, cmp.Or(f.why, wasGone))
		}
	}
}

// relevant reports whether a file of the state belongs to what is read now.
func (s *Set) relevant(f *File, there map[string]bool) bool { return there[f.live] || s.asked(f.live) }

// forget drops what has been gone for long.
func (s *Set) forget(now time.Time) {
	s.files = slices.DeleteFunc(s.files, func(f *File) bool {
		if f.gone.IsZero() || now.Sub(f.gone) < forget || f.busy || f.text != nil {
			return false
		}
		s.number(f, ID{})
		s.changes++
		return true
	})
	// What is there still is tried once more then.
	maps.DeleteFunc(s.doubts, func(_ doubt, d doubted) bool { return now.Sub(d.since) >= forget })
}
