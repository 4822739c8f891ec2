package main

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// steps are the changes that the store makes to the disk. The process can end before each, and in the middle of a write.
var steps = []string{
	"create segment", "create acks", "create copy", "write segment", "write acks", "write copy", "sync segment", "sync acks", "sync copy",
	"sync folder", "remove segment", "remove acks", "remove copy", "rename copy", "cut segment", "cut acks",
}

// failpoint ends the process at a step.
type failpoint struct {
	step  string
	left  atomic.Int64      // it is reached that often
	after bool              // the step is done first; a write, half of it
	fails string            // a step that fails once: the second time that it is reached
	came  atomic.Int64      // how often it was reached
	met   func(step string) // nil, or called for each step
	busy  atomic.Int64      // ns since 1970: since when acks are being recorded; 0: they are not
}

// recording notes that acks wait for the disk, until the function that it returns is called.
func (p *failpoint) recording(step string) (done func()) {
	if !strings.HasSuffix(step, "acks") && step != "remove segment" {
		return func() {}
	}
	p.busy.Store(time.Now().UnixNano())
	return func() { p.busy.Store(0) }
}

// waits is for how long acks have been waiting for the disk now.
func (p *failpoint) waits() time.Duration {
	if since := p.busy.Load(); since != 0 {
		return time.Duration(time.Now().UnixNano() - since)
	}
	return 0
}

var errInjected = errors.New("a fault of the disk, made by the test")

// reach is called at each step.
func (p *failpoint) reach(step string, do, half func() error) error {
	if p.met != nil {
		p.met(step)
	}
	defer p.recording(step)()
	if step == p.fails && p.came.Add(1) == 2 {
		_ = half()
		return errInjected
	}
	if step == p.step && p.left.Add(-1) == 0 {
		if p.after {
			_ = half()
		}
		die()
	}
	return do()
}

// die is SIGKILL: nothing of the process runs any more.
func die() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		os.Exit(1)
	}
	select {}
}

// what names a file by what it is.
func what(path string) string {
	switch {
	case strings.HasSuffix(path, ".seg"):
		return "segment"
	case strings.HasSuffix(path, ".ack"):
		return "acks"
	}
	return "copy"
}

// failingDisk is a file system with a failpoint.
type failingDisk struct {
	spool.FS
	point *failpoint
}

func nothing() error { return nil }

func (d failingDisk) Create(path string) (f spool.File, err error) {
	create := func() error {
		f, err = d.FS.Create(path)
		return err
	}
	err = d.point.reach("create "+what(path), create, create)
	return failingFile{f, what(path), d.point}, err
}

func (d failingDisk) Append(path string) (spool.File, error) {
	done := d.point.recording("append " + what(path))
	f, err := d.FS.Append(path)
	done()
	return failingFile{f, what(path), d.point}, err
}

func (d failingDisk) Rename(from, to string) error {
	rename := func() error { return d.FS.Rename(from, to) }
	return d.point.reach("rename "+what(from), rename, rename)
}

func (d failingDisk) Remove(path string) error {
	remove := func() error { return d.FS.Remove(path) }
	return d.point.reach("remove "+what(path), remove, remove)
}

func (d failingDisk) SyncDir(dir string) error {
	sync := func() error { return d.FS.SyncDir(dir) }
	return d.point.reach("sync folder", sync, sync)
}

type failingFile struct {
	spool.File
	what  string
	point *failpoint
}

func (f failingFile) Write(p []byte) (n int, err error) {
	write := func(p []byte) func() error {
		return func() error {
			n, err = f.File.Write(p)
			return err
		}
	}
	err = f.point.reach("write "+f.what, write(p), write(p[:len(p)/2]))
	return n, err
}

func (f failingFile) Sync() error { return f.point.reach("sync "+f.what, f.File.Sync, nothing) }

func (f failingFile) Truncate(size int64) error {
	cut := func() error { return f.File.Truncate(size) }
	return f.point.reach("cut "+f.what, cut, cut)
}
