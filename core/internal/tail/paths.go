package tail

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func absolute(paths []string) (all []string) {
	for _, path := range paths {
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		all = append(all, path)
	}
	return all
}

// expand lists the paths that are followed now.
func (s *Set) expand() (paths []string) {
	add := func(path string) {
		if !s.isOwn(path) {
			paths = append(paths, path)
		}
	}
	for _, path := range s.cfg.Paths {
		if f := s.current[path]; f != nil && !f.aside {
			add(path) // it is checked in a moment
			continue
		}
		info, err := s.disk.stat(path)
		switch {
		case errors.Is(err, errHangs):
			s.tell(path, err.Error())
		case err == nil && info.IsDir():
			entries, err := s.disk.readDir(path)
			if err != nil {
				s.absent(path, err)
			} else {
				s.canBeRead(path)
			}
			for _, entry := range entries {
				if !strings.HasPrefix(entry.Name(), ".") && !entry.IsDir() {
					add(filepath.Join(path, entry.Name()))
				}
			}
		case err != nil && isPattern(path):
			matches, fault := ask(s.disk, path, func() ([]string, error) { return glob(path) })
			if errors.Is(fault, filepath.ErrBadPattern) || errors.Is(fault, errHangs) {
				s.tell(path, fault.Error())
				continue
			}
			if fault == nil || s.cfg.Follow && fault == fs.ErrNotExist { // not that of the folder
				s.canBeRead(path)
			}
			if fault != nil {
				s.absent(path, fault)
			}
			for _, match := range matches {
				add(match)
			}
		default:
			add(path)
		}
	}
	return paths
}

// glob lists what matches a pattern and is no folder. Its error is why nothing matches.
func glob(pattern string) (paths []string, err error) {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	if len(matches) == 0 {
		return nil, cmp.Or(readable(filepath.Dir(pattern)), fs.ErrNotExist)
	}
	return slices.DeleteFunc(matches, func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.IsDir()
	}), nil
}

// readable returns why a folder cannot be read: filepath.Glob does not tell that from one in which nothing matches.
func readable(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = f.Readdirnames(1); err == io.EOF {
		return nil
	}
	return err
}

// isOwn reports whether the program writes a file itself, by whatever links its folder is reached.
func (s *Set) isOwn(path string) bool {
	return slices.ContainsFunc(s.cfg.Own, func(own string) bool {
		return own == path || filepath.Base(own) == filepath.Base(path) && s.disk.resolved(filepath.Dir(own)) == s.disk.resolved(filepath.Dir(path))
	})
}

func isPattern(path string) bool { return strings.ContainsAny(path, "*?[") }

// asked reports whether a path is one of those that are followed, also when nothing is there.
func (s *Set) asked(path string) bool {
	return s.plain[path] || s.plain[filepath.Dir(path)] || slices.ContainsFunc(s.patterns, func(p string) bool {
		match, _ := filepath.Match(p, path)
		return match
	})
}

// absent tells of a path once.
func (s *Set) absent(path string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		if !s.cfg.Follow {
			s.tell(path, "no such file")
		} else if _, told := s.current[path]; !told && s.said[path] == "" {
			s.cfg.Log.Warn("waiting for the file to appear", "file", path)
			s.current[path] = nil
		}
		return
	}
	s.tell(path, cause(err))
}

// cause leaves out what the message has already.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

func (s *Set) tell(path, fault string) {
	if s.said[path] == fault {
		return
	}
	s.said[path] = fault
	s.warnUnreadable(path, fault, false)
}

// warnUnreadable says that a file cannot be read, unless it only waits for others.
func (s *Set) warnUnreadable(name, fault string, final bool) {
	if s.waits(fault) {
		return
	}
	text := "a file cannot be read; the others continue"
	switch {
	case s.cfg.Follow && final:
		text = "a file cannot be read; it is tried again when it has another beginning, the others continue"
	case s.cfg.Follow:
		text = "a file cannot be read; it is tried again, the others continue"
	}
	s.cfg.Log.Warn(text, "file", name, "error", fault)
}

const noRegularFile = "is no regular file"

// NoFile is one of the paths that were given which leads to a pipe, a device or the like; "" for none.
func (s *Set) NoFile() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, path := range s.cfg.Paths {
		if s.said[path] == noRegularFile {
			return path
		}
	}
	return ""
}

// canBeRead takes back what was said about a path.
func (s *Set) canBeRead(path string) {
	if fault := s.said[path]; fault != "" {
		s.warnReadable(path, fault)
		delete(s.said, path)
	}
}

// warnReadable says that a file of which that was said can be read again.
func (s *Set) warnReadable(name, fault string) {
	if !s.waits(fault) {
		s.cfg.Log.Warn("a file can be read again", "file", name)
	}
}
