package spool

import (
	"errors"
	"hash/fnv"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lockForProcess locks a byte of the file that is this process's alone. Such a lock belongs to the open file, which keeps two clients of
// one process apart. Where the process is killed meanwhile, and a child that it has just forked lives on with the open file, or where it is
// stopped, the byte stays locked and nobody else wants it.
func lockForProcess(f *os.File) (unlock func(), err error) {
	hash := fnv.New64a()
	_, _ = io.WriteString(hash, processName())
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: int64(hash.Sum64() >> 2), Len: 1}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // a kernel that imitates Linux
		return lockWhole(f)
	}
	return func() {
		lock.Type = unix.F_UNLCK
		_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
	}, err
}
