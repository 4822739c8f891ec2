package spool

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
)

// processName names this process and no other, even after a restart of the machine or of a container, when process numbers are
// reused. It is the same for all runtimes in the process.
var processName = sync.OnceValue(func() string {
	started := statField(readStat(), 22)
	if started == "" { // then only clients of this runtime know each other
		started = rand.Text()
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	return fmt.Sprintf("%d %s %s %s\n", os.Getpid(), started, bytes.TrimSpace(boot), namespace)
})

// program names what this process runs, as far as the system says. An exec changes it: the process keeps its name then, but none of
// its clients.
var program = sync.OnceValue(func() string { return statField(readStat(), 28) })

// ownerText is the text that the owner of a slot writes into its file.
func ownerText() string { return processName() + program() + "\n" }

// isOwnText reports whether a client of this process wrote that, and may still exist. A runtime of an older version names no
// program.
func isOwnText(text string) bool {
	rest, own := strings.CutPrefix(text, processName())
	rest = strings.TrimSpace(rest)
	return own && (rest == "" || rest == program())
}

func readStat() []byte {
	stat, _ := os.ReadFile("/proc/self/stat")
	return stat
}

// statField returns a field of a line of /proc/PID/stat: 22 is when the process started, 28 the address of its stack, which is new
// after each exec. The second field, its name in brackets, may have blanks.
func statField(stat []byte, n int) string {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < n-2 {
		return ""
	}
	return string(fields[n-3])
}
