package main

import (
	"fmt"
	"syscall"
)

// available refuses what rests on Unix: a file that is open here cannot be renamed, and so not rotated, and the lock and the replacing
// of the state file are other ones.
func available(flag string) error {
	return fmt.Errorf("%s is not available on Windows", flag)
}

func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
