package main

/*
#include "entry.h"
*/
import "C"

import (
	"errors"
	"unsafe"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// results hands the result of a batch to the front: one call of C, whatever the number of messages.
func (c *client) results(r *dataproxy.BatchResult) {
	var out C.inlong_result
	out.struct_size = C.sizeof_inlong_result
	if r.Err != nil {
		fillError(&out, r.Err)
	} else {
		var id [len(out.batch_id)]byte
		fillAck(&out, r.Node, unsafe.String(&id[0], len(r.AppendBatchID(id[:0]))), r.Attempts)
	}
	// A Tag and an inlong_core_tag are the same two words.
	tags := (*C.inlong_core_tag)(unsafe.Pointer(unsafe.SliceData(r.Tags)))
	C.inlong_host_deliver(C.uintptr_t(c.handle), tags, C.size_t(len(r.Tags)), &out)
}

func fillAck(out *C.inlong_result, node, batchID string, attempts int) {
	out.code = C.INLONG_OK
	out.persisted = C.INLONG_ACKED
	out.attempts = C.int32_t(attempts)
	copyText(out.node[:], node)
	copyText(out.batch_id[:], batchID)
}

func fillError(out *C.inlong_result, e *dataproxy.Error) {
	out.code = C.int32_t(e.Code)
	out.server_code = C.int32_t(e.ServerCode)
	out.persisted = C.int32_t(e.Persisted())
	out.attempts = C.int32_t(e.Attempts)
	if e.Retriable() {
		out.retriable = 1
	}
	copyText(out.node[:], e.Node)
	copyText(out.batch_id[:], e.BatchID)
	copyError(out.text[:], e.Error())
	copyText(out.server_message[:], e.ServerMessage)
}

func asError(err error) *dataproxy.Error {
	var e *dataproxy.Error
	if errors.As(err, &e) {
		return e
	}
	return &dataproxy.Error{Code: dataproxy.CodeUnknown, Message: err.Error()}
}
