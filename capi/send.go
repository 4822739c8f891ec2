package main

/*
#include "front/core_abi.h"
*/
import "C"

import (
	"context"
	"fmt"
	"sync"
	"time"
	"unsafe"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// scratch is a message that is used again and again: one made for each call would be allocated, for it goes through an
// interface.
type scratch struct {
	msg        dataproxy.Message
	attributes map[string]string
	ofItem     map[string]string
	payloads   [atOnce][]byte
	tags       [atOnce]dataproxy.Tag
}

// atOnce is how many messages of a vector the core is given at a time.
const atOnce = 128

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) free() {
	s.msg = dataproxy.Message{}
	clear(s.attributes)
	clear(s.ofItem)
	scratches.Put(s)
}

// load makes s.msg of m. Nothing is copied: the core does that, and keeps none of it.
func (s *scratch) load(m *C.inlong_message) error {
	s.msg.GroupID = text(m.group_id, m.group_id_len)
	s.msg.StreamID = text(m.stream_id, m.stream_id_len)
	s.msg.Payload = unsafe.Slice((*byte)(m.payload), int(m.payload_len))
	s.msg.Time = time.Time{}
	if m.time_ms != 0 {
		s.msg.Time = time.UnixMilli(int64(m.time_ms))
	}
	s.msg.Attributes, s.msg.ItemAttributes = nil, nil
	if m.attribute_count > 0 {
		if err := loadAttributes(&s.attributes, m.attributes, m.attribute_count); err != nil {
			return s.invalid(err.Error())
		}
		s.msg.Attributes = s.attributes
	}
	if m.item_attribute_count > 0 {
		if err := loadAttributes(&s.ofItem, m.item_attributes, m.item_attribute_count); err != nil {
			return s.invalid("item attributes: " + err.Error())
		}
		s.msg.ItemAttributes = s.ofItem
	}
	return nil
}

// loadAttributes finds a name that is there twice, which the core's map could not show.
func loadAttributes(to *map[string]string, list *C.inlong_attribute, count C.size_t) error {
	if *to == nil {
		*to = make(map[string]string)
	}
	clear(*to)
	total := uint64(0)
	for i, a := range unsafe.Slice(list, int(count)) {
		// Before a name is hashed, which reads all of it: a wrong length may lead out of the caller's memory.
		total += uint64(a.key_len) + uint64(a.value_len) + 2
		if err := dataproxy.CheckAttributesTotal(total); err != nil {
			return err
		}
		key := attributeText(a.key, a.key_len)
		(*to)[key] = attributeText(a.value, a.value_len)
		if len(*to) == i {
			return fmt.Errorf("attribute %.64q: is given twice", key)
		}
	}
	return nil
}

func (s *scratch) invalid(text string) error {
	group, stream := s.msg.GroupID, s.msg.StreamID // not checked yet
	return &dataproxy.Error{Code: dataproxy.CodeLogInvalid, Message: text, GroupID: group[:min(len(group), 64)], StreamID: stream[:min(len(stream), 64)]}
}

// attributeText is text whose length 0 means NUL-terminated; the front resolves that for ids only.
func attributeText(p *C.char, n C.size_t) string {
	if n == 0 {
		return zeroTerminated(p)
	}
	return text(p, n)
}

//export coreClientSubmit
func coreClientSubmit(handle C.uintptr_t, m *C.inlong_message, a, b C.uintptr_t, err C.inlong_core_text) (code C.int) {
	c, code := open(handle, err)
	if c == nil {
		return code
	}
	defer guard(c, &code, err)
	c.testHook()
	s := scratches.Get().(*scratch)
	fault := s.load(m)
	if fault == nil {
		fault = c.core.Submit(context.Background(), &s.msg, dataproxy.Tag{A: uintptr(a), B: uintptr(b)})
	}
	s.free()
	if fault != nil {
		return failError(err, fault)
	}
	return C.INLONG_OK
}

//export coreClientSubmitMany
func coreClientSubmitMany(handle C.uintptr_t, messages *C.inlong_message, count C.size_t, a, b C.uintptr_t, accepted *C.size_t, err C.inlong_core_text) (code C.int) {
	c, code := open(handle, err)
	if c == nil {
		return code
	}
	defer guard(c, &code, err)
	c.testHook()
	s := scratches.Get().(*scratch)
	defer s.free()
	all := unsafe.Slice(messages, int(count))
	var group, stream lastText
	for i := 0; i < len(all); {
		m := all[i] // the array is the caller's
		m.group_id_len = group.length(m.group_id, m.group_id_len)
		m.stream_id_len = stream.length(m.stream_id, m.stream_id_len)
		if fault := s.load(&m); fault != nil {
			return failError(err, fault)
		}
		n := alike(all[i:min(len(all), i+atOnce)])
		for j := range n {
			next := &all[i+j]
			user := *(*uintptr)(unsafe.Pointer(&next.user)) // never as a pointer: it may be any number
			if user == 0 {
				user = uintptr(b)
			}
			s.payloads[j] = unsafe.Slice((*byte)(next.payload), int(next.payload_len))
			s.tags[j] = dataproxy.Tag{A: uintptr(a), B: user}
		}
		done, fault := c.core.SubmitMany(context.Background(), &s.msg, s.payloads[:n], s.tags[:n], true)
		clear(s.payloads[:n]) // the caller's memory must not be looked at by a collection later
		*accepted += C.size_t(done)
		if fault != nil {
			return failError(err, fault)
		}
		i += n
	}
	return C.INLONG_OK
}

// alike returns how many messages, from the first on, differ in payload and user only.
func alike(messages []C.inlong_message) int {
	first := &messages[0]
	if first.attribute_count != 0 || first.item_attribute_count != 0 {
		return 1
	}
	n := 1
	for ; n < len(messages); n++ {
		m := &messages[n]
		if m.group_id != first.group_id || m.group_id_len != first.group_id_len || m.stream_id != first.stream_id ||
			m.stream_id_len != first.stream_id_len || m.time_ms != first.time_ms || m.attribute_count != 0 || m.item_attribute_count != 0 {
			break
		}
	}
	return n
}

// lastText knows the length of the text before, which is nearly always the same one.
type lastText struct {
	text *C.char
	n    C.size_t
}

func (l *lastText) length(text *C.char, n C.size_t) C.size_t {
	if n == 0 && text != l.text {
		l.text, l.n = text, C.size_t(len(zeroTerminated(text)))
	}
	if n == 0 {
		return l.n
	}
	return n
}

//export coreClientSubmitPacked
func coreClientSubmitPacked(handle C.uintptr_t, model *C.inlong_message, data unsafe.Pointer, size C.size_t, lengths *C.uint32_t, count C.size_t, a, b C.uintptr_t, bulk C.int, timeoutMS C.int64_t, accepted *C.size_t, err C.inlong_core_text) (code C.int) {
	c, code := open(handle, err)
	if c == nil {
		return code
	}
	defer guard(c, &code, err)
	c.testHook()
	ctx := context.Background()
	if timeoutMS >= 0 {
		w := &wait{Context: ctx, bound: duration(timeoutMS)}
		defer w.stop()
		ctx = w
	}
	s := scratches.Get().(*scratch)
	defer s.free()
	if fault := s.load(model); fault != nil {
		return failError(err, fault)
	}
	done, fault := c.core.SubmitPacked(ctx, &s.msg, unsafe.Slice((*byte)(data), int(size)),
		unsafe.Slice((*uint32)(lengths), int(count)), dataproxy.Tag{A: uintptr(a), B: uintptr(b)}, bulk != 0)
	*accepted = C.size_t(done)
	if fault != nil {
		return failError(err, fault)
	}
	return C.INLONG_OK
}

// wait is a context that ends some time after somebody first waits on it: it bounds the wait for room, costs nothing while
// there is room, and has no deadline, which would bound the delivery too.
type wait struct {
	context.Context
	bound time.Duration
	once  sync.Once
	done  chan struct{}
	timer *time.Timer
}

func (w *wait) Done() <-chan struct{} {
	w.once.Do(func() {
		w.done = make(chan struct{})
		w.timer = time.AfterFunc(w.bound, func() { close(w.done) })
	})
	return w.done
}

func (w *wait) Err() error {
	select {
	case <-w.done: // nil, and so not ready, until somebody waits
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func (w *wait) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

//export coreClientSend
func coreClientSend(handle C.uintptr_t, m *C.inlong_message, timeoutMS C.int64_t, result *C.inlong_result, err C.inlong_core_text) (code C.int) {
	c, code := open(handle, err)
	if c == nil {
		return code
	}
	defer guard(c, &code, err)
	c.testHook()
	ctx, cancel := timeout(timeoutMS)
	defer cancel()
	s := scratches.Get().(*scratch)
	defer s.free()
	var got dataproxy.Result
	fault := s.load(m)
	if fault == nil {
		got, fault = c.core.SendResult(ctx, &s.msg)
	}
	if fault != nil {
		code = failError(err, fault)
		fillError(result, asError(fault))
		return code
	}
	fillAck(result, got.Node, got.BatchID, got.Attempts)
	return C.INLONG_OK
}
