//go:build unix && !linux

package spool

import "os"

func lockForProcess(f *os.File) (unlock func(), err error) { return lockWhole(f) }
