// Package cputime tells what this process has used of the processors.
package cputime

import (
	"syscall"
	"time"
)

// Used returns what the whole process has used since its start.
func Used() (user, system time.Duration) {
	var created, ended, kernel, own syscall.Filetime
	process, err := syscall.GetCurrentProcess()
	if err != nil || syscall.GetProcessTimes(process, &created, &ended, &kernel, &own) != nil {
		return 0, 0
	}
	return spent(own), spent(kernel)
}

// spent is a time of 100 ns steps as a duration.
func spent(t syscall.Filetime) time.Duration {
	return time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime)) * 100
}
