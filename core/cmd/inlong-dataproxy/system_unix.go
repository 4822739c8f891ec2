//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// available says whether this system has what a flag rests on.
func available(string) error { return nil }

// cpuTime returns what this process has used.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// ownGroup keeps a Ctrl-C of the terminal from a process that is started.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// inode is the file's number, by which it is known under another name.
func inode(info os.FileInfo) uint64 {
	if own, ok := info.Sys().(*syscall.Stat_t); ok {
		return own.Ino
	}
	return 0
}

// lockFile fails where another process has locked it. The lock ends with this process, however that ends.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// replaceFile replaces a file at once, by one that it writes beside it.
func replaceFile(path string, data []byte, mode os.FileMode) error {
	return renameio.WriteFile(path, data, mode, renameio.WithTempDir(filepath.Dir(path)))
}
