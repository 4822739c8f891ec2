package main

/*
#include "entry.h"
*/
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

func options(q *call) (opts []dataproxy.Option) {
	for _, o := range unsafe.Slice(q.options, int(q.count)) {
		opts = append(opts, dataproxy.WithOption(C.GoString(o.key), C.GoString(o.value)))
	}
	if q.asks {
		opts = append(opts, dataproxy.WithAuth(hostAuth{q.handle}))
	}
	return opts
}

func newClient(q *call) C.int {
	// A registry of its own: two clients of one name do not share series.
	c := &client{handle: uintptr(q.handle), logLevel: q.log_level, registry: prometheus.NewRegistry()}
	made, fault := dataproxy.NewClient(append([]dataproxy.Option{
		c.logger(),
		dataproxy.WithMetricsRegistry(c.registry),
		dataproxy.WithResultHandler(c.results),
	}, options(q)...)...)
	if fault != nil {
		return failNew(q, fault)
	}
	c.core = made.(dataproxy.Embedder)
	slotOf(q.handle).Store(c)
	q.intake = c.intake()
	go c.takeAll()
	return C.INLONG_OK
}

// failNew tells options that can never work from a cluster that could not be reached.
func failNew(q *call, err error) C.int {
	if errors.Is(err, dataproxy.ErrNoEndpoint) || errors.Is(err, dataproxy.ErrNoAvailableWorker) {
		return fail(q, C.INLONG_ERR_NEW_CONN_FAILED, err.Error())
	}
	return fail(q, C.INLONG_ERR_OPTION, err.Error())
}

func (c *client) flush(q *call) C.int {
	bounded, cancel := timeout(q.timeout_ms)
	defer cancel()
	ctx, giveUp := context.WithCancelCause(bounded)
	defer giveUp(nil)
	go c.watchQueue(ctx, giveUp)
	switch fault := c.core.Flush(ctx); {
	case fault == nil:
		return C.INLONG_OK
	case context.Cause(ctx) == errStuck:
		return fail(q, C.INLONG_ERR_QUEUE_FULL, errStuck.Error())
	default:
		return failError(q, fault)
	}
}

var errStuck = &dataproxy.Error{Code: dataproxy.CodeQueueFull, Message: "of results, and nobody polls: take results, then flush again"}

// watchQueue ends a flush that can only wait. The flush itself is one, however long it takes: begun anew it would wait for the messages
// that were sent meanwhile, too.
func (c *client) watchQueue(ctx context.Context, giveUp context.CancelCauseFunc) {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for polls := C.uint64_t(math.MaxUint64); ; {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if C.inlong_host_stuck(C.uintptr_t(c.handle), &polls) {
				giveUp(errStuck)
			}
		}
	}
}

func (c *client) ready(q *call) C.int {
	ctx, cancel := timeout(q.timeout_ms)
	defer cancel()
	switch fault := c.core.Ready(ctx); {
	case fault == nil:
		return C.INLONG_OK
	case errors.Is(fault, dataproxy.ErrClosed):
		return failError(q, fault)
	default:
		return fail(q, C.INLONG_ERR_NEW_CONN_FAILED, fault.Error())
	}
}

func (c *client) close(q *call) (code C.int) {
	defer func() {
		if code != C.INLONG_ERR_WORKER_BUSY {
			slotOf(q.handle).CompareAndSwap(c, nil)
		}
	}()
	if q.timeout_ms < 0 {
		c.core.Close() // bounded by the send timeout; the call below then only fetches the report
	}
	ctx, cancel := timeout(q.timeout_ms)
	defer cancel()
	got, fault := c.core.Shutdown(ctx)
	if q.report != nil {
		fillReport(q.report, got)
	}
	if errors.Is(fault, dataproxy.ErrWorkerBusy) { // inside a callback
		go c.finishClose()
	}
	if fault != nil {
		return failError(q, fault)
	}
	return C.INLONG_OK
}

// finishClose waits for a close that was begun inside a callback.
func (c *client) finishClose() {
	defer func() { _ = recover() }() // the client is poisoned, and nobody waits for it
	_, _ = c.core.Shutdown(context.Background())
	handle := C.uintptr_t(c.handle)
	slotOf(handle).CompareAndSwap(c, nil)
	C.inlong_host_closed(handle)
}

func fillReport(to *C.inlong_close_report, from dataproxy.CloseReport) {
	to.acked, to.failed = C.int64_t(from.Acked), C.int64_t(from.Failed)
	to.unsent, to.uncalled = C.int64_t(from.Unsent), C.int64_t(from.Uncalled)
	i := 0
	for code, n := range from.ByCode {
		if i < len(to.by_code) && n > 0 {
			to.by_code[i].code, to.by_code[i].count = C.int64_t(code), C.int64_t(n)
			i++
		}
	}
}

func (c *client) stats(q *call) C.int {
	stats, fault := json.Marshal(c.core.Stats())
	if fault != nil {
		return fail(q, C.INLONG_ERR_INTERNAL, fault.Error())
	}
	return copyOut(q, string(stats))
}

func (c *client) metrics(q *call) C.int {
	families, fault := c.registry.Gather()
	var text strings.Builder
	for _, family := range families {
		if fault == nil {
			_, fault = expfmt.MetricFamilyToText(&text, family)
		}
	}
	if fault != nil {
		return fail(q, C.INLONG_ERR_INTERNAL, fault.Error())
	}
	return copyOut(q, text.String())
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
