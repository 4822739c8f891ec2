package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// maxLine bounds the memory that one record takes. No client can send more: it is the largest value of max_frame_size.
const maxLine = 20 << 20

// namedFailures is how many lines that failed are named one by one.
const namedFailures = 10

var (
	errInterrupted = errors.New("interrupted: what comes after the lines counted here was not sent")
	errNotAcked    = errors.New("stopped at a line that was not acked; the same command goes on from there")
)

// shipment sends the records of its inputs through one client and counts what becomes of them.
type shipment struct {
	client dataproxy.FullClient
	stream string
	format format
	inputs []*input
	follow bool
	saves  bool          // a state is kept: the order of acks matters, and a line that fails ends it
	limit  *rate.Limiter // nil for none
	log    *slog.Logger
	halt   context.CancelCauseFunc

	lines, acked, failed, skipped atomic.Int64
	doneBytes                     atomic.Int64 // of the inputs, belonging to records that have their result

	failures failures
}

func (s *shipment) counts() (acked, failed int64) { return s.acked.Load(), s.failed.Load() }

func (s *shipment) done() (n, total int64) { return s.doneBytes.Load(), totalSize(s.inputs) }

func (s *shipment) unit() string { return "lines" }

// run hands all records to the client and returns; the client's Close then waits for their results. It returns early when
// ctx ends, also when a read of an input does not end then: a terminal or pipe may never give another line. Following, it
// goes on until then.
func (s *shipment) run(ctx context.Context) error {
	finished := make(chan error, 1)
	go func() { finished <- s.sendInputs(ctx) }()
	var err error
	select {
	case err = <-finished:
	case <-ctx.Done():
		if s.readsEnd() {
			err = <-finished
		}
	}
	switch cause := context.Cause(ctx); {
	case cause != nil && !errors.Is(cause, context.Canceled):
		return cause
	case err != nil && !errors.Is(err, errStopped):
		return &exitError{exitInput, err}
	case cause != nil && !s.follow:
		return &exitError{exitInterrupted, errInterrupted}
	}
	return nil
}

// readsEnd reports whether no read takes long once ctx has ended.
func (s *shipment) readsEnd() bool { return s.follow || totalSize(s.inputs) >= 0 }

// sendInputs sends one input after the other; those that are followed have no end, so they go side by side.
func (s *shipment) sendInputs(ctx context.Context) error {
	if !s.follow {
		for _, in := range s.inputs {
			if err := s.sendInput(ctx, in); err != nil {
				return err
			}
		}
		return nil
	}
	var all sync.WaitGroup
	for _, in := range s.inputs {
		all.Go(func() {
			if err := s.sendInput(ctx, in); err != nil && !errors.Is(err, errStopped) {
				s.halt(&exitError{exitInput, err})
			}
		})
	}
	all.Wait()
	return nil
}

func (s *shipment) sendInput(ctx context.Context, in *input) error {
	if in.stdin != nil {
		_, err := s.sendRecords(ctx, in, in.stdin, position{}, nil)
		return named(in.name, err)
	}
	for src := in.nextSource(ctx, s.follow); src != nil; src = in.nextSource(ctx, s.follow) {
		last, err := s.sendSource(ctx, in, src)
		if (err == nil || errors.Is(err, errTruncated)) && (s.follow || s.saves) {
			err = in.ended(src, last, err)
		}
		src.file.Close()
		if err != nil {
			return named(src.path, err)
		}
	}
	return ctx.Err()
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

func (s *shipment) sendSource(ctx context.Context, in *input, src *source) (last position, err error) {
	// What cannot be sought, such as a named pipe, is read from where it stands.
	if src.from.Offset > 0 {
		if _, err := src.file.Seek(src.from.Offset, io.SeekStart); err != nil {
			return src.from, err
		}
	}
	var r io.Reader = src.file
	if s.follow && !src.final {
		r = &follower{ctx: ctx, file: src.file, path: in.name, at: src.from.Offset}
	}
	src.from.Modified, src.from.Inode = src.modified.UnixNano(), src.inode
	return s.sendRecords(ctx, in, r, src.from, src.head())
}

// sendRecords returns the position behind the last record that was sent, and nil at the end of the file.
func (s *shipment) sendRecords(ctx context.Context, in *input, r io.Reader, at position, head io.Reader) (position, error) {
	records, err := s.format.open(r, at, head)
	if err != nil {
		return at, err
	}
	result := s.result
	for ctx.Err() == nil {
		rec, err := records.next()
		switch {
		case errors.Is(err, io.EOF):
			return at, nil
		case err != nil:
			return at, err
		case len(rec.payload) == 0:
			s.skipped.Add(1)
			s.doneBytes.Add(rec.end - at.Offset)
			at.Offset = rec.end
			continue
		}
		s.skipped.Add(rec.skipped)
		if s.limit != nil && s.limit.Wait(ctx) != nil {
			return at, errStopped
		}
		it := &item{in: in, start: at.Offset, at: position{Offset: rec.end, Line: rec.number}}
		if s.saves || s.follow {
			it.at = behind(&rec)
			it.at.Modified, it.at.Inode = at.Modified, at.Inode
		}
		at = it.at
		if s.saves {
			in.window.add(it)
		}
		s.lines.Add(1)
		if rec.stream == "" {
			rec.stream = s.stream
		}
		if fault := rec.fault; fault != nil || rec.stream == "" {
			s.refuse(it, fault, len(rec.payload) >= maxLine)
			continue
		}
		s.client.SendAsync(ctx, dataproxy.Message{StreamID: rec.stream, Payload: rec.payload, MetaData: it}, result)
	}
	return at, errStopped
}

// refuse counts a record that no client can send.
func (s *shipment) refuse(it *item, fault error, tooLong bool) {
	if fault == nil {
		fault = errors.New("it names no stream; --stream gives the one of such lines")
	}
	code := dataproxy.CodeLogInvalid
	if tooLong {
		code = dataproxy.CodeLogTooLong
	}
	s.doneBytes.Add(it.at.Offset - it.start)
	s.fail(it, &dataproxy.Error{Code: code, Message: fault.Error()})
}

func (s *shipment) result(msg dataproxy.Message, err error) {
	it := msg.MetaData.(*item)
	if errors.Is(err, dataproxy.ErrContextExpired) {
		// Only an interruption refuses a line so, and the line counts as not read.
		s.lines.Add(-1)
		return
	}
	s.doneBytes.Add(it.at.Offset - it.start)
	if err == nil {
		s.acked.Add(1)
		if s.saves {
			it.in.window.ack(it)
		}
		return
	}
	s.fail(it, err)
}

func (s *shipment) fail(it *item, err error) {
	failed := s.failed.Add(1)
	where := fmt.Sprintf("%s line %d: ", it.in.name, it.at.Line)
	code := s.failures.add(err, where)
	switch {
	case !s.saves && failed < namedFailures:
		s.log.Warn("not sent", "line", where+err.Error())
	case !s.saves && failed == namedFailures:
		s.log.Warn("not sent; lines that fail after this one are only counted", "line", where+err.Error())
	case !s.saves:
	case code == dataproxy.CodeLogInvalid || code == dataproxy.CodeLogTooLong:
		// It would fail for ever, and hold up all that come after it.
		s.log.Error("left out: cannot be sent", "line", where+err.Error())
		it.in.window.ack(it)
	default:
		s.halt(&exitError{exitFailure, errNotAcked})
	}
}
