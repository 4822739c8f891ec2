//go:build unix

package spool

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lockSlot takes a lock that belongs to this process, not to the open file. A forked child has no part of it, so a child that lives
// on does not keep a dead owner's slot from being adopted.
func lockSlot(path string) (release func(), err error) {
	f, err := openFile(path, os.O_RDWR|os.O_CREATE)
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

// isLocked reports whether another process has the lock of a slot. It does not take it to know that: who looks for a slot at that moment
// would pass this one by.
func isLocked(path string) bool {
	f, err := openFile(path, os.O_RDONLY)
	if err != nil {
		return false
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	return unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock) == nil && lock.Type != unix.F_UNLCK
}

// lockFolder takes a lock that keeps clients of one process from each other. What keeps processes apart is the lock of a slot.
func lockFolder(path string) (release func(), err error) {
	f, err := openFile(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	unlock, err := lockForProcess(f)
	if err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EACCES) {
			return nil, ErrBusy
		}
		return nil, cannotLock(err)
	}
	return func() {
		unlock() // a child forked meanwhile has the open file, too, and would keep the lock
		_ = f.Close()
	}, nil
}

// lockWhole locks a file for all processes: also for those that have nothing to do with a child that was forked meanwhile.
func lockWhole(f *os.File) (unlock func(), err error) {
	return func() { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

func cannotLock(err error) error {
	return fmt.Errorf("the file system gives no lock, without which a folder cannot be shared: %w", err)
}
