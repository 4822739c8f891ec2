package spool

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
)

// processName names this process and no other, also after a restart of the machine or of a container, where numbers of processes come
// again. It is the same for all runtimes in the process.
var processName = sync.OnceValue(func() string {
	started := startOf(readStat())
	if started == "" { // only clients of this runtime know each other then
		started = rand.Text()
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	return fmt.Sprintf("%d %s %s %s\n", os.Getpid(), started, bytes.TrimSpace(boot), namespace)
})

func readStat() []byte {
	stat, _ := os.ReadFile("/proc/self/stat")
	return stat
}

// startOf returns when the process of a line of /proc/PID/stat started: field 22. The second one, its name in brackets, may have blanks.
func startOf(stat []byte) string {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return ""
	}
	return string(fields[19])
}
