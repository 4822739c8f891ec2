package tail

import (
	"io/fs"
	"os"
	"syscall"
)

func metaOf(info fs.FileInfo) meta {
	m := plainMeta(info)
	if own, ok := info.Sys().(*syscall.Stat_t); ok {
		m.Dev, m.Ino, m.links = uint64(own.Dev), own.Ino, uint64(own.Nlink)
	}
	return m
}

func born(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	return bornOf(info)
}

// bornAt is born of the file at a path, if that has the number. It may be one that must not be opened.
func bornAt(path string, number key) int64 {
	info, err := os.Stat(path)
	if err != nil || metaOf(info).key() != number {
		return 0
	}
	return bornOf(info)
}

func bornOf(info fs.FileInfo) int64 {
	own, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return own.Birthtimespec.Nano()
}
