//go:build unix

// Package cputime returns the processor time that this process has used.
package cputime

import (
	"syscall"
	"time"
)

// Used returns the processor time of the whole process since its start.
func Used() (user, system time.Duration) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}
