//go:build unix

// Package cputime tells what this process has used of the processors.
package cputime

import (
	"syscall"
	"time"
)

// Used returns what the whole process has used since its start.
func Used() (user, system time.Duration) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}
