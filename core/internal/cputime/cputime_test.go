package cputime

import (
	"testing"
	"time"
)

// All that is measured by it would pass if it stood still.
func TestUsedGrowsWithWork(t *testing.T) {
	before, x := Total(), 1
	for end := time.Now().Add(time.Minute); Total() <= before; x += x {
		if time.Now().After(end) {
			t.Fatalf("%v are used, as before a minute of work (%d)", before, x)
		}
	}
}
