package main

/*
#include "front/core_abi.h"
*/
import "C"

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// client is what a handle of the front stands for.
type client struct {
	handle   uintptr
	core     dataproxy.Embedder
	host     C.inlong_core_host
	registry *prometheus.Registry
	// poisoned: a call panicked, so that nothing is known of the client's state. Later calls are refused, others' clients continue.
	poisoned  atomic.Bool
	panicNext atomic.Bool // for the tests of the guard
}

// clients is indexed by the slot in a handle; the front keeps generations apart, find compares whole handles.
var clients [1 << C.INLONG_SLOT_BITS]atomic.Pointer[client]

func slotOf(handle C.uintptr_t) *atomic.Pointer[client] {
	return &clients[uintptr(handle)>>1&(1<<C.INLONG_SLOT_BITS-1)]
}

// open returns the client of a handle, or nil and the code that says why not.
func open(handle C.uintptr_t, err C.inlong_core_text) (*client, C.int) {
	c := slotOf(handle).Load()
	if c == nil || c.handle != uintptr(handle) {
		return nil, fail(err, C.INLONG_ERR_HANDLE, "not an open client: NULL, closed, or never one")
	}
	if c.poisoned.Load() {
		return nil, fail(err, C.INLONG_ERR_INTERNAL, "this client does not continue: a fault inside the library was caught before; close it")
	}
	return c, C.INLONG_OK
}

// guard is deferred by every call on a client.
func guard(c *client, code *C.int, err C.inlong_core_text) {
	if r := recover(); r != nil {
		c.poisoned.Store(true)
		*code = failPanic(err, r)
	}
}

// guardAll is deferred by every call that has no client.
func guardAll(code *C.int, err C.inlong_core_text) {
	if r := recover(); r != nil {
		*code = failPanic(err, r)
	}
}

func failPanic(err C.inlong_core_text, r any) C.int {
	return fail(err, C.INLONG_ERR_INTERNAL, fmt.Sprintf("a fault inside the library was caught: %v", r))
}

func (c *client) testHook() {
	if c.panicNext.Load() && c.panicNext.CompareAndSwap(true, false) {
		panic("test")
	}
}

// fail writes an error text and returns the code.
func fail(err C.inlong_core_text, code C.int, text string) C.int {
	if err.buf != nil && err.len > 0 {
		copyText(unsafe.Slice(err.buf, int(err.len)), text)
	}
	return code
}

//export coreReady
func coreReady() { takeEnvironment() }

//export coreTestPanic
func coreTestPanic(handle C.uintptr_t, err C.inlong_core_text) C.int {
	c, code := open(handle, err)
	if c != nil {
		c.panicNext.Store(true)
	}
	return code
}
