package tail

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

// entry is a file in a folder.
type entry struct {
	path, name string
	meta
}

// listing is a folder as a scan saw it.
type listing struct {
	entries []entry
	below   []string // folders in it
	err     error
}

// list looks into a folder once a scan.
func (s *Set) list(dir string) *listing {
	if known := s.listings[dir]; known != nil {
		return known
	}
	l := &listing{}
	s.listings[dir] = l
	entries, err := s.disk.readDir(dir)
	l.err = err
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			l.below = append(l.below, path)
		}
		if !e.Type().IsRegular() || s.isOwn(path) {
			continue
		}
		if info, err := e.Info(); err == nil {
			l.entries = append(l.entries, entry{path, e.Name(), metaOf(info)})
		}
	}
	return l
}

// folders are those in which a file may be found again: its own, those of its links, and the ones in them, where some put aside
// what is old. sure is false when one cannot be read.
func (s *Set) folders(f *File) (dirs []string, sure bool) {
	sure = true
	for _, path := range []string{f.real, f.live, s.disk.resolved(f.live)} {
		dir := filepath.Dir(path)
		if path == "" || slices.Contains(dirs, dir) {
			continue
		}
		l := s.list(dir)
		sure = sure && (l.err == nil || errors.Is(l.err, fs.ErrNotExist))
		dirs = append(append(dirs, dir), l.below...)
	}
	return dirs, sure
}

func (s *Set) around(f *File) (all []entry, sure bool) {
	dirs, sure := s.folders(f)
	for _, dir := range dirs {
		all = append(all, s.list(dir).entries...)
	}
	return all, sure
}

// beside are the files in the folders beside the file's own: rotation may put aside what is old in one of them. The files of others are
// there, too.
func (s *Set) beside(f *File) (all []entry) {
	dirs, _ := s.folders(f)
	for _, dir := range dirs {
		for _, other := range s.list(filepath.Dir(dir)).below {
			if !slices.Contains(dirs, other) {
				dirs = append(dirs, other)
				all = append(all, s.list(other).entries...)
			}
		}
	}
	return all
}

// strangers are the files around that nobody knows.
func (s *Set) strangers(f *File) (all []entry) {
	dirs, _ := s.folders(f)
	for _, dir := range dirs {
		found, known := s.unknown[dir]
		if !known {
			for _, e := range s.list(dir).entries {
				if e.size > 0 && !s.isKnown(e) && !s.isIgnored(e) && !s.asked(e.path) {
					found = append(found, e)
				}
			}
			s.unknown[dir] = found
		}
		all = append(all, found...)
	}
	return all
}

// isKnown reports whether one of the files is at that path. The number of a deleted one may have gone to another file.
func (s *Set) isKnown(e entry) bool {
	f := s.byKey[e.key()]
	if f == nil {
		return false
	}
	if f.text != nil || f.busy || e.path == f.real || f.id.Born == 0 {
		return true
	}
	if at := s.disk.bornAt(e.path, e.key()); at == 0 || at == f.id.Born {
		return true
	}
	if f.gone.IsZero() {
		s.lostNumber(f, e.path)
	} else {
		s.number(f, ID{})
	}
	return false
}

// fresh forgets what was seen of folders.
func (s *Set) fresh() {
	s.listings, s.unknown, s.times = map[string]*listing{}, map[string][]entry{}, map[string]int64{}
}

// newcomers looks for what was put aside unseen. A file may be copied and truncated before a byte of it was read: then only the copy,
// which is new in the folder, tells that there was anything.
func (s *Set) newcomers(now time.Time) {
	for path, f := range s.current {
		if f == nil || f.fromPast {
			continue
		}
		looked := s.looked[path]
		if sum := s.timesOf(looked.dirs); looked.dirs == nil || sum != looked.sum || looked.again && (!s.cfg.Follow || now.Sub(looked.at) >= time.Second) {
			changed := looked.dirs == nil || sum != looked.sum
			looked.dirs, _ = s.folders(f)
			looked.sum, looked.at = s.timesOf(looked.dirs), now
			// Files that change within one tick of the clock leave the folder's time as it is.
			looked.again = s.between(path, f, f) || changed
			s.looked[path] = looked
		} else if !looked.again && !f.aside {
			looked.since = f.modified // nothing had the path between the last look and this one
			s.looked[path] = looked
		}
	}
}

// look is the state of a path's folders when newcomers were looked for.
type look struct {
	dirs  []string
	sum   int64 // of the times at which they changed
	again bool  // they are checked once more
	at    time.Time
	since int64 // what had the path unseen was written to since
}

// since bounds the times of what had a path and was not met.
func (s *Set) since(path string, f *File) int64 {
	if looked, known := s.looked[path]; known && looked.since != 0 {
		return min(looked.since, f.modified)
	}
	return f.modified
}

func (s *Set) timesOf(dirs []string) (sum int64) {
	for _, dir := range dirs {
		changed, known := s.times[dir]
		if !known {
			if info, err := s.disk.stat(dir); err == nil {
				changed = info.ModTime().UnixNano()
			}
			s.times[dir] = changed
		}
		sum = sum*31 + changed
	}
	return sum
}

// between makes the files known that had the path after one file and before another, which may be the same one, with other content.
// Nobody has met them: they are told by their names, and by having been written to since. unsure is true when one of them may be a
// copy of what is read anyway.
func (s *Set) between(path string, before, after *File) (unsure bool) {
	if before != after && (before.text != nil || before.busy) {
		s.whereabouts(before)
	}
	var found []*File
	since := s.since(path, before)
	for _, e := range s.strangers(before) {
		base := filepath.Base(before.real)
		related := named(e.name, before) || named(e.name, after) || putAside(e.name, filepath.Base(path)) ||
			base != filepath.Base(path) && !putAside(base, filepath.Base(path)) && isBetween(e.name, base, filepath.Base(after.real))
		if !related || e.modified < since || s.isKnown(e) {
			continue
		}
		if _, is := s.doubtful(nil, e.meta); is {
			unsure = true
			continue
		}
		t, err := s.openText(e.path)
		if err != nil {
			unsure = unsure || errors.Is(err, errUnfinished)
			if mayPass(err) && e.modified > since {
				f := s.await(e.path, e.meta, err)
				f.live, f.aside = path, true
				f.rename()
			}
			if errors.Is(err, errForeign) && e.modified > since { // it was written to after all that was read
				s.tell(e.path, cause(err))
				s.ignored[e.key()] = ignored{ID{e.Dev, e.Ino, s.disk.bornAt(e.path, e.key())}, e.modified}
				s.changes++
			}
			continue
		}
		// Names move while they are listed: what has this one now may be a copy that is being made.
		m, err := t.stat()
		if err != nil || m.key() != e.key() || s.isPart(t, e, path, before) {
			t.Close()
			unsure = true
			continue
		}
		f, err := s.begin(t, e.path)
		if err != nil {
			t.Close()
			if errors.Is(err, errDamaged) {
				s.setDoubt(nil, e.meta)
				s.tell(e.path, cause(err))
			}
			unsure = true
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
	for i, f := range found {
		switch {
		case i > 0:
			f.older = found[i-1]
		case before != after:
			f.older = before
		}
		s.push(f)
	}
	if n := len(found); n > 0 && before != after {
		after.older = found[n-1]
	}
	return unsure
}

// isPart reports whether a text is a copy of a file that had the path, or has the place of one.
func (s *Set) isPart(t text, e entry, path string, before *File) bool {
	for _, f := range s.files {
		if f.live != path && f != before {
			continue
		}
		head, at, _ := f.known()
		if head.Length == 0 && f.busy {
			return true // a read of what is in the copy may be running
		}
		if head.Length > 0 {
			switch ok, err := holds(t, head, at); {
			case isBroken(err): // what is there cannot be told from its continuation
				s.setDoubt(nil, e.meta)
				return true
			case ok:
				return true
			}
		}
		if f.text == nil || f.text.packed() || f.id.Born > e.modified {
			continue
		}
		size := e.size
		if t.packed() {
			size = f.beginning()
		}
		if size > 0 && sameBeginning(t, f.text, size) {
			return true
		}
	}
	return false
}
