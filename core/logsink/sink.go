// Package logsink sends what a program logs: each record is one message.
//
// A [Sink] is the io.Writer that slog's handlers, zap, zerolog, logrus and the standard log write to. Each of them writes a record in one call:
//
//	slog.New(sink.Handler(nil))                        // JSON
//	slog.New(slog.NewTextHandler(sink, nil))
//	zap.New(zapcore.NewCore(encoder, sink, zap.InfoLevel)) // logger.Sync() waits for the results
//	zerolog.New(sink)
//	logrus.SetOutput(sink)
//	log.SetOutput(sink)
//
// Logging never waits for a node or for room: a record that finds no room is dropped and counted.
package logsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// syncTime bounds Sync and Close.
const syncTime = 5 * time.Second

// ErrClosed is what a Sink answers that is closed.
var ErrClosed = errors.New("logsink: closed")

// Sink sends each record that is written to it as one message. It is safe for concurrent use.
type Sink struct {
	client    dataproxy.FullClient
	apart     func(f func()) // runs f so that a full queue fails at once, whatever the client's options say
	model     dataproxy.Message
	result    dataproxy.Callback
	onFailure func(record []byte, err error)

	closed                          atomic.Bool
	records, acked, stored, dropped atomic.Int64
}

// Stats counts records. Those in none of the last three have no result yet.
type Stats struct {
	Records int64 // written, without empty ones
	Acked   int64
	Stored  int64 // in the client's spool, to be delivered later
	Dropped int64 // no room, refused, or without an ack in time
}

// Option sets one option of a Sink.
type Option func(*Sink)

// WithOnFailure has f called with each record that was dropped, and why: to write it elsewhere, for example. It runs on the goroutine that logs
// or on one of the client's, several at a time. It must not block, nor log to the Sink. The record is its to keep. Default: Stats counts
// them, and nobody is told.
func WithOnFailure(f func(record []byte, err error)) Option {
	return func(s *Sink) { s.onFailure = f }
}

// New makes a Sink that sends through client, which others may use too. Each message is as model, which names the stream, with the
// record as its payload; model's Payload and Time are not used. Let the client's own log go elsewhere: a line about messages that fail
// would become a message. It fails when client is nil, or the id of the stream breaks its rule.
func New(client dataproxy.FullClient, model dataproxy.Message, opts ...Option) (*Sink, error) {
	if client == nil {
		return nil, errors.New("logsink: the client is nil")
	}
	if err := dataproxy.CheckStreamID(model.StreamID); err != nil {
		return nil, fmt.Errorf("logsink: %w", err)
	}
	model.Payload, model.Time = nil, time.Time{}
	s := &Sink{client: client, model: model, apart: func(f func()) { f() }}
	if ours, ok := client.(dataproxy.Embedder); ok {
		s.apart = ours.InCallback
	}
	for _, opt := range opts {
		opt(s)
	}
	s.result = s.note
	return s, nil
}

// Write sends one record without the newlines at its end; one that is empty then is none. It does not wait, and keeps nothing of record.
// Stats tells whether it was acked. The error is ErrClosed or nil: a logger would print each.
func (s *Sink) Write(record []byte) (int, error) {
	msg := s.model
	if msg.Payload = bytes.TrimRight(record, "\r\n"); len(msg.Payload) == 0 {
		return len(record), nil
	}
	s.records.Add(1)
	if s.closed.Load() {
		s.note(msg, ErrClosed)
		return 0, ErrClosed
	}
	s.apart(func() { s.client.SendAsync(context.Background(), msg, s.result) })
	return len(record), nil
}

// note takes the result of one record, whose bytes may be the logger's still.
func (s *Sink) note(msg dataproxy.Message, err error) {
	switch {
	case err == nil:
		s.acked.Add(1)
	case errors.Is(err, &dataproxy.Error{Code: dataproxy.CodeStored}):
		s.stored.Add(1)
	default:
		s.dropped.Add(1)
		if s.onFailure != nil {
			s.onFailure(bytes.Clone(msg.Payload), err)
		}
	}
}

// Handler returns a slog.Handler that writes records to the Sink as JSON. opts are those of slog.NewJSONHandler; nil means level INFO.
func (s *Sink) Handler(opts *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(s, opts) }

// Stats returns the counts so far; it does not block.
func (s *Sink) Stats() Stats {
	return Stats{Acked: s.acked.Load(), Stored: s.stored.Load(), Dropped: s.dropped.Load(), Records: s.records.Load()}
}

// Flush waits until every record written before has its result, or ctx ends: [dataproxy.FullClient.Flush], which waits for all messages of the client.
func (s *Sink) Flush(ctx context.Context) error { return s.client.Flush(ctx) }

// Sync is Flush for 5 seconds at most, by the name that zap knows.
func (s *Sink) Sync() error {
	ctx, cancel := context.WithTimeout(context.Background(), syncTime)
	defer cancel()
	return s.client.Flush(ctx)
}

// Close ends the Sink and waits like Sync. The client stays open. A record that is written later is dropped. A second call waits, too.
func (s *Sink) Close() error {
	s.closed.Store(true)
	return s.Sync()
}
