package spool

import "io/fs"

// SyncDir does nothing: Windows has no such call, and keeps names with its own journal.
func (osFS) SyncDir(string) error { return nil }

// isRemoved is false: a file that is open cannot be removed.
func isRemoved(fs.FileInfo) bool { return false }
