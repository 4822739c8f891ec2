package tail

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

const stateVersion = 2

// State is the file that says up to where each file is dealt with. It is one process's alone.
type State struct {
	path    string
	lock    *os.File
	content stateContent
	written []byte
	mark    uint64 // of what was written, so that idle files cost little
}

type stateContent struct {
	Version int         `json:"version"`
	Sum     string      `json:"sum"` // of the rest: a file that lost a part is no state
	Files   []stateFile `json:"files"`
	Ignored []ignored   `json:"ignored,omitempty"`
}

// stateFile is one file, as it was seen last.
type stateFile struct {
	Path pathname `json:"path"` // by which it was met
	Real pathname `json:"real,omitempty"`
	ID
	Head Head `json:"head"`
	Place
	Size     int64 `json:"size"`
	Modified int64 `json:"modified"`
	Aside    bool  `json:"aside,omitempty"` // another file has the path, or none
	Last     bool  `json:"last,omitempty"`  // none has, and this one had it before
	Gone     int64 `json:"gone,omitempty"`  // given up, in ns since 1970
}

// pathname is a path as JSON can hold it: one that is not UTF-8 would come back as another one.
type pathname string

type rawPathname struct {
	Base64 []byte `json:"base64"`
}

func (p pathname) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(p)) {
		return json.Marshal(string(p))
	}
	return json.Marshal(rawPathname{[]byte(p)})
}

func (p *pathname) UnmarshalJSON(data []byte) error {
	if !bytes.HasPrefix(data, []byte("{")) {
		return json.Unmarshal(data, (*string)(p))
	}
	var raw rawPathname
	err := json.Unmarshal(data, &raw)
	*p = pathname(raw.Base64)
	return err
}

// OpenState reads the file, if there is one, and locks it until Close.
func OpenState(path string) (*State, error) {
	s := &State{path: path, content: stateContent{Version: stateVersion}}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path) // a device may be read without end, a pipe not at all
	}
	// The file itself is replaced with every write, and with it would go the lock.
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(lock); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%s is in use by another run, whose lines would be sent twice", path)
	}
	s.lock = lock
	if err := s.read(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close unlocks the file.
func (s *State) Close() error { return s.lock.Close() }

// Paths are the files that belong to the state.
func (s *State) Paths() []string { return []string{s.path, s.path + ".lock"} }

func (s *State) read() error {
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s.write() // a place that cannot be written is better known now than after the first million lines
	}
	if err != nil {
		return err
	}
	const without = "without it everything is sent from the beginning"
	var content stateContent
	if err := json.Unmarshal(data, &content); err != nil {
		return fmt.Errorf("%s is no state file, or a part of it is missing: %w; %s", s.path, err, without)
	}
	if content.Version != stateVersion {
		return fmt.Errorf("%s: version %d is not %d: it is no state file, or that of another version of this program", s.path, content.Version, stateVersion)
	}
	sum := content.Sum
	if err := content.sum(); err != nil {
		return err
	}
	if sum != content.Sum {
		return fmt.Errorf("%s is damaged: its sum is %q and should be %q; %s", s.path, sum, content.Sum, without)
	}
	for _, f := range content.Files {
		if f.Offset < 0 || f.Line < 0 || f.Size < 0 || f.Head.Length < 0 || f.Head.Length > printLength {
			return fmt.Errorf("%s is damaged: its place in %s cannot be; %s", s.path, f.Path, without)
		}
	}
	s.content, s.written = content, data
	return nil
}

func (c *stateContent) sum() error {
	c.Sum = ""
	data, err := json.Marshal(c)
	c.Sum = fmt.Sprintf("%016x", xxhash.Sum64(data))
	return err
}

// write replaces the file at once: a kill at any moment leaves the old one or the new one.
func (s *State) write() error {
	if err := s.content.sum(); err != nil {
		return err
	}
	data, err := json.MarshalIndent(s.content, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if bytes.Equal(data, s.written) {
		return nil
	}
	if err := replaceFile(s.path, data); err != nil {
		return err
	}
	s.written = data
	return nil
}

// load makes the state's files known.
func (s *Set) load(state *State) {
	for _, kept := range state.content.Files {
		f := &File{live: string(kept.Path), real: string(kept.Real), head: kept.Head, at: kept.Place, size: kept.Size, modified: kept.Modified, proven: kept.Modified,
			aside: kept.Aside, latest: !kept.Aside || kept.Last, fromPast: kept.Gone == 0, start: kept.Offset}
		if kept.Gone != 0 {
			f.gone = time.Unix(0, kept.Gone)
		}
		f.progress.done = kept.Place
		f.rename()
		s.files = append(s.files, f)
		s.number(f, kept.ID)
		if c := s.current[f.live]; c == nil || !c.latest && (f.latest || c.modified < f.modified) {
			s.current[f.live] = f
			s.looked[f.live] = look{since: f.modified, again: true}
		}
	}
	for _, known := range state.content.Ignored {
		s.ignored[known.key()] = known
	}
}

// Save writes how far the files are, if that changed.
func (s *Set) Save() error {
	state := s.cfg.State
	if state == nil {
		return nil
	}
	s.mu.Lock()
	content := stateContent{Version: stateVersion, Files: make([]stateFile, 0, len(s.files))}
	mark := uint64(s.changes) + 1
	for _, f := range s.files {
		done := f.acked()
		head, at, size := f.known()
		for _, n := range []int64{done.Offset, size, head.Length} {
			mark = mark*0x9e3779b97f4a7c15 + uint64(n)
		}
		if !f.gone.IsZero() && done.Offset >= at.Offset && !f.id.known() {
			continue // the part before a truncation, and nothing of it is on its way
		}
		kept := stateFile{Path: pathname(f.live), Real: pathname(f.real), ID: f.id, Head: head, Place: done, Size: size, Modified: f.modified, Aside: f.aside}
		if s.current[f.live] == f {
			kept.Modified, kept.Last = s.since(f.live, f), f.aside
		}
		if !f.gone.IsZero() {
			kept.Gone = f.gone.UnixNano()
		}
		content.Files = append(content.Files, kept)
	}
	for _, known := range s.ignored {
		content.Ignored = append(content.Ignored, known)
	}
	s.mu.Unlock()
	if mark == state.mark {
		return nil
	}
	slices.SortFunc(content.Ignored, func(a, b ignored) int { return cmp.Compare(a.Ino, b.Ino) })
	state.content = content
	if err := state.write(); err != nil {
		return err
	}
	state.mark = mark
	return nil
}

// Places is the place of each path in a state file, for those who look from outside.
func Places(path string) (map[string]Place, error) {
	s := &State{path: path}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	if err := s.read(); err != nil {
		return nil, err
	}
	places := map[string]Place{}
	for _, f := range s.content.Files {
		if !f.Aside {
			places[string(f.Path)] = f.Place
		}
	}
	return places, nil
}
