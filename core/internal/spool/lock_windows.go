package spool

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// lockSlot takes a lock that ends with the process.
func lockSlot(path string) (release func(), err error) {
	f, err := openFile(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if err != nil {
		_ = f.Close()
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			return nil, ErrBusy
		}
		return nil, fmt.Errorf("the file system gives no lock, without which a folder cannot be shared: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

func lockFolder(path string) (release func(), err error) { return lockSlot(path) }

func isLocked(path string) bool {
	release, err := lockSlot(path)
	if err == nil {
		release()
	}
	return errors.Is(err, ErrBusy)
}
