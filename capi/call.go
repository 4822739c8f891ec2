package main

/*
#include "entry.h"
*/
import "C"

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

func init() {
	takeEnvironment()
	go func() {
		C.inlong_core_started(runtimeKind())
		serveCalls()
	}()
}

// call is what the front asks, in the memory of a thread that waits for the answer.
type call = C.inlong_core_call

// serveCalls answers calls. Another goroutine waits for the next one meanwhile: an answer may have to be waited for.
func serveCalls() {
	for q := (*call)(nil); ; {
		if q = C.inlong_host_next(q); q == nil {
			return
		}
		if q.alone {
			go serveCalls()
		}
		serve(q)
	}
}

// client is what a handle of the front stands for.
type client struct {
	handle   uintptr
	core     dataproxy.Embedder
	logLevel C.int
	registry *prometheus.Registry
	// poisoned: a call panicked, so that nothing is known of the client's state. Later calls are refused, others' clients continue.
	poisoned  atomic.Bool
	panicNext atomic.Bool // for the tests of the guard
}

// clients is indexed by the slot in a handle; the front keeps generations apart, serve compares whole handles.
var clients [1 << C.INLONG_SLOT_BITS]atomic.Pointer[client]

func slotOf(handle C.uintptr_t) *atomic.Pointer[client] {
	return &clients[uintptr(handle)>>1&(1<<C.INLONG_SLOT_BITS-1)]
}

// serve answers one call, also beside a fault inside the library.
func serve(q *call) {
	var c *client
	defer func() {
		if r := recover(); r != nil {
			if c != nil {
				c.poisoned.Store(true)
			}
			q.code = fail(q, C.INLONG_ERR_INTERNAL, fmt.Sprintf("a fault inside the library was caught: %v", r))
		}
	}()
	if q.kind < C.INLONG_CALL_CLOSE {
		q.code = answer(q)
		return
	}
	c = slotOf(q.handle).Load()
	switch {
	case c == nil || c.handle != uintptr(q.handle):
		c = nil
		q.code = fail(q, C.INLONG_ERR_HANDLE, "not an open client: NULL, closed, or never one")
	case c.poisoned.Load() && q.kind != C.INLONG_CALL_CLOSE: // which goes as far as it can
		q.code = fail(q, C.INLONG_ERR_INTERNAL, "this client does not continue: a fault inside the library was caught before; close it")
	case bool(q.inside):
		c.core.InCallback(func() { q.code = c.answer(q) })
	default:
		q.code = c.answer(q)
	}
}

// answer is for calls on no client.
func answer(q *call) C.int {
	switch q.kind {
	case C.INLONG_CALL_RUNTIME_SET:
		return setRuntime(q.numbers[0], q.numbers[1])
	case C.INLONG_CALL_RUNTIME_GET:
		q.numbers[0] = runtimeSetting(q.count)
		return C.INLONG_OK
	case C.INLONG_CALL_ROW_ASK:
		return askRow(q)
	case C.INLONG_CALL_NEW:
		return newClient(q)
	}
	return askMock(q)
}

func (c *client) answer(q *call) C.int {
	switch q.kind {
	case C.INLONG_CALL_CLOSE:
		return c.close(q)
	case C.INLONG_CALL_TEST_PANIC:
		c.panicNext.Store(true)
		return C.INLONG_OK
	}
	c.testHook()
	switch q.kind {
	case C.INLONG_CALL_SEND:
		return c.send(q)
	case C.INLONG_CALL_READY:
		return c.ready(q)
	case C.INLONG_CALL_FLUSH:
		return c.flush(q)
	case C.INLONG_CALL_STATS:
		return c.stats(q)
	case C.INLONG_CALL_METRICS:
		return c.metrics(q)
	}
	return c.submit(q)
}

// testHook panics where the tests of the guard want it.
func (c *client) testHook() {
	if c.panicNext.CompareAndSwap(true, false) {
		panic("test")
	}
}

func fail(q *call, code C.int, text string) C.int {
	if q.err.buf != nil && q.err.len > 0 {
		copyError(unsafe.Slice(q.err.buf, int(q.err.len)), text)
	}
	return code
}
