//go:build unix

package main

import "syscall"

// available says whether this system has what a flag rests on.
func available(string) error { return nil }

// ownGroup keeps a Ctrl-C of the terminal from a process that is started.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
