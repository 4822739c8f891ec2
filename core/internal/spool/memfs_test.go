package spool

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// memFS is a file system in memory that knows what of it a disk must have after a power cut: what was synced, and what it may have.
type memFS struct {
	mu   sync.Mutex
	dirs map[string]*memDir
	// before is told of each change before it is made. What it returns is the error of the call; a write takes n bytes then.
	before  func(op, path string, size int) (n int, err error)
	after   func() // each change
	blind   bool   // Sync says that it synced, and does not
	handles int    // open files
}

// memDir is a folder: names as they are, as they were synced, and the changes between the two.
type memDir struct {
	now, durable map[string]*memNode
	pending      []nameChange
}

type nameChange struct {
	from, to string   // a rename; from "": to is new
	node     *memNode // what to names; nil: from is removed
}

// memNode is a file.
type memNode struct {
	now, durable []byte
	pending      []dataChange
}

// dataChange is a write, or with data nil a cut.
type dataChange struct {
	off  int64
	data []byte
}

func newMemFS(dir string) *memFS {
	return &memFS{dirs: map[string]*memDir{dir: newMemDir()}}
}

func newMemDir() *memDir {
	return &memDir{now: map[string]*memNode{}, durable: map[string]*memNode{}}
}

// ask tells of a change that is to come. The caller holds mu.
func (m *memFS) ask(op, path string, size int) (int, error) {
	if m.before == nil {
		return size, nil
	}
	return m.before(op, path, size)
}

// changed tells of one that was made. The caller holds mu.
func (m *memFS) changed() {
	if m.after != nil {
		m.after()
	}
}

func notExist(op, path string) error { return &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist} }

func (m *memFS) node(op, path string) (*memDir, *memNode, error) {
	d := m.dirs[filepath.Dir(path)]
	if d == nil || d.now[filepath.Base(path)] == nil {
		return d, nil, notExist(op, path)
	}
	return d, d.now[filepath.Base(path)], nil
}

func (m *memFS) Create(path string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, n, _ := m.node("create", path)
	if n != nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	if d == nil {
		return nil, notExist("create", path)
	}
	if _, err := m.ask("create", path, 0); err != nil {
		return nil, err
	}
	n = &memNode{}
	d.now[filepath.Base(path)] = n
	d.pending = append(d.pending, nameChange{to: filepath.Base(path), node: n})
	m.changed()
	m.handles++
	return &memFile{m, n, path}, nil
}

func (m *memFS) Append(path string) (File, error) { return m.openOld("append", path) }
func (m *memFS) Open(path string) (File, error)   { return m.openOld("open", path) }

func (m *memFS) openOld(op, path string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, n, err := m.node(op, path)
	if err != nil {
		return nil, err
	}
	if _, err := m.ask(op, path, 0); err != nil {
		return nil, err
	}
	m.handles++
	return &memFile{m, n, path}, nil
}

func (m *memFS) List(dir string) (names []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirs[dir]
	if d == nil {
		return nil, notExist("list", dir)
	}
	if _, err := m.ask("list", dir, 0); err != nil {
		return nil, err
	}
	for name := range d.now {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// Mkdir makes a folder that is there for ever: what happens to folders is not what these tests are about.
func (m *memFS) Mkdir(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[path] != nil {
		return nil
	}
	if _, err := m.ask("mkdir", path, 0); err != nil {
		return err
	}
	m.dirs[path] = newMemDir()
	return nil
}

// Rename moves a file. One to another folder is two changes, of which a power cut may keep the first, the second, both or none.
func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, n, err := m.node("rename", from)
	if err != nil {
		return err
	}
	target := m.dirs[filepath.Dir(to)]
	if target == nil {
		return notExist("rename", to)
	}
	if _, err := m.ask("rename", from, 0); err != nil {
		return err
	}
	delete(d.now, filepath.Base(from))
	target.now[filepath.Base(to)] = n
	if target == d {
		d.pending = append(d.pending, nameChange{from: filepath.Base(from), to: filepath.Base(to), node: n})
	} else {
		target.pending = append(target.pending, nameChange{to: filepath.Base(to), node: n})
		d.pending = append(d.pending, nameChange{from: filepath.Base(from)})
	}
	m.changed()
	return nil
}

func (m *memFS) Remove(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, _, err := m.node("remove", path)
	if err != nil {
		return err
	}
	if _, err := m.ask("remove", path, 0); err != nil {
		return err
	}
	delete(d.now, filepath.Base(path))
	d.pending = append(d.pending, nameChange{from: filepath.Base(path)})
	m.changed()
	return nil
}

func (m *memFS) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirs[dir]
	if d == nil {
		return notExist("syncdir", dir)
	}
	if _, err := m.ask("syncdir", dir, 0); err != nil {
		return err
	}
	if !m.blind {
		d.pending = nil
		clear(d.durable)
		for name, n := range d.now {
			d.durable[name] = n
		}
	}
	m.changed()
	return nil
}

type memFile struct {
	m    *memFS
	n    *memNode
	path string
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.handles--
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.now)), nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if _, err := f.m.ask("read", f.path, len(p)); err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Write(p []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	n, err := f.m.ask("write", f.path, len(p))
	if n > 0 {
		change := dataChange{int64(len(f.n.now)), slices.Clone(p[:n])}
		f.n.now = append(slices.Clip(f.n.now), p[:n]...)
		f.n.pending = append(f.n.pending, change)
		f.m.changed()
	}
	return n, err
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if _, err := f.m.ask("truncate", f.path, int(size)); err != nil {
		return err
	}
	if int64(len(f.n.now)) <= size {
		return nil
	}
	f.n.now = slices.Clone(f.n.now[:size])
	f.n.pending = append(f.n.pending, dataChange{off: size})
	f.m.changed()
	return nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if _, err := f.m.ask("sync", f.path, 0); err != nil {
		// As Linux does it: what could not be written is no longer dirty, so the next fsync has nothing to tell.
		f.n.pending = nil
		return err
	}
	if !f.m.blind {
		for _, c := range f.n.pending { // what an fsync that failed has lost stays lost, though it can be read
			f.n.durable = c.apply(f.n.durable, func(int) bool { return true })
		}
		f.n.pending = nil
	}
	f.m.changed()
	return nil
}

// files lists what there is, for a test's message.
func (m *memFS) files() string {
	var out []string
	for dir, d := range m.dirs {
		for name, n := range d.now {
			out = append(out, fmt.Sprintf("%s: %d bytes", filepath.Join(dir, name), len(n.now)))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
