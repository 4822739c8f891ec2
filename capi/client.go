package main

/*
#include "front/core_abi.h"
*/
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

//export coreClientNew
func coreClientNew(handle C.uintptr_t, options *C.inlong_core_option, count C.size_t, host C.inlong_core_host, err C.inlong_core_text) (code C.int) {
	defer guardAll(&code, err)
	// A registry of its own: two clients of one name do not share series.
	c := &client{handle: uintptr(handle), host: host, registry: prometheus.NewRegistry()}
	opts := []dataproxy.Option{
		c.logger(),
		dataproxy.WithMetricsRegistry(c.registry),
		dataproxy.WithResultHandler(c.results),
	}
	for _, o := range unsafe.Slice(options, int(count)) {
		opts = append(opts, dataproxy.WithOption(strings.Clone(zeroTerminated(o.key)), strings.Clone(zeroTerminated(o.value))))
	}
	var made dataproxy.FullClient
	if fault := elsewhere(func() (err error) { made, err = dataproxy.NewClient(opts...); return err }); fault != nil {
		return failNew(err, fault)
	}
	c.core = made.(dataproxy.Embedder)
	slotOf(handle).Store(c)
	go c.takeAll()
	return C.INLONG_OK
}

// failNew tells options that can never work from a cluster that could not be reached.
func failNew(to C.inlong_core_text, err error) C.int {
	var p panicked
	switch {
	case errors.As(err, &p):
		return failPanic(to, p.value)
	case errors.Is(err, dataproxy.ErrNoEndpoint), errors.Is(err, dataproxy.ErrNoAvailableWorker):
		return fail(to, C.INLONG_ERR_NEW_CONN_FAILED, err.Error())
	}
	return fail(to, C.INLONG_ERR_OPTION, err.Error())
}

//export coreClientFlush
func coreClientFlush(handle C.uintptr_t, timeoutMS C.int64_t, err C.inlong_core_text) (code C.int) {
	c, code := open(handle, err)
	if c == nil {
		return code
	}
	defer guard(c, &code, err)
	c.testHook()
	ctx, cancel := timeout(timeoutMS)
	defer cancel()
	if fault := c.core.Flush(ctx); fault != nil {
		return failError(err, fault)
	}
	return C.INLONG_OK
}

//export coreClientReady
func coreClientReady(handle C.uintptr_t, timeoutMS C.int64_t, err C.inlong_core_text) (code C.int) {
	c, code := open(handle, err)
	if c == nil {
		return code
	}
	defer guard(c, &code, err)
	c.testHook()
	ctx, cancel := timeout(timeoutMS)
	defer cancel()
	switch fault := c.core.Ready(ctx); {
	case fault == nil:
		return C.INLONG_OK
	case errors.Is(fault, dataproxy.ErrClosed):
		return failError(err, fault)
	default:
		return fail(err, C.INLONG_ERR_NEW_CONN_FAILED, fault.Error())
	}
}

//export coreClientClose
func coreClientClose(handle C.uintptr_t, timeoutMS C.int64_t, report *C.inlong_close_report, err C.inlong_core_text) (code C.int) {
	c := slotOf(handle).Load()
	if c == nil || c.handle != uintptr(handle) {
		_, code := open(handle, err)
		return code
	}
	defer func() {
		if code != C.INLONG_ERR_WORKER_BUSY {
			slotOf(handle).CompareAndSwap(c, nil)
		}
	}()
	defer guard(c, &code, err) // a poisoned client is closed as far as that goes
	if timeoutMS < 0 {
		c.core.Close() // bounded by the send timeout; the call below then only fetches the report
	}
	ctx, cancel := timeout(timeoutMS)
	defer cancel()
	got, fault := c.core.Shutdown(ctx)
	fillReport(report, got)
	if errors.Is(fault, dataproxy.ErrWorkerBusy) { // inside a callback
		go c.finishClose()
	}
	if fault != nil {
		return failError(err, fault)
	}
	return C.INLONG_OK
}

// finishClose waits for a close that was begun inside a callback.
func (c *client) finishClose() {
	var code C.int
	defer guardAll(&code, C.inlong_core_text{})
	_, _ = c.core.Shutdown(context.Background())
	slotOf(C.uintptr_t(c.handle)).CompareAndSwap(c, nil)
	c.closed()
}

func fillReport(to *C.inlong_close_report, from dataproxy.CloseReport) {
	*to = C.inlong_close_report{
		acked:    C.int64_t(from.Acked),
		failed:   C.int64_t(from.Failed),
		unsent:   C.int64_t(from.Unsent),
		uncalled: C.int64_t(from.Uncalled),
	}
	i := 0
	for code, n := range from.ByCode {
		if i < len(to.by_code) && n > 0 {
			to.by_code[i].code, to.by_code[i].count = C.int64_t(code), C.int64_t(n)
			i++
		}
	}
}

//export coreClientStats
func coreClientStats(handle C.uintptr_t, buf *C.char, size C.size_t, err C.inlong_core_text) (code C.int) {
	c, code := open(handle, err)
	if c == nil {
		return code
	}
	defer guard(c, &code, err)
	c.testHook()
	stats, fault := json.Marshal(c.core.Stats())
	if fault != nil {
		return fail(err, C.INLONG_ERR_INTERNAL, fault.Error())
	}
	return copyOut(buf, size, string(stats))
}

//export coreClientMetrics
func coreClientMetrics(handle C.uintptr_t, buf *C.char, size C.size_t, err C.inlong_core_text) (code C.int) {
	c, code := open(handle, err)
	if c == nil {
		return code
	}
	defer guard(c, &code, err)
	c.testHook()
	families, fault := c.registry.Gather()
	var text strings.Builder
	for _, family := range families {
		if fault == nil {
			_, fault = expfmt.MetricFamilyToText(&text, family)
		}
	}
	if fault != nil {
		return fail(err, C.INLONG_ERR_INTERNAL, fault.Error())
	}
	return copyOut(buf, size, text.String())
}

func timeout(ms C.int64_t) (context.Context, context.CancelFunc) {
	if ms < 0 {
		return context.Background(), func() {}
	}
	return context.WithTimeout(context.Background(), duration(ms))
}

// duration keeps a huge number of milliseconds from overflowing.
func duration(ms C.int64_t) time.Duration {
	return time.Duration(min(int64(ms), int64(100*365*24*time.Hour/time.Millisecond))) * time.Millisecond
}

type panicked struct{ value any }

func (panicked) Error() string { return "panic" }

// elsewhere runs f on a goroutine of its own: one that a C thread came in on runs with that thread's signal mask, and a
// write to a broken connection would raise SIGPIPE there.
func elsewhere(f func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- panicked{r}
			}
		}()
		done <- f()
	}()
	return <-done
}
