package main

/*
#include "entry.h"
*/
import "C"

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	_ "unsafe" // go:linkname
)

// patched is set by the runtime that capi/runtime_overlay makes. Another one does not know the name, and it is this package's own.
//
//go:linkname patched runtime.inlongMark
var patched uint32

// stock is what a build says that is to go without that runtime, see stock.go.
var stock bool

func runtimeKind() C.int {
	switch {
	case patched != 0:
		return C.INLONG_CORE_PATCHED
	case stock:
		return C.INLONG_CORE_STOCK
	}
	return C.INLONG_CORE_UNMARKED
}

func setRuntime(gcPercent, memoryLimit C.int64_t) C.int {
	if gcPercent != 0 {
		debug.SetGCPercent(int(gcPercent))
	}
	switch {
	case memoryLimit < 0:
		debug.SetMemoryLimit(math.MaxInt64)
	case memoryLimit > 0:
		debug.SetMemoryLimit(int64(memoryLimit))
	}
	return C.INLONG_OK
}

// runtimeSetting asks the runtime itself: the environment may have set it too.
func runtimeSetting(setting C.size_t) C.int64_t {
	name := "/gc/gogc:percent"
	if setting == C.INLONG_RUNTIME_MEMORY_LIMIT {
		name = "/gc/gomemlimit:bytes"
	}
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 || sample[0].Value.Uint64() >= math.MaxInt64 {
		return -1
	}
	return C.int64_t(sample[0].Value.Uint64())
}
