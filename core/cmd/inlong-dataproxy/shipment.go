package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// maxLine bounds the memory that one line takes. No client can send more: it is the largest value of max_frame_size.
const maxLine = 20 << 20

// shipment sends the lines of its inputs through one client and counts what becomes of them.
type shipment struct {
	client dataproxy.Client
	stream string
	inputs []*input

	lines, acked, failed, skipped atomic.Int64
	doneBytes                     atomic.Int64 // of the inputs, belonging to lines that have their result

	mu       sync.Mutex
	failures []*failure // guarded by mu; one for each code
}

// place is where a line was read; it travels with its message to the callback.
type place struct {
	in   *input
	line int64
}

func (p place) String() string { return fmt.Sprintf("%s line %d", p.in.name, p.line) }

// failure is one kind of failure.
type failure struct {
	code  dataproxy.Code
	lines int64
	first string
}

// run hands all lines to the client and returns; the client's Close then waits for their results. It returns early when ctx
// ends, also when a read of an input does not end then: a terminal or pipe may never give another line.
func (s *shipment) run(ctx context.Context) error {
	finished := make(chan error, 1)
	go func() {
		for _, in := range s.inputs {
			if err := s.sendAll(ctx, in); err != nil {
				finished <- fmt.Errorf("%s: %w", in.name, err)
				return
			}
		}
		finished <- nil
	}()
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
		return errors.New("interrupted: the lines after the ones counted here were not sent")
	}
}

func (s *shipment) sendAll(ctx context.Context, in *input) error {
	lines := newLineReader(in.file, maxLine)
	done := s.done
	for ctx.Err() == nil {
		line, cut, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case len(line) == 0:
			s.skipped.Add(1)
			s.doneBytes.Add(lines.size)
			continue
		}
		s.lines.Add(1)
		at := place{in, lines.number}
		if cut {
			s.doneBytes.Add(lines.size)
			s.fail(dataproxy.CodeLogTooLong, at, fmt.Sprintf("the line is longer than %d MiB", maxLine>>20))
			continue
		}
		s.client.SendAsync(ctx, dataproxy.Message{StreamID: s.stream, Payload: line, MetaData: at}, done)
	}
	return ctx.Err()
}

func (s *shipment) done(msg dataproxy.Message, err error) {
	s.doneBytes.Add(int64(len(msg.Payload)) + 1)
	if err == nil {
		s.acked.Add(1)
		return
	}
	code := dataproxy.CodeUnknown
	var e *dataproxy.Error
	if errors.As(err, &e) {
		code = e.Code
	}
	s.fail(code, msg.MetaData.(place), err.Error())
}

func (s *shipment) fail(code dataproxy.Code, at place, text string) {
	s.failed.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.failures {
		if f.code == code {
			f.lines++
			return
		}
	}
	s.failures = append(s.failures, &failure{code: code, lines: 1, first: at.String() + ": " + text})
}
