//go:build unix

package spool

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lockSlot takes a lock that belongs to this process, not to the open file: a child that was forked holds no part of it, and lives on
// without keeping a dead owner's slot from being adopted.
func lockSlot(path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
	if err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, ErrBusy
		}
		return nil, cannotLock(err)
	}
	return func() { _ = f.Close() }, nil
}

// lockFolder takes a lock that also keeps clients of one process from each other.
func lockFolder(path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrBusy
		}
		return nil, cannotLock(err)
	}
	return func() {
		_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // a child forked meanwhile has the open file, too, and would hold it
		_ = f.Close()
	}, nil
}

func cannotLock(err error) error {
	return fmt.Errorf("the file system gives no lock, without which a folder cannot be shared: %w", err)
}
