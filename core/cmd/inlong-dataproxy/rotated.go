package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// rotatedSuffix is what a log file's name gets when it is put aside: .1, -20260131, .2026-01-31.
var rotatedSuffix = regexp.MustCompile(`^[.-][0-9][0-9T:_.-]*$`)

// source is a file that is to be read from a position on.
type source struct {
	path     string
	file     *os.File
	modified time.Time // last written to, when it was opened
	inode    uint64
	from     position
	final    bool // nobody writes to it any more
}

// generations opens the file of that name and those put aside from it, oldest first, the file itself last.
func generations(path string) (files []*source, err error) {
	current, err := openSource(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	for _, entry := range entries {
		suffix, found := strings.CutPrefix(entry.Name(), filepath.Base(path))
		if !found || !rotatedSuffix.MatchString(suffix) || !entry.Type().IsRegular() {
			continue
		}
		aside, err := openSource(filepath.Join(filepath.Dir(path), entry.Name()))
		if err != nil {
			continue // gone, or not ours to read
		}
		files = append(files, aside)
	}
	slices.SortStableFunc(files, func(a, b *source) int {
		// Files of one tick of the file system's clock: .2 is older than .1.
		return cmp.Or(a.modified.Compare(b.modified), cmp.Compare(b.path, a.path))
	})
	if current != nil {
		files = append(files, current)
	}
	// A writer that has not noticed the last rotation still has the file that was put aside then.
	for i := range len(files) - 2 {
		files[i].final = true
	}
	return files, nil
}

func openSource(path string) (*source, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &source{path: path, file: file, modified: info.ModTime(), inode: inode(info)}, nil
}

// locate returns what is to be read to go on from at: the file in which that place is, which may have been put aside since,
// and all that are newer. found is false when that file is gone; the newer ones then come from their beginning.
func locate(path string, at position) (files []*source, found bool, err error) {
	all, err := generations(path)
	if err != nil {
		return nil, false, err
	}
	current := func(s *source) bool { return s.path == path }
	fits := func(s *source) bool { return at.fits(s.file) }
	// Two files may begin alike. If none of them is the very file, the current one was not put aside.
	is := []func(*source) bool{
		func(s *source) bool { return s.inode == at.Inode && fits(s) },
		func(s *source) bool { return current(s) && fits(s) },
		fits,
	}
	if at.Offset == 0 {
		is = []func(*source) bool{current}
	}
	var since time.Time
	if at.Modified > 0 {
		since = time.Unix(0, at.Modified)
	}
	files, found = cutBefore(all, path, since, is...)
	if found {
		files[0].from = at
	}
	return files, found, nil
}

// newerThan returns what is to be read after that file came to its end.
func newerThan(path string, done *os.File) ([]*source, error) {
	all, err := generations(path)
	if err != nil {
		return nil, err
	}
	own, err := done.Stat()
	if err != nil {
		return nil, err
	}
	files, found := cutBefore(all, path, own.ModTime(), func(s *source) bool {
		info, err := s.file.Stat()
		return err == nil && os.SameFile(own, info)
	})
	if found {
		files[0].file.Close()
		files = files[1:]
	}
	return files, nil
}

// deleted keeps of the old files, which are open, those that are not among the newer ones: they were deleted before their turn
// came.
func deleted(old, newer []*source) (kept []*source) {
	for _, s := range old {
		own, err := s.file.Stat()
		if err == nil && !slices.ContainsFunc(newer, func(n *source) bool {
			info, err := n.file.Stat()
			return err == nil && os.SameFile(own, info)
		}) {
			kept = append(kept, s)
			continue
		}
		s.file.Close()
	}
	return kept
}

// cutBefore closes all files before the one that is sought: that of which the first of the tests holds that holds of any. When it
// was deleted, those behind it are the ones written to since, and the current one; only that one if since is zero.
func cutBefore(all []*source, path string, since time.Time, is ...func(*source) bool) (files []*source, found bool) {
	cut := -1
	for i := 0; i < len(is) && cut < 0; i++ {
		cut = slices.IndexFunc(all, is[i])
	}
	found = cut >= 0
	if !found {
		cut = slices.IndexFunc(all, func(s *source) bool {
			return s.path == path || !since.IsZero() && s.modified.After(since)
		})
		if cut < 0 {
			cut = len(all)
		}
	}
	for _, s := range all[:cut] {
		s.file.Close()
	}
	return all[cut:], found
}
