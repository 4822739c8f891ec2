package dataproxy

import (
	"context"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Hooks are called for what happens to messages and batches, for tracing and for your own statistics. Each is optional, and a nil
// one costs nothing.
//
// Want, Sending, TakeBack, Accepted and Refused run on the goroutine that sends. The others run on the client's own goroutines,
// several at a time: those that write to nodes, read their answers, or handle a deadline. So a hook must be safe for concurrent use
// and must not block, because that would hold up a connection. It may call the client, but no call waits there: a message for which
// there is no room fails with CodeQueueFull, as inside a [Callback]. The first panic of a hook is logged, and the hook is called
// again. A hook that ends its goroutine with runtime.Goexit closes the client, unless that goroutine is the sender's. Once Shutdown
// has returned only Want, Sending, TakeBack and Refused are called.
//
// For a message that is wanted Sending is called first, then Refused or Accepted. After Accepted, or while it runs, the message is
// in exactly one Result. For a batch Sealed is called first, then Written and Answered for each attempt, and Result each time that
// some of its messages have results. If all messages of an attempt have their results before its answer, Answered may be missing.
//
// Batches that are read back from a spool have Written, Answered and Result too, with BatchInfo.Replayed.
type Hooks struct {
	// Want decides by the context of a send call whether Sending, Accepted and Refused of this Hooks are called for the message; nil: always.
	// It is called first, once or more for a message. It makes a message that is not wanted cheap: tracing wants those that are sampled.
	Want func(ctx context.Context) bool
	// Sending is called before anything else is done for a message. It returns the message's token, which only this Hooks receives; nil for
	// none. msg is a copy that is reused: Sending may change its fields, such as ItemAttributes, and must not keep it. The maps and the
	// payload belong to the sender and must not be changed. The Callback receives the message as Sending changed it.
	Sending func(ctx context.Context, msg *Message) (token any)
	// TakeBack is called if msg, as Sending left it, would be refused with err as invalid or too long. It may remove what its Sending
	// added; the message is checked once more then. nil: the message is refused.
	TakeBack func(token any, msg *Message, err *Error)
	// Accepted: the message will have a Result.
	Accepted func(token any, msg *Message)
	// Refused: the send call fails with err, and nothing was taken.
	Refused func(token any, msg *Message, err *Error)
	// Sealed: the batch is full, or its linger is over. It is called later, before the batch is written or its messages get
	// their results; BatchInfo.Sealed has the time.
	Sealed func(batch BatchInfo)
	// Written: the batch's frame is about to be written to a connection.
	Written func(attempt BatchAttempt)
	// Answered: the attempt has ended.
	Answered func(attempt BatchAttempt, end AttemptEnd)
	// Result: some or all messages of a batch have their results. It is called before their callbacks, on another goroutine. result.Tokens
	// must not be kept.
	Result func(result MessageResults)
}

// WithHooks adds functions that are called with what happens to messages and batches, to those of other WithHooks. Default: none.
func WithHooks(h Hooks) Option {
	return func(o *Options) { o.Hooks = append(o.Hooks, h) }
}

// BatchInfo describes a batch.
type BatchInfo struct {
	// Number names the batch within its client, through all attempts.
	Number   uint64
	GroupID  string
	StreamID string
	Messages int
	// Bytes is the length of its messages before compression, with four bytes of the frame for each.
	Bytes int
	// Opened is when its first message came, Sealed when it took no more messages. For a replayed batch both are when it was read back.
	Opened, Sealed time.Time
	// Replayed: it was read back from a spool. Its messages had their results before, as stored, or in another process.
	Replayed bool
}

// BatchAttempt describes one attempt to write a batch.
type BatchAttempt struct {
	Batch BatchInfo
	// Node is the host:port that it is written to, Lane the number of the connection.
	Node string
	Lane int
	// Attempt counts from 1.
	Attempt int
	// Messages is how many messages of the batch are in the frame, Bytes the frame's length on the wire.
	Messages, Bytes int
	// At is when the write began.
	At time.Time

	id wire.BatchID
}

// BatchID is the id that the frame has on the wire ("mid").
func (a BatchAttempt) BatchID() string { return a.id.String() }

// AttemptEnd describes how an attempt ended.
type AttemptEnd struct {
	// Persisted is Acked; NotWritten if the node refused the batch, or the connection ended before it took a byte; MaybeWritten if
	// the connection ended before an answer.
	Persisted Persisted
	// ServerCode and ServerMessage are those of a node that refused it.
	ServerCode    int
	ServerMessage string
	// Cause is why a connection ended.
	Cause error
}

// MessageResults describes messages that have their results.
type MessageResults struct {
	Batch BatchInfo
	// Messages is their number, Err their error: nil if they were acked, or stored with spool_result=stored.
	Messages int
	Err      *Error
	// Node and Attempts are those of the last attempt with them.
	Node     string
	Attempts int
	// Tokens are those that Sending gave these messages, without the nil ones, in the order of sending.
	Tokens []any

	id wire.BatchID
}

// BatchID is the id of the last frame with them; for messages that were never written it means nothing.
func (r MessageResults) BatchID() string { return r.id.String() }
