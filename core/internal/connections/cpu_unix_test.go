//go:build unix

package connections

import (
	"syscall"
	"time"
)

// cpuTime is what this process has used: what must be cheap is measured by it, since on a busy machine all takes long.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
