package main

import "golang.org/x/sys/unix"

// diskOf returns how many bytes a program may still write to the file system of a folder, 0 where that is not known, and its kind where
// that matters: "tmpfs" or "nfs".
func diskOf(dir string) (free int64, kind string) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return 0, ""
	}
	switch int64(s.Type) {
	case unix.TMPFS_MAGIC:
		kind = "tmpfs"
	case unix.NFS_SUPER_MAGIC:
		kind = "nfs"
	}
	return int64(s.Bavail) * int64(s.Bsize), kind
}
