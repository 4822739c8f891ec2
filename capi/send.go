package main

/*
#include "entry.h"
*/
import "C"

import (
	"context"
	"fmt"
	"strings"
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
			return fmt.Errorf("attribute %.64q is given twice", key)
		}
	}
	return nil
}

// readAttributes takes those that the front has found to be good.
func (s *scratch) readAttributes(text string) {
	if s.attributes == nil {
		s.attributes = make(map[string]string)
	}
	clear(s.attributes)
	for pair := range strings.SplitSeq(text, "&") {
		key, value, _ := strings.Cut(pair, "=")
		s.attributes[key] = value
	}
	s.msg.Attributes = s.attributes
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

// submit gives the core messages, and tells what it holds then.
func (c *client) submit(q *call) C.int {
	s := scratches.Get().(*scratch)
	defer s.free()
	var fault error
	if q.kind == C.INLONG_CALL_SUBMIT_MANY {
		fault = s.submitMany(c, q)
	} else {
		fault = s.submitPacked(c, q)
	}
	q.intake = c.intake()
	if fault != nil {
		return failError(q, fault)
	}
	return C.INLONG_OK
}

func (s *scratch) submitMany(c *client, q *call) error {
	all := unsafe.Slice(q.message, int(q.count))
	var group, stream lastText
	for i := 0; i < len(all); {
		m := all[i] // the array is the caller's
		m.group_id_len = group.length(m.group_id, m.group_id_len)
		m.stream_id_len = stream.length(m.stream_id, m.stream_id_len)
		if fault := s.load(&m); fault != nil {
			return fault
		}
		n := alike(all[i:min(len(all), i+atOnce)])
		for j := range n {
			next := &all[i+j]
			user := *(*uintptr)(unsafe.Pointer(&next.user)) // never as a pointer: it may be any number
			if user == 0 {
				user = uintptr(q.tag.b)
			}
			s.payloads[j] = unsafe.Slice((*byte)(next.payload), int(next.payload_len))
			s.tags[j] = dataproxy.Tag{A: uintptr(q.tag.a), B: user}
		}
		done, fault := c.core.SubmitMany(context.Background(), &s.msg, s.payloads[:n], s.tags[:n], bool(q.bulk))
		clear(s.payloads[:n]) // the caller's memory must not be read by a collection later
		q.accepted += C.size_t(done)
		if fault != nil {
			return fault
		}
		i += n
	}
	return nil
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

func (s *scratch) submitPacked(c *client, q *call) error {
	ctx := context.Background()
	if q.timeout_ms >= 0 {
		w := &wait{Context: ctx, bound: duration(q.timeout_ms)}
		defer w.stop()
		ctx = w
	}
	if fault := s.load(q.message); fault != nil {
		return fault
	}
	done, fault := c.core.SubmitPacked(ctx, &s.msg, unsafe.Slice((*byte)(q.data), int(q.size)),
		unsafe.Slice((*uint32)(q.lengths), int(q.count)), dataproxy.Tag{A: uintptr(q.tag.a), B: uintptr(q.tag.b)}, bool(q.bulk))
	q.accepted = C.size_t(done)
	return fault
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

func (c *client) send(q *call) C.int {
	ctx, cancel := timeout(q.timeout_ms)
	defer cancel()
	s := scratches.Get().(*scratch)
	defer s.free()
	var got dataproxy.Result
	fault := s.load(q.message)
	if fault == nil {
		got, fault = c.core.SendResult(ctx, &s.msg)
	}
	if fault != nil {
		fillError(q.result, asError(fault))
		return failError(q, fault)
	}
	fillAck(q.result, got.Node, got.BatchID, got.Attempts)
	return C.INLONG_OK
}
