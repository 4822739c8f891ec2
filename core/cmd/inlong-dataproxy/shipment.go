package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/tail"
)

// maxBehind is how many bytes of a file are read after a line that is not acked; after a kill they are sent again.
const maxBehind = 64 << 20

// readSize is how much of a file is read at a time: files take turns.
const readSize = 64 << 10

var (
	errInterrupted = errors.New("interrupted: what comes after the lines counted here was not sent")
	errNotAcked    = errors.New("stopped at a line that was not acked; the same command continues from there")
)

// origin is where a record comes from.
type origin interface {
	Name() string
	Line() int64
	Size() int64
	// Sent says, before Done, that a node or the spool has the record.
	Sent()
	// Done says that the record needs no more attention.
	Done()
}

// shipment sends the records of its inputs through one client and counts their results.
type shipment struct {
	client  dataproxy.FullClient
	stream  string
	format  format
	streams []string // inputs that are read once, before the files
	stdin   io.Reader
	files   *tail.Set
	state   *tail.State
	follow  bool
	saves   bool          // a state is kept: a line that fails ends it
	limit   *rate.Limiter // nil for none
	log     *slog.Logger
	halt    context.CancelCauseFunc
	failed  *failedFile // nil for none
	again   *resender   // nil when a line that failed is not sent again
	window  *window     // nil when a line that was acked is not sent again

	lines, acked, lost, skipped, kept, namedOnes atomic.Int64
	spooled                                      atomic.Int64 // lines whose result is "stored"
	refused                                      atomic.Int64 // lines whose result says that the client has given them up, which its spool counts too
	doneBytes                                    atomic.Int64 // of the inputs, belonging to records that have their result
	twice                                        atomic.Int64 // lines that are sent anew, though a node may have them
	lastAck                                      atomic.Int64 // ns since 1970

	failures failures
}

func (s *shipment) counts() (acked, failed int64) { return s.acked.Load(), s.lost.Load() }

func (s *shipment) done() (n, total int64) {
	if len(s.streams) > 0 || s.follow {
		return s.doneBytes.Load(), -1
	}
	return s.doneBytes.Load(), s.files.Size()
}

func (s *shipment) unit() string { return "lines" }

// run hands all records to the client and returns; closing the client then waits for their results. It returns early when ctx ends,
// also when a read of an input does not end then: a terminal or pipe may never give another line. Following, it continues until then.
func (s *shipment) run(ctx context.Context) error {
	finished := make(chan error, 1)
	go func() {
		for _, path := range s.streams {
			if err := s.sendStream(ctx, path, s.stdin); err != nil {
				finished <- err
				return
			}
		}
		finished <- nil
	}()
	var err error
	select {
	case err = <-finished:
	case <-ctx.Done():
	}
	if err == nil {
		s.sendFiles(ctx)
	}
	switch cause := context.Cause(ctx); {
	case cause != nil && !errors.Is(cause, context.Canceled):
		return cause
	case err != nil:
		return &exitError{exitInput, err}
	case cause != nil && !s.follow:
		return &exitError{exitInterrupted, errInterrupted}
	}
	return nil
}

// sendFiles reads the files, those that are followed side by side: one whose disk hangs does not hold up the others.
func (s *shipment) sendFiles(ctx context.Context) {
	readers := 1
	var all sync.WaitGroup
	if s.follow {
		readers = min(4, runtime.NumCPU()+1)
		all.Go(func() { s.files.Watch(ctx) })
	}
	for range readers {
		all.Go(func() {
			var chunk tail.Chunk
			for f := s.files.Next(ctx); f != nil; f = s.files.Next(ctx) {
				end, err := s.sendChunk(ctx, &chunk, f)
				s.files.Release(f, end, err)
			}
		})
	}
	all.Wait()
	if s.state == nil { // else the next run looks on
		s.files.GiveUp()
	}
}

// sendChunk sends the next part of a file. end: nothing follows it for now.
func (s *shipment) sendChunk(ctx context.Context, chunk *tail.Chunk, f *tail.File) (end bool, err error) {
	split, _ := f.Reader.(*reading)
	if split == nil {
		split = &reading{}
		if split.splitter, err = s.format.open(begin{offset: f.At().Offset, rewritten: f.Rewritten, head: f.Head(1 << 20)}); err != nil {
			return false, err
		}
		f.Reader = split
	}
	for size := readSize; ; size *= 4 {
		if err := chunk.Read(f, size); err != nil {
			return false, err
		}
		split.of(chunk.Data, chunk.Last)
		used, err := s.sendRecords(ctx, split, chunk, f)
		if s.follow && s.format.name == "csv" {
			split.tellOfRow(s, f, chunk, used)
		}
		if err != nil || used || chunk.End || ctx.Err() != nil {
			return chunk.End, err
		}
	}
}

// reading is what belongs to a file while it is read.
type reading struct {
	splitter
	row *time.Timer // of one that has not ended, nil for none
}

// unendedRow is how long a row of several lines may lack its end before that is said. A variable for tests.
var unendedRow = 10 * time.Second

// tellOfRow says of a row at the end of a file that it has lines, or is too long, and no end: what is written after it waits, and it may
// never end. moved: it is another one than the last time.
func (r *reading) tellOfRow(s *shipment, f *tail.File, chunk *tail.Chunk, moved bool) {
	unended := chunk.End && (f.Passing || indexNewline(chunk.Data) >= 0)
	if r.row != nil && (moved || !unended) {
		r.row.Stop()
		r.row = nil
	}
	if r.row != nil || !unended {
		return
	}
	line, text := f.At().Line+1, "a row does not end: is a quote left open? What comes after it waits until it ends, or is longer than max_frame_size allows"
	if f.Held != nil {
		line, text = f.Held.Line(), "a row that is longer than max_frame_size allows does not end: is a quote left open? What comes after it is a part of it until it ends"
	}
	r.row = time.AfterFunc(unendedRow, func() {
		s.log.Warn(text, "file", f.Name(), "line", line, "since", unendedRow, "bytes", s.format.longest)
	})
}

// sendRecords reports whether it took anything.
func (s *shipment) sendRecords(ctx context.Context, split splitter, chunk *tail.Chunk, f *tail.File) (took bool, err error) {
	at, lines := 0, int64(0)
	defer func() { chunk.Pass(at, lines) }()
	for ctx.Err() == nil {
		rec, found, err := split.next()
		if err != nil || !found {
			return took, err
		}
		took = true
		at, lines = at+rec.used, lines+rec.lines
		switch held := f.Held; {
		case rec.part:
			// The state's place stays before it until its end was seen.
			if held == nil {
				f.Held = chunk.Add(at, lines+1)
			}
			f.Passing = true
		case rec.tooLong && held != nil:
			f.Held, f.Passing = nil, false
			s.submit(ctx, &rec, passedOver{held, f.At().Offset + int64(at) - held.Start()})
		case s.passed(&rec, f.Name()):
		case !s.submit(ctx, &rec, chunk.Add(at, lines)):
			return true, nil
		}
	}
	return took, nil
}

// passedOver is a record that was read in parts: its own size is that of the first one.
type passedOver struct {
	*tail.Record
	size int64
}

func (p passedOver) Size() int64 { return p.size }

// passed counts what is no message.
func (s *shipment) passed(rec *record, name string) bool {
	if len(rec.payload) > 0 || rec.fault != nil {
		return false
	}
	if rec.nuls > 0 {
		s.log.Warn("NUL bytes at the beginning of a file are left out: its writer does not append, and the file was truncated", "file", name, "bytes", rec.nuls)
	}
	s.skipped.Add(rec.skipped)
	s.doneBytes.Add(int64(rec.used))
	return true
}

// submit hands a record to the client. It is false when ctx has ended before.
func (s *shipment) submit(ctx context.Context, rec *record, from origin) bool {
	if s.limit != nil && s.limit.Wait(ctx) != nil {
		return false
	}
	s.lines.Add(1)
	if rec.stream == "" {
		rec.stream = s.stream
	}
	if s.window != nil {
		from = &heldLine{origin: from}
	}
	msg := dataproxy.Message{StreamID: rec.stream, Payload: rec.payload, MetaData: from}
	if fault := rec.fault; fault != nil || rec.stream == "" {
		s.refuse(msg, fault, rec.tooLong)
		return true
	}
	s.client.SendBulk(ctx, msg, s.result)
	return ctx.Err() == nil
}

// refuse is the result of a record that no client can send.
func (s *shipment) refuse(msg dataproxy.Message, fault error, tooLong bool) {
	if fault == nil {
		fault = errors.New("it names no stream; --stream gives the one of such lines")
	}
	code := dataproxy.CodeLogInvalid
	if tooLong {
		code = dataproxy.CodeLogTooLong
	}
	s.result(msg, &dataproxy.Error{Code: code, Message: fault.Error()})
}

func (s *shipment) result(msg dataproxy.Message, err error) {
	from := msg.MetaData.(origin)
	if errors.Is(err, dataproxy.ErrContextExpired) {
		// Only an interruption refuses a line so, and the line counts as not read.
		s.lines.Add(-1)
		return
	}
	if err == nil {
		s.acked.Add(1)
		s.lastAck.Store(time.Now().UnixNano())
		from.Sent()
		if !s.window.holds(msg) {
			s.finish(from)
		}
		return
	}
	if isStored(err) {
		s.spooled.Add(1)
		from.Sent()
		s.finish(from)
		return
	}
	if isGivenUp(err) {
		s.refused.Add(1)
	}
	s.notAcked(msg, from, err)
}

// finish lets the state pass the record.
func (s *shipment) finish(from origin) {
	s.doneBytes.Add(from.Size())
	from.Done()
}

// isStored reports whether a message is in the spool, from where it will be delivered.
func isStored(err error) bool {
	var e *dataproxy.Error
	return errors.As(err, &e) && e.Code == dataproxy.CodeStored
}

// isGivenUp reports whether a message that was stored can have this result. A time-out can be that of one that was not: then it is
// better told twice than not at all.
func isGivenUp(err error) bool {
	var e *dataproxy.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case dataproxy.CodeServerError, dataproxy.CodeConnClosedByPeer, dataproxy.CodeConnReadFailed, dataproxy.CodeConnWriteFailed:
		return true
	}
	return false
}
