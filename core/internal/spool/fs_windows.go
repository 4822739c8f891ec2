package spool

// SyncDir does nothing: Windows has no such call, and keeps names with its own journal.
func (osFS) SyncDir(string) error { return nil }
