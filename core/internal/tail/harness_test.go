//go:build unix

package tail

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// folder is where a test's files are.
type folder struct {
	*testing.T
	dir string
}

func newFolder(t *testing.T) *folder { return &folder{t, t.TempDir()} }

func (d *folder) path(name string) string { return filepath.Join(d.dir, name) }

func (d *folder) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *folder) add(name string, lines ...string) {
	d.Helper()
	f, err := os.OpenFile(d.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	d.must(err)
	defer f.Close()
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	d.must(err)
}

func (d *folder) rename(from, to string) { d.Helper(); d.must(os.Rename(d.path(from), d.path(to))) }
func (d *folder) remove(name string)     { d.Helper(); d.must(os.Remove(d.path(name))) }
func (d *folder) truncate(name string)   { d.Helper(); d.must(os.Truncate(d.path(name), 0)) }

func (d *folder) copy(from, to string) {
	d.Helper()
	data, err := os.ReadFile(d.path(from))
	d.must(err)
	d.must(os.WriteFile(d.path(to), data, 0o600))
}

func (d *folder) copytruncate(from, to string) { d.Helper(); d.copy(from, to); d.truncate(from) }

// pack does what gzip and zstd do: the packed file has the time of the one that it replaces.
func (d *folder) pack(name string) {
	d.Helper()
	data, err := os.ReadFile(d.path(name))
	d.must(err)
	info, err := os.Stat(d.path(name))
	d.must(err)
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err = z.Write(data)
	d.must(err)
	d.must(z.Close())
	d.must(os.WriteFile(d.path(name+".gz"), out.Bytes(), 0o600))
	d.must(os.Chtimes(d.path(name+".gz"), info.ModTime(), info.ModTime()))
	d.remove(name)
}

func zstdOf(text string) []byte {
	z, _ := zstd.NewWriter(nil)
	return z.EncodeAll([]byte(text), nil)
}

// outcome is what one run read.
type outcome struct {
	mu     sync.Mutex
	lines  []string
	losses []Loss
	faults []string
	log    strings.Builder
	save   func() error
	disk   *disk
}

func (o *outcome) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.log.Write(p)
}

func (o *outcome) got() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.lines)
}

// run is one run of a shipper over paths of the folder.
type run struct {
	paths  []string
	follow bool
	wait   time.Duration
	most   int // lines after which it is killed; 0 for none
	state  string
}

func (d *folder) open(r run, o *outcome) (*Set, *State) {
	d.Helper()
	cfg := Config{Follow: r.follow, Rotated: true, Wait: r.wait, Log: slog.New(slog.NewTextHandler(o, nil))}
	if r.state == "" {
		r.state = filepath.Join(d.dir, "state")
	}
	state, err := OpenState(r.state)
	d.must(err)
	cfg.State, cfg.Own = state, state.Paths()
	for _, p := range r.paths {
		cfg.Paths = append(cfg.Paths, d.path(p))
	}
	return Open(cfg), state
}

// once reads to the end of all, or until it is killed.
func (d *folder) once(paths ...string) *outcome { d.Helper(); return d.do(run{paths: paths}) }

func (d *folder) do(r run) *outcome {
	d.Helper()
	o := &outcome{}
	set, state := d.open(r, o)
	var c Chunk
	for f := set.Next(d.Context()); f != nil; f = set.Next(d.Context()) {
		end, err := o.take(&c, f, r.most)
		set.Release(f, end, err)
		if r.most > 0 && len(o.lines) >= r.most {
			break
		}
	}
	d.must(set.Save())
	o.losses, o.faults = set.Losses(), set.Faults()
	set.Close()
	state.Close()
	return o
}

// take reads the next part of a file, as send does.
func (o *outcome) take(c *Chunk, f *File, most int) (end bool, err error) {
	for size := 4096; ; size *= 4 {
		if err := c.Read(f, size); err != nil {
			return false, err
		}
		at, lines := 0, int64(0)
		o.mu.Lock()
		for at < len(c.Data) && (most == 0 || len(o.lines) < most) {
			i := bytes.IndexByte(c.Data[at:], '\n')
			line := c.Data[at:]
			switch {
			case i >= 0:
				line, at = line[:i], at+i+1
			case c.Last:
				at = len(c.Data)
			default:
				i = -2
			}
			if i == -2 {
				break
			}
			lines++
			o.lines = append(o.lines, string(line))
			c.Add(at, lines).Done()
		}
		o.mu.Unlock()
		c.Pass(at, lines)
		if at > 0 || c.End {
			return c.End, nil
		}
	}
}

// follow reads in the background until the returned function is called.
func (d *folder) follow(r run) (o *outcome, stop func() *outcome) {
	d.Helper()
	r.follow = true
	o = &outcome{}
	set, state := d.open(r, o)
	o.save, o.disk = set.Save, set.disk
	ctx, cancel := context.WithCancel(d.Context())
	var all sync.WaitGroup
	all.Go(func() { set.Watch(ctx) })
	for range 2 {
		all.Go(func() {
			var c Chunk
			for f := set.Next(ctx); f != nil; f = set.Next(ctx) {
				end, err := o.take(&c, f, 0)
				set.Release(f, end, err)
			}
		})
	}
	return o, func() *outcome {
		cancel()
		all.Wait()
		d.must(set.Save())
		o.losses, o.faults = set.Losses(), set.Faults()
		set.Close()
		state.Close()
		return o
	}
}

func (d *folder) eventually(what string, holds func() bool) {
	d.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			d.Fatalf("never: %s", what)
		}
	}
}

func (d *folder) arrives(o *outcome, want ...string) {
	d.Helper()
	d.eventually(fmt.Sprintf("%q came; there are %q", want, o.got()), func() bool {
		got := o.got()
		return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(got, w) })
	})
}

// same compares what came, in whatever order of the files.
func (d *folder) same(o *outcome, want ...string) {
	d.Helper()
	got := o.got()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		d.Errorf("read %q, want %q; it said:\n%s", got, want, o.log.String())
	}
}

func many(prefix string, n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("%s%05d", prefix, i))
	}
	return lines
}

// pause waits for the next tick of the file system's clock.
func pause() { time.Sleep(20 * time.Millisecond) }

func (d *folder) inode(name string) uint64 {
	d.Helper()
	m, err := inspect(d.path(name))
	d.must(err)
	return m.Ino
}

func swap[T any](t *testing.T, at *T, by T) {
	old := *at
	*at = by
	t.Cleanup(func() { *at = old })
}

// lockable returns a set of inode numbers: the files in it cannot be opened.
func lockable(t *testing.T) map[uint64]bool {
	locked := map[uint64]bool{}
	swap(t, &openFile, func(path string) (*os.File, error) {
		if m, err := inspect(path); err == nil && locked[m.Ino] {
			return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrPermission}
		}
		return os.Open(path)
	})
	return locked
}
