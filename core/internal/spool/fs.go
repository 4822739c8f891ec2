package spool

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// FS is what the store needs of a file system. Tests use others, which fail, or lose what was not synced.
type FS interface {
	// Create makes a file that must not exist, for appending and reading.
	Create(path string) (File, error)
	// Append opens an existing file for appending.
	Append(path string) (File, error)
	// Open opens a file for reading.
	Open(path string) (File, error)
	// List returns the names of the files in a folder, in order, without folders and pipes.
	List(dir string) ([]string, error)
	// Mkdir makes a folder unless it exists.
	Mkdir(path string) error
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
}

// File is an open file of an FS.
type File interface {
	io.ReaderAt
	io.Closer
	// Write appends.
	Write(p []byte) (int, error)
	Truncate(size int64) error
	Sync() error
	// Size fails with fs.ErrNotExist if the file was removed or moved away.
	Size() (int64, error)
}

// Disk is used if Options names none. Only a program that tests the store sets another one, before it opens a spool.
var Disk FS = osFS{}

// osFS is the real one. It uses no memory map: a full or broken disk must be an error, not a signal that ends the process.
type osFS struct{}

type osFile struct{ *os.File }

// Size does not ask the open file: a file that was moved away exists, and NFS and FUSE keep a removed file, under another name,
// while it is open.
func (f osFile) Size() (int64, error) {
	info, err := os.Stat(f.Name())
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// openFile opens a file, and nothing else that has its name: opening a pipe would wait for ever.
func openFile(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("it is no regular file")}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (osFS) open(path string, flags int) (File, error) {
	f, err := openFile(path, flags)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (o osFS) Create(path string) (File, error) {
	return o.open(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL)
}
func (o osFS) Append(path string) (File, error) {
	return o.open(path, os.O_RDWR|os.O_APPEND)
}
func (o osFS) Open(path string) (File, error) { return o.open(path, os.O_RDONLY) }

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if t := e.Type(); t.IsRegular() || t == fs.ModeSymlink {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (osFS) Mkdir(path string) error {
	if err := os.Mkdir(path, 0o700); !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "mkdir", Path: path, Err: errors.New("a file of this name is in the way")}
	}
	return err
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(path string) error     { return os.Remove(path) }
