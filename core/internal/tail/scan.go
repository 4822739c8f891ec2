package tail

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

func asFinal(err error, target *interface{ Final() bool }) bool {
	return errors.As(err, target) && (*target).Final()
}

// sighting is a path under which a file was met that nobody knows.
type sighting struct {
	path string
	meta
}

// turn is a path that has gone from one file to another.
type turn struct {
	path          string
	before, after *File
}

// scan compares what is there with what is known.
func (s *Set) scan() {
	first := !s.scanned
	s.scanned, s.moved = true, false
	began := time.Now()
	s.fresh()
	seen := map[*File]bool{}
	there := map[string]bool{}
	var fresh []sighting
	var turns []turn
	paths := s.expand()
	for i, found := range s.inspect(paths) {
		path, m := paths[i], found.meta
		if found.err != nil {
			s.absent(path, found.err)
			continue
		}
		if !m.regular {
			s.tell(path, noRegularFile)
			continue
		}
		there[path] = true
		if f := s.byKey[m.key()]; f != nil {
			is := s.open(f, path, m)
			seen[f] = seen[f] || is != isOther
			if is == isSame {
				if before := s.takes(path, f); before != nil {
					turns = append(turns, turn{path, before, f})
				}
				f.modified = f.wasProven()
				f.grown(m.size)
				f.still = !f.busy && f.atEnd && m.size == f.seen.size && m.modified == f.seen.modified
			}
			if is != isOther {
				continue
			}
		}
		fresh = append(fresh, sighting{path, m})
	}
	now := time.Now()
	for _, f := range s.files {
		f.still = f.still && seen[f]
		if !seen[f] && !f.aside && !f.fromPast {
			f.aside, f.changed = true, now
			s.changes++
			s.whereabouts(f)
			f.rename()
		}
	}
	for _, f := range slices.Clone(s.files) {
		switch {
		case f.text != nil || f.busy:
		case f.fromPast && s.relevant(f, there), !f.sought.IsZero():
			s.seek(f)
		case f.aside && f.gone.IsZero() && !f.fromPast:
			s.again(f)
		}
	}
	// Only when each that is known was found again is it clear who is not.
	for _, t := range turns {
		s.between(t.path, t.before, t.after)
	}
	slices.SortStableFunc(fresh, func(a, b sighting) int { return cmp.Compare(len(a.path), len(b.path)) })
	for _, sight := range fresh {
		s.meet(sight, first)
	}
	if s.cfg.Rotated {
		s.newcomers(now)
	}
	s.forget(now)
	s.lastScan = began.Add(-fileTick)
}

// has notes that a path leads to the file, and finds what had it since another one.
func (s *Set) has(path string, f *File) {
	if before := s.takes(path, f); before != nil {
		s.between(path, before, f)
	}
}

// takes notes that a path leads to the file. It returns the one that had it before, if others may have had it since.
func (s *Set) takes(path string, f *File) (before *File) {
	s.canBeRead(path)
	if before = s.current[path]; before == f {
		if f.aside {
			f.aside = false
			f.rename()
			s.changes++
		}
		return nil
	}
	if before != nil && before.text != nil {
		before.latest = false
	}
	s.current[path] = f
	f.aside, f.gone, f.sought, f.fromPast = false, time.Time{}, time.Time{}, false
	f.live, f.real = path, s.disk.resolved(path)
	f.rename()
	s.changes++
	if !s.cfg.Rotated {
		return nil
	}
	return before
}

// open makes sure that a known file is the one at that path. It is not when its number went to another one.
func (s *Set) open(f *File, path string, m meta) likeness {
	if f.busy || f.text != nil {
		return isSame
	}
	now := time.Now()
	if !f.fromPast && f.fault == nil && f.sought.IsZero() && m.size == f.seen.size && m.modified == f.seen.modified {
		return isSame // closed, and as it was
	}
	if f.fault != nil && f.head.Length == 0 {
		if born := s.disk.bornAt(path, m.key()); born != 0 && f.id.Born != 0 && born != f.id.Born {
			s.lostNumber(f, path)
			return isOther
		}
		// What is lost with it, and the time of its copy, if it can never be opened.
		f.learn(f.head, f.at, m.size)
		f.prove(m.modified)
	}
	if f.dead || now.Before(f.retryAt) || f.isBroken(m) {
		return isSame
	}
	t, err := s.openText(path)
	if errors.Is(err, fs.ErrNotExist) {
		s.moved = true
		return isUnsure
	}
	if errors.Is(err, errUnfinished) && f.head.Length > 0 { // a packer has just made it, and it has a number that was free
		s.lostNumber(f, path)
		return isOther
	}
	if err != nil {
		f.live = path
		s.failed(f, err)
		return isSame
	}
	is := s.attach(f, t, path, f.id.key())
	if is != isSame {
		t.Close()
	}
	if is == isOther {
		s.lostNumber(f, path)
	}
	return is
}

// attach takes an open file for the known one, if it is that. It is unsure when the path has gone to another file since it was looked
// at, when it had that key.
func (s *Set) attach(f *File, t text, path string, looked key) likeness {
	m, err := inspectFile(t.file())
	if err != nil || m.key() != looked {
		return isUnsure
	}
	id := m.ID
	id.Born = t.file().born()
	head, at, _ := f.known()
	if f.id.known() && f.id.key() == id.key() && !f.id.is(id) {
		return isOther
	}
	// A name may have gone to a file that is read already, since the folder was listed.
	if other := s.byKey[id.key()]; other != nil && other != f && (other.text != nil || other.busy || other.id.is(id)) {
		return isOther
	}
	ok, err := holds(t, head, at)
	switch {
	case ok || errors.Is(err, errUnfinished) && f.id.is(id):
	case isBroken(err):
		s.setDoubt(f, m)
		return isUnsure
	case err != nil:
		return isUnsure
	default:
		return isOther
	}
	if now, err := t.stat(); err == nil && head.Length == 0 { // it was empty, or could not be opened
		if head, size, err := beginning(t, now.size); err == nil {
			f.learn(head, at, size)
		}
	}
	s.number(f, id)
	f.text, f.real = t, s.disk.resolved(path)
	f.atEnd, f.fromPast, f.sought, f.gone = false, false, time.Time{}, time.Time{}
	f.changed = time.Now()
	s.push(f)
	return isSame
}

// number gives the file another number, or none. Its old one would hide the next file that gets it.
func (s *Set) number(f *File, id ID) {
	if s.byKey[f.id.key()] == f {
		delete(s.byKey, f.id.key())
	}
	if f.id = id; id.known() {
		s.byKey[id.key()] = f
	}
}

// lostNumber: the file at path has the number of f, and is another one or has other content.
func (s *Set) lostNumber(f *File, path string) {
	if f.why = wasTruncated; f.id.Born != 0 && f.id.Born != s.disk.bornAt(path, f.id.key()) {
		f.why = wasGone
	}
	f.latest = f.latest || s.current[f.live] == f
	s.number(f, ID{})
	f.sought, f.aside = time.Now(), true
	s.changes++
}

// again opens a file that was closed, if it grew.
func (s *Set) again(f *File) {
	m, err := s.disk.inspect(f.real)
	if err != nil || m.key() != f.id.key() {
		if !s.whereabouts(f) {
			if found, sure := s.find(f); found || !sure {
				return
			}
			if f.at.Offset < f.size { // what follows the place is reported
				f.sought = time.Now()
				return
			}
			f.gone = time.Now()
			s.changes++
			return
		}
		if m, err = s.disk.inspect(f.real); err != nil {
			return
		}
	}
	s.open(f, f.real, m)
}

// meet makes a file known.
func (s *Set) meet(sight sighting, first bool) {
	if f := s.byKey[sight.key()]; f != nil { // by another name, or a copy that was taken for the rest of another one
		s.has(sight.path, f)
		return
	}
	if _, is := s.doubtful(nil, sight.meta); is {
		return
	}
	t, err := s.openText(sight.path)
	switch {
	case errors.Is(err, errUnfinished) && s.cfg.Follow && s.isPatient(sight.path):
		return
	case errors.Is(err, fs.ErrNotExist):
		s.moved = true
		return
	case mayPass(err):
		s.join(s.await(sight.path, sight.meta, err), sight.path, first)
		return
	case err != nil:
		s.tell(sight.path, cause(err))
		return
	}
	if m, err := t.stat(); err != nil || m.key() != sight.key() {
		t.Close()
		s.moved = true // the path names another file since it was checked
		return
	}
	if s.cfg.Rotated && (s.isContinued(sight, t) || s.isCopy(sight, t)) {
		return
	}
	f, err := s.begin(t, sight.path)
	if err != nil {
		t.Close()
		if isBroken(err) {
			s.setDoubt(nil, sight.meta)
		}
		s.tell(sight.path, cause(err))
		return
	}
	s.join(f, sight.path, first)
	s.push(f)
}

// join has a file that was met at a path be the one that the path leads to.
func (s *Set) join(f *File, path string, first bool) {
	if f.Rewritten = s.current[path] != nil; s.cfg.Rotated && !f.Rewritten {
		s.ignoreOlder(f, path, first)
	}
	if _, known := s.looked[path]; !known {
		s.looked[path] = look{since: f.modified, again: true}
	}
	s.has(path, f)
}

// begin is a file from its beginning.
func (s *Set) begin(t text, path string) (*File, error) {
	m, err := t.stat()
	if err != nil {
		return nil, err
	}
	head, size, err := beginning(t, m.size)
	if err != nil {
		return nil, err
	}
	m.ID.Born = t.file().born()
	f := &File{live: path, real: s.disk.resolved(path), text: t, head: head, size: size, modified: m.modified, proven: m.modified, changed: time.Now()}
	s.know(f, m.ID)
	return f, nil
}

// beginning is a text's head, and how long the text is at least.
func beginning(t text, size int64) (head Head, known int64, err error) {
	if !t.packed() {
		head, err = headOf(t, size)
		return head, size, err
	}
	head, err = headOf(t, printLength)
	return head, max(size, head.Length), err
}

func (s *Set) know(f *File, id ID) {
	f.rename()
	s.files = append(s.files, f)
	s.number(f, id)
	s.changes++
	select {
	case s.met <- struct{}{}:
	default:
	}
}

// lose gives up what could not be found again.
func (s *Set) lose(f *File, why string) {
	f.gone, f.sought, f.fromPast, f.fault = time.Now(), time.Time{}, false, nil
	s.changes++
	head, at, size := f.known()
	from := at.Offset
	if f.Held != nil { // nobody sees its end, nor names it: it is lost from where it began
		from = f.Held.Start()
		f.Held.Done()
		f.Held, f.Passing = nil, false
	}
	switch bytes := size - from; {
	case bytes > 0:
		s.lost(f, from, bytes, why)
		f.learn(head, at, at.Offset) // once
		f.setTall(0)
	case !f.latest: // one of many that were put aside
	case why == wasTruncated:
		s.cfg.Log.Warn("the file was truncated and is read from the beginning; all that was seen in it before had been read", "file", f.live)
	default:
		s.cfg.Log.Warn("the file that the state speaks of is gone; all that was seen in it had been read", "file", f.live)
	}
}

// lost notes what could not be read after a place.
func (s *Set) lost(f *File, from, bytes int64, why string) {
	s.losses = append(s.losses, Loss{f.live, bytes, why})
	s.cfg.Log.Error(fmt.Sprintf("lost: at least %d bytes that were not read before %s", bytes, why), "file", f.live, "place", from)
}
