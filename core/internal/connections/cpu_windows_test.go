package connections

import "time"

var started = time.Now()

// cpuTime is the time that passes.
func cpuTime() time.Duration { return time.Since(started) }
