package main

import (
	"fmt"
	"syscall"
	"time"
)

// available refuses what rests on Unix: a file that is open here cannot be renamed, and so not rotated, and the lock and the replacing
// of the state file are other ones.
func available(flag string) error {
	return fmt.Errorf("%s is not available on Windows", flag)
}

func cpuTime() time.Duration {
	var created, ended, system, user syscall.Filetime
	process, err := syscall.GetCurrentProcess()
	if err != nil || syscall.GetProcessTimes(process, &created, &ended, &system, &user) != nil {
		return 0
	}
	return spent(system) + spent(user)
}

// spent is a time of 100 ns steps as a duration.
func spent(t syscall.Filetime) time.Duration {
	return time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime)) * 100
}

func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
