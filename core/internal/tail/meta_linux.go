package tail

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func metaOf(info fs.FileInfo) meta {
	m := plainMeta(info)
	if own, ok := info.Sys().(*syscall.Stat_t); ok {
		m.Dev, m.Ino, m.links = own.Dev, own.Ino, uint64(own.Nlink)
	}
	return m
}

// born returns when an open file was made, 0 if that is not known. It costs a call of its own, so that only files that are met are asked.
func born(f *os.File) int64 {
	var s unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &s); err != nil || s.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return s.Btime.Sec*1e9 + int64(s.Btime.Nsec)
}

// bornAt is born of the file at a path, if that has the number. It may be one that must not be opened.
func bornAt(path string, number key) int64 {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &s); err != nil || s.Mask&unix.STATX_BTIME == 0 ||
		number != (key{unix.Mkdev(s.Dev_major, s.Dev_minor), s.Ino}) {
		return 0
	}
	return s.Btime.Sec*1e9 + int64(s.Btime.Nsec)
}
