package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// namedFailures is how many lines that failed are named one by one.
const namedFailures = 10

// notAcked decides what happens to a record that failed.
func (s *shipment) notAcked(msg dataproxy.Message, from origin, err error) {
	var e *dataproxy.Error
	if !errors.As(err, &e) {
		e = &dataproxy.Error{Code: dataproxy.CodeUnknown, Message: err.Error()}
	}
	where := fmt.Sprintf("%s line %d: ", from.Name(), from.Line())
	hopeless, ownFault := isHopeless(e), e.Code == dataproxy.CodeLogInvalid || e.Code == dataproxy.CodeLogTooLong
	kept := s.saves || s.follow // a line that may pass is sent again, now or by the next run
	switch {
	case s.failed != nil && (hopeless || !kept):
		s.keep(msg, from, e, where)
	case ownFault && kept:
		// It would fail for ever, and hold up all that come after it.
		s.count(e, where)
		s.finish(from)
	case s.again != nil && e.Code != dataproxy.CodeClosed:
		s.sendsAgain(e)
		s.again.later(msg, e, hopeless, where)
	case kept && e.Code != dataproxy.CodeClosed && !s.follow:
		s.sendsAgain(e)
		s.count(e, where)
		s.halt(&exitError{exitFailure, errNotAcked})
	case s.saves: // the next run sends it
		s.sendsAgain(e)
	default:
		s.count(e, where)
		s.finish(from)
	}
}

// sendsAgain counts a line that this run or the next one sends as a new message.
func (s *shipment) sendsAgain(e *dataproxy.Error) {
	if e.Persisted() == dataproxy.MaybeWritten {
		s.twice.Add(1)
	}
}

func (s *shipment) count(e *dataproxy.Error, where string) {
	s.lost.Add(1)
	s.failures.add(e, where)
	switch n := s.namedOnes.Add(1); {
	case n < namedFailures:
		s.log.Warn("not sent", "line", where+e.Error())
	case n == namedFailures:
		s.log.Warn("not sent; lines that fail after this one are only counted", "line", where+e.Error())
	}
}

// notKept is why lines wait for the file of --failed, nil where none does.
func (s *shipment) notKept() error {
	if s.again == nil {
		return nil
	}
	return s.again.fault()
}

// keep puts a message into the file of --failed.
func (s *shipment) keep(msg dataproxy.Message, from origin, e *dataproxy.Error, where string) {
	r := &failedRecord{Reason: e.Error(), Code: int(e.Code), File: from.Name(), Line: from.Line(), Stream: msg.StreamID}
	if msg.Payload == nil {
		r.LeftOut = from.Size()
	}
	payload := msg.Payload
	if s.again != nil {
		msg.Payload = slices.Clone(payload)
	}
	s.failed.keep(r, payload, func(err error) {
		if err != nil && s.again != nil {
			s.again.keepLater(msg, e, err)
			return
		}
		s.count(e, where)
		if err != nil {
			s.halt(&exitError{exitInput, fmt.Errorf("--failed: %w", err)})
			return
		}
		s.kept.Add(1)
		s.finish(from)
	})
}

// resender sends lines again that failed while a file is followed: an outage passes, and a stream may come to be. What is for the file of
// --failed waits in it for room there.
type resender struct {
	s *shipment

	bytes atomic.Int64 // of memory that those take which wait

	mu               sync.Mutex
	waiting          []waiting
	refused          map[string]bool // streams of which nodes refuse lines
	full             error           // why --failed did not take some of them
	told, toldUnkept time.Time
}

type waiting struct {
	msg      dataproxy.Message
	due      time.Time
	refused  *dataproxy.Error // it is not sent but kept; nil: it is sent
	hopeless bool             // nodes refuse it: of its stream one at a time is sent
}

// mostWaiting is how much memory lines may take that wait to be sent again, of all files. A variable for tests.
var mostWaiting int64 = 64 << 20

// mayBeBehind is how far a file may be read after a line that has no result.
func (s *shipment) mayBeBehind() int64 {
	if s.again != nil && s.again.bytes.Load() > mostWaiting {
		return readSize
	}
	return maxBehind
}

// ofPlace is about the memory that is kept of a line's place.
const ofPlace = 256

// size is the memory that it takes.
func (w *waiting) size() int64 { return int64(len(w.msg.Payload)) + ofPlace }

const (
	resendAfter   = time.Second
	hopelessAfter = 30 * time.Second
	tellEvery     = time.Minute
)

// later notes a message. It is called from the client, so that it does not wait.
func (r *resender) later(msg dataproxy.Message, e *dataproxy.Error, hopeless bool, where string) {
	after := resendAfter
	if hopeless {
		after = hopelessAfter
	}
	msg.Payload = slices.Clone(msg.Payload)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(waiting{msg: msg, due: time.Now().Add(after), hopeless: hopeless})
	if hopeless {
		r.refused[msg.StreamID] = true
	}
	if time.Since(r.told) >= tellEvery {
		r.told = time.Now()
		text := "not acked, and sent again until it is"
		if hopeless {
			text = "the server refuses a line; it is sent again every 30 s and holds up no other file (--failed FILE puts such lines aside)"
		}
		r.s.log.Warn(text, "line", where+e.Error(), "waiting", len(r.waiting))
	}
}

// keepLater notes a message that the file of --failed did not take: the place of the state does not pass it.
func (r *resender) keepLater(msg dataproxy.Message, refused *dataproxy.Error, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(waiting{msg: msg, due: time.Now().Add(resendAfter), refused: refused})
	r.full = why
	if time.Since(r.toldUnkept) >= tellEvery {
		r.toldUnkept = time.Now()
		r.s.log.Error("the file of --failed cannot be written; each line meant for it waits and is tried again each second", "error", why, "waiting", r.unkept())
	}
}

// fault is why lines wait for --failed, nil where none does.
func (r *resender) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.unkept()
	if n == 0 {
		return nil
	}
	return fmt.Errorf("--failed: %w; %s not kept and not passed", r.full, were(n))
}

// unkept counts those that wait for --failed. The caller holds mu.
func (r *resender) unkept() (lines int64) {
	for i := range r.waiting {
		if r.waiting[i].refused != nil {
			lines++
		}
	}
	return lines
}

// run sends what is due until ctx ends.
func (r *resender) run(ctx context.Context) {
	clock := time.NewTicker(resendAfter / 4)
	defer clock.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
		}
		due := r.due(time.Now())
		for i, w := range due {
			if ctx.Err() != nil {
				r.mu.Lock()
				r.waiting = append(r.waiting, due[i:]...)
				r.mu.Unlock()
				return
			}
			if w.refused != nil {
				r.s.notAcked(w.msg, w.msg.MetaData.(origin), w.refused)
			} else {
				r.s.client.SendBulk(ctx, w.msg, r.result)
			}
			due[i].msg.Payload = nil
			r.bytes.Add(-w.size())
		}
	}
}

// due takes out what is to be sent now. Of lines that nodes refuse it is one of each stream: all of them would leave the others little room.
func (r *resender) due(now time.Time) (due []waiting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tried := map[string]bool{}
	r.waiting = slices.DeleteFunc(r.waiting, func(w waiting) bool {
		if w.due.After(now) || w.hopeless && tried[w.msg.StreamID] {
			return false
		}
		tried[w.msg.StreamID] = tried[w.msg.StreamID] || w.hopeless
		due = append(due, w)
		return true
	})
	return due
}

// accepted has all lines of a stream sent of which one was taken now.
func (r *resender) accepted(stream string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.refused[stream] {
		return
	}
	delete(r.refused, stream)
	for i := range r.waiting {
		if w := &r.waiting[i]; w.hopeless && w.msg.StreamID == stream {
			w.hopeless, w.due = false, time.Time{}
		}
	}
}

// add has a message wait. The caller holds mu.
func (r *resender) add(w waiting) {
	r.bytes.Add(w.size())
	r.waiting = append(r.waiting, w)
}

// result is that of a line that was sent again: one that an interruption kept from being so waits on.
func (r *resender) result(msg dataproxy.Message, err error) {
	if errors.Is(err, dataproxy.ErrContextExpired) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.add(waiting{msg: msg})
		return
	}
	if err == nil {
		r.accepted(msg.StreamID)
	}
	r.s.result(msg, err)
}
