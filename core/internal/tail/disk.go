package tail

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// disk is whom the set asks about files. An answer may never come, as from a network disk whose server is dead, and the set is locked
// meanwhile. Who follows files waits for patience only. Then the folder hangs: nothing in it is asked for until that answer has come.
type disk struct {
	patience time.Duration // 0: for ever
	mu       sync.Mutex
	hung     map[string]int // answers that are missing, by folder, pattern or path
}

// diskPatience is more than a busy disk takes. A variable for tests.
var diskPatience = 3 * time.Second

var errHangs = errors.New("the disk does not answer")

type diskAnswer[T any] struct {
	value T
	err   error
}

// ask calls what may hang with key. What is opened too late is closed.
func ask[T any](d *disk, key string, call func() (T, error)) (answer T, err error) {
	if d.patience == 0 {
		return call()
	}
	d.mu.Lock()
	wait, hangs := d.patience, d.hung[key] > 0
	if len(d.hung) > 0 {
		wait /= 10 // others of that server will not answer either
	}
	d.mu.Unlock()
	if hangs {
		return answer, errHangs
	}
	came := make(chan diskAnswer[T], 1)
	go func() {
		value, err := call()
		came <- diskAnswer[T]{value, err}
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case a := <-came:
		return a.value, a.err
	case <-timer.C:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hung[key]++
	go func() {
		a := <-came
		if c, ok := any(a.value).(io.Closer); ok && a.err == nil {
			_ = c.Close()
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.hung[key]--; d.hung[key] == 0 {
			delete(d.hung, key)
		}
	}()
	return answer, errHangs
}

type inspected struct {
	meta
	err error
}

// inspectedAtOnce is how many paths one answer has: each alone would cost a follower of many idle files more than looking at them does.
const inspectedAtOnce = 50

// inspect looks at paths.
func (s *Set) inspect(paths []string) (all []inspected) {
	for len(paths) > 0 {
		key, n := s.hangsWith(paths[0]), 1
		for n < min(len(paths), inspectedAtOnce) && s.hangsWith(paths[n]) == key {
			n++
		}
		some := paths[:n]
		found, err := ask(s.disk, key, func() (found []inspected, _ error) {
			for _, path := range some {
				m, err := inspect(path)
				found = append(found, inspected{m, err})
			}
			return found, nil
		})
		if err != nil {
			found = slices.Repeat([]inspected{{err: err}}, n)
		}
		all, paths = append(all, found...), paths[n:]
	}
	return all
}

// hangsWith is the folder in which a path's file was seen, which a link may lead to; the path itself if there was no file.
func (s *Set) hangsWith(path string) string {
	if f := s.current[path]; f != nil {
		return filepath.Dir(f.real)
	}
	return path
}

func (d *disk) inspect(path string) (meta, error) {
	return ask(d, filepath.Dir(path), func() (meta, error) { return inspect(path) })
}

func (d *disk) stat(path string) (fs.FileInfo, error) {
	return ask(d, path, func() (fs.FileInfo, error) { return os.Stat(path) })
}

func (d *disk) readDir(dir string) ([]fs.DirEntry, error) {
	return ask(d, dir, func() ([]fs.DirEntry, error) { return os.ReadDir(dir) })
}

func (d *disk) openText(path string) (text, error) {
	return ask(d, path, func() (text, error) { return openText(d, path) })
}

func (d *disk) bornAt(path string, number key) int64 {
	at, _ := ask(d, path, func() (int64, error) { return bornAt(path, number), nil })
	return at
}

// resolved is a path without symbolic links, as far as there is anything.
func (d *disk) resolved(path string) string {
	real, err := ask(d, path, func() (string, error) { return filepath.EvalSymlinks(path) })
	if err != nil {
		return path
	}
	return real
}

// handle is an open file.
type handle struct {
	*os.File
	disk   *disk
	folder string // where it is, without links
}

func (d *disk) handle(f *os.File) handle {
	real, err := filepath.EvalSymlinks(f.Name())
	if err != nil {
		real = f.Name()
	}
	return handle{f, d, filepath.Dir(real)}
}

// ReadAt may still write to b when it has failed.
func (h handle) ReadAt(b []byte, off int64) (int, error) {
	return ask(h.disk, h.folder, func() (int, error) { return h.File.ReadAt(b, off) })
}

func (h handle) Stat() (fs.FileInfo, error) { return ask(h.disk, h.folder, h.File.Stat) }

func (h handle) born() int64 {
	at, _ := ask(h.disk, h.folder, func() (int64, error) { return born(h.File), nil })
	return at
}
