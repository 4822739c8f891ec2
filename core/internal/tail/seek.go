package tail

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	wasTruncated = "the file was truncated"
	wasGone      = "it was gone"
)

// proofLength is how long a beginning must be that proves a copy whose name has nothing to do with the file's.
const proofLength = 32

// entry is a file in a folder.
type entry struct {
	path, name string
	meta
}

// around lists the files of the folders in which a file may be found again: its own, those of its links, and the ones in them,
// where some put aside what is old. sure is false when a folder could not be read.
func (s *Set) around(f *File) (all []entry, sure bool) {
	sure = true
	done := map[string]bool{}
	list := func(dir string, deep bool) (below []string) {
		if done[dir] {
			return nil
		}
		done[dir] = true
		entries, err := os.ReadDir(dir)
		if err != nil {
			sure = sure && errors.Is(err, fs.ErrNotExist)
			return nil
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if e.IsDir() && deep {
				below = append(below, path)
			}
			if info, err := e.Info(); err == nil && e.Type().IsRegular() && !slices.Contains(s.cfg.Own, path) {
				all = append(all, entry{path, e.Name(), metaOf(info)})
			}
		}
		return below
	}
	for _, path := range []string{f.real, f.live, resolved(f.live)} {
		if path == "" {
			continue
		}
		for _, below := range list(filepath.Dir(path), true) {
			list(below, false)
		}
	}
	return all, sure
}

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
	all, sure := s.around(f)
	if f.id.known() {
		for _, e := range all {
			if e.key() == f.id.key() {
				found, opened := s.try(f, e.path)
				if found || !opened {
					return found, false
				}
				s.lostNumber(f, e.path)
				break
			}
		}
	}
	head, _, _ := f.known()
	if head.Length == 0 {
		return false, sure
	}
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(b.modified, a.modified) })
	for _, e := range all {
		if s.byKey[e.key()] != nil || s.isIgnored(e) {
			continue
		}
		related := e.path == f.live || e.path == f.real || named(e.name, f)
		if !related && (head.Length < proofLength || s.asked(e.path)) {
			continue
		}
		if found, _ := s.try(f, e.path); found {
			delete(s.held, e.path)
			delete(s.copies, e.key())
			return true, true
		}
	}
	return false, sure
}

// try opens a path as the file.
func (s *Set) try(f *File, path string) (found, opened bool) {
	t, err := openText(path)
	if err != nil {
		return false, false
	}
	if !s.attach(f, t, path) {
		t.Close()
		return false, true
	}
	f.aside = path != f.live
	f.rename()
	s.changes++
	return true, true
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
	for _, e := range all {
		if e.key() == f.id.key() {
			f.real = e.path
			f.rename()
			return true
		}
	}
	return false
}

// between makes the files known that had the path after one file and before another. Nobody has met them: they are told by their
// names, and by having been written to since.
func (s *Set) between(path string, before, after *File) {
	if before.text != nil || before.busy {
		s.whereabouts(before)
	}
	all, _ := s.around(before)
	var found []*File
	for _, e := range all {
		base := filepath.Base(before.real)
		related := named(e.name, before) || named(e.name, after) || putAside(e.name, filepath.Base(path)) ||
			base != filepath.Base(path) && sameForm(e.name, base)
		if !related || e.modified < before.modified || e.size == 0 || s.byKey[e.key()] != nil || s.isIgnored(e) || s.asked(e.path) {
			continue
		}
		t, err := openText(e.path)
		if err != nil {
			continue
		}
		if s.copied(t, e, before) || s.copied(t, e, after) {
			t.Close()
			continue
		}
		f, err := s.begin(t, e.path)
		if err != nil {
			t.Close()
			continue
		}
		f.live, f.aside = path, true
		f.rename()
		found = append(found, f)
	}
	slices.SortStableFunc(found, func(a, b *File) int {
		// Files of one tick of the file system's clock: .2 is older than .1.
		return cmp.Or(cmp.Compare(a.modified, b.modified), cmp.Compare(b.real, a.real))
	})
	last := before
	for _, f := range found {
		f.older = last
		s.push(f)
		last = f
	}
	if after != nil && after != last {
		after.older = last
	}
}

// copied reports whether an open text is a copy of a file, or of its beginning.
func (s *Set) copied(t text, e entry, f *File) bool {
	if f == nil || f.text == nil {
		if f == nil || f.at.Offset == 0 {
			return false
		}
		head, at, _ := f.known()
		ok, _ := holds(t, head, at)
		return ok
	}
	if f.text.packed() || f.id.Born > e.modified {
		return false
	}
	size := e.size
	if t.packed() {
		head, _, _ := f.known()
		size = head.Length
	}
	return size > 0 && sameBeginning(t, f.text, size)
}

// isCopy reports whether a path that nobody knows is the copy of a file that is read: copytruncate makes one, and a packer. As long as
// it is not sure, it is put off.
func (s *Set) isCopy(sight sighting) bool {
	if modified, known := s.copies[sight.key()]; known && modified == sight.modified {
		return true
	}
	name := filepath.Base(sight.path)
	var t text
	for _, f := range s.files {
		if f.live == sight.path || !named(name, f) {
			continue
		}
		if t == nil {
			var err error
			if t, err = openText(sight.path); err != nil {
				return false // told by meet
			}
			defer func() {
				if t != nil {
					t.Close()
				}
			}()
		}
		inPlace := !f.aside && s.current[f.live] == f && f.id.Born <= sight.modified
		if !inPlace && !t.packed() {
			continue
		}
		if f.text == nil && !f.busy {
			if f.aside && f.at.Offset > 0 && !f.fromPast && s.attach(f, t, sight.path) {
				t = nil
				s.has(sight.path, f)
				return true
			}
			continue
		}
		switch s.compare(t, sight, f) {
		case isSame:
			s.copies[sight.key()] = sight.modified
			return true
		case isUnsure:
			return true
		}
	}
	delete(s.held, sight.path)
	return false
}

type likeness int

const (
	isOther likeness = iota
	isUnsure
	isSame
)

func (s *Set) compare(t text, sight sighting, f *File) likeness {
	since, held := s.held[sight.path]
	if !held {
		since = time.Now()
		s.held[sight.path] = since
	}
	wait := s.cfg.Follow && time.Since(since) < patience
	head, _, _ := f.known()
	n := head.Length
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
			f.id = ID{sight.Dev, sight.Ino, born(sight.path)}
			f.real = sight.path
			s.byKey[sight.key()] = f
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
	return found && (known.Modified == e.modified || known.Born != 0 && known.Born == born(e.path))
}

// ignoreOlder notes what had been put aside before a file was met first: nobody asked for it.
func (s *Set) ignoreOlder(f *File, path string, first bool) {
	all, _ := s.around(f)
	since := s.lastScan.UnixNano()
	for _, e := range all {
		if s.byKey[e.key()] != nil || s.asked(e.path) || !named(e.name, f) {
			continue
		}
		if first || e.modified < since {
			s.ignored[e.key()] = ignored{ID{e.Dev, e.Ino, born(e.path)}, e.modified}
			s.changes++
		}
	}
	if !first {
		s.between(path, &File{live: path, real: f.real, modified: since}, f)
	}
}

// giveUp ends the search for what was not found.
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
		if f.gone.IsZero() || now.Sub(f.gone) < forget || f.busy {
			return false
		}
		if s.byKey[f.id.key()] == f {
			delete(s.byKey, f.id.key())
		}
		s.changes++
		return true
	})
}
