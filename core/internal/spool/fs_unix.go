//go:build unix

package spool

import (
	"io/fs"
	"os"
	"syscall"
)

// isRemoved reports whether an open file has no name any more.
func isRemoved(info fs.FileInfo) bool {
	own, ok := info.Sys().(*syscall.Stat_t)
	return ok && own.Nlink == 0
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
