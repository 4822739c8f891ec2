package dataproxy

import "time"

var started = time.Now()

// CPUTime is the time that passes.
func CPUTime() time.Duration { return time.Since(started) }
