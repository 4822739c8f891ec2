//go:build unix

package main

import (
	"syscall"
	"time"
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
