package main

/*
#include "entry.h"
*/
import "C"

import (
	"fmt"
	"slices"
	"time"
	"unsafe"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// takeAll takes what the front has accepted until the client is closed.
func (c *client) takeAll() {
	var s scratch
	for chunk := (*C.inlong_core_chunk)(nil); ; {
		if chunk = C.inlong_host_take(C.uintptr_t(c.handle), chunk, c.intake()); chunk == nil {
			return
		}
		if chunk.count > 0 {
			s.submitChunk(c, chunk)
		}
	}
}

// How long a message may wait to be taken beside others: a small part of its linger.
const (
	shortestNap = 50 * time.Microsecond
	longestNap  = time.Millisecond
)

func (c *client) intake() C.inlong_core_intake {
	if c.poisoned.Load() {
		return C.inlong_core_intake{broken: 1, nap_ns: 1}
	}
	in := c.core.Intake()
	out := C.inlong_core_intake{messages: C.int64_t(in.MostMessages - in.Messages), most_messages: C.int64_t(in.MostMessages), bytes: C.int64_t(in.MostBytes/2 - in.Bytes), bulk: C.int64_t(in.Bulk),
		longest: C.size_t(max(0, in.LongestPayload)), nap_ns: C.int64_t(min(max(in.Linger/10, shortestNap), longestNap)),
		send_timeout_ms: C.int64_t(in.SendTimeout.Milliseconds())}
	if in.Ordered {
		out.ordered = 1
	}
	if in.Waits {
		out.waits = 1
	}
	return out
}

// submitChunk gives the core a chunk's messages. Each has one result, also beside a fault inside the library: it is not known then what
// became of those that were on their way in.
func (s *scratch) submitChunk(c *client, chunk *C.inlong_core_chunk) {
	tags := unsafe.Slice((*dataproxy.Tag)(unsafe.Pointer(&chunk.tags)), int(chunk.count))
	defer func() {
		fault := "a fault inside the library was caught before"
		if r := recover(); r != nil {
			c.poisoned.Store(true)
			fault = fmt.Sprintf("a fault inside the library was caught: %v", r)
		}
		if len(tags) > 0 { // elsewhere: a callback may flush or close, which waits for this goroutine
			tags = slices.Clone(tags)
			go c.results(&dataproxy.BatchResult{Tags: tags, Err: &dataproxy.Error{Code: C.INLONG_ERR_INTERNAL, Message: fault}})
		}
	}()
	if c.poisoned.Load() {
		return
	}
	c.testHook()
	at := time.Now().Add(-time.Duration(chunk.ago_ms) * time.Millisecond)
	data := unsafe.Slice((*byte)(unsafe.Pointer(&chunk.data)), int(chunk.used))
	lengths := chunk.lengths[:chunk.count]
	for i := range int(chunk.runs) {
		run := &chunk.run[i]
		s.msg = dataproxy.Message{GroupID: text(&run.group[0], run.group_len), StreamID: text(&run.stream[0], run.stream_len)}
		if run.attributes_len > 0 {
			s.readAttributes(text(&run.attributes[0], run.attributes_len))
		}
		if run.time_ms != 0 {
			s.msg.Time = time.UnixMilli(int64(run.time_ms))
		}
		for left := int(run.count); left > 0; {
			n := min(left, atOnce)
			for j := range n {
				s.payloads[j], data = data[:lengths[j]], data[lengths[j]:]
			}
			c.core.SubmitTaken(&s.msg, s.payloads[:n], tags[:n], at, bool(run.bulk))
			lengths, tags = lengths[n:], tags[n:]
			left -= n
		}
	}
}
