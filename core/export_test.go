package dataproxy

import (
	"fmt"
	"time"
)

// Leftovers says what a client still holds that should be gone when every message has its result; "" is a clean client.
func Leftovers(of Client) string {
	c := of.(*client)
	var left string
	add := func(format string, args ...any) { left += fmt.Sprintf(format+"; ", args...) }
	if n, size := c.budget.messages(), c.budget.bytes(); n != 0 || size != 0 {
		add("the budget holds %d messages and %d bytes", n, size)
	}
	if n := c.budget.waiting.Load(); n != 0 {
		add("%d callers wait for room", n)
	}
	if n := len(c.batches.all()); n != 0 || c.batches.count != 0 {
		add("%d batches are registered, %d counted", n, c.batches.count)
	}
	c.streams.mu.RLock()
	defer c.streams.mu.RUnlock()
	for key, st := range c.streams.all {
		st.mu.Lock()
		if st.open != nil || st.busy || st.waiting.len() > 0 {
			add("stream %v: open %v, busy %v, %d wait", key, st.open != nil, st.busy, st.waiting.len())
		}
		st.mu.Unlock()
	}
	for _, l := range c.dispatcher.lanes {
		l.mu.Lock()
		if n := l.queue.len(); n != 0 || l.outstanding != 0 || l.writing {
			add("lane %d: %d queued, %d outstanding, writing %v", l.index, n, l.outstanding, l.writing)
		}
		l.mu.Unlock()
	}
	return left
}

// Completing returns 1 when some goroutine that calls callbacks did not end, by way of a wait that would last for ever.
func Completing(of Client) int {
	c := of.(*client)
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	if c.waitDone(&c.completing, timer.C) {
		return 0
	}
	return 1
}
