package dataproxy

import (
	"context"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Hooks are told what becomes of messages and batches, for tracing and for figures of your own. Each is optional, and one that is nil
// costs nothing.
//
// Want, Sending, TakeBack, Accepted and Refused run on the goroutine that sends. The others run on the client's own goroutines, several at a time: those
// that write to nodes, read their answers, or find that time is over. So a hook must be safe for concurrent use, and must not block: it
// holds up a connection. It may call the client, but nothing waits there: what needs room that is not free fails with CodeQueueFull, as
// inside a [Callback]. A hook that panics is logged once, and called again; one that ends its goroutine with runtime.Goexit closes the
// client, unless that goroutine is the sender's. Behind the end of Shutdown only Want, Sending, TakeBack and Refused are called.
//
// A message that is wanted has Sending first, then Refused or Accepted, and behind Accepted, or while it runs, its one place in a Result. A batch has
// Sealed first, then a pair of Written and Answered for each attempt, and a Result each time that some of its messages have theirs. Of an
// attempt whose messages all have their results before its answer, Answered may be missing.
//
// Batches that are read back from a spool have Written, Answered and Result too, with BatchInfo.Replayed.
type Hooks struct {
	// Want says whether this Hooks' Sending, Accepted and Refused are called for a message, by the context of its send call; nil: for each.
	// It is called first, once or more for a message, and costs one that is not wanted little: tracing wants what is sampled.
	Want func(ctx context.Context) bool
	// Sending is called before anything else is done for a message. What it returns is the message's token, for the hooks of this Hooks
	// alone; nil for none. msg is a copy that is used again: it may change the fields, ItemAttributes for example, and must not keep it. The
	// maps and the payload are the sender's, and must not be changed. What it puts into msg comes back in the Callback, too.
	Sending func(ctx context.Context, msg *Message) (token any)
	// TakeBack is called where what Sending left in msg would be refused with err, as invalid or too long. It may take back what its Sending
	// added; then the message is looked at once more. nil: the message is refused.
	TakeBack func(token any, msg *Message, err *Error)
	// Accepted: the message will have a Result.
	Accepted func(token any, msg *Message)
	// Refused: the send call fails with err, and nothing was taken.
	Refused func(token any, msg *Message, err *Error)
	// Sealed: the batch is full, or its linger is over. It is called when somebody has the batch next, to write it or to give its messages
	// their results; BatchInfo.Sealed says when it was.
	Sealed func(batch BatchInfo)
	// Written: the batch's frame is handed to a connection.
	Written func(attempt BatchAttempt)
	// Answered: the attempt has its end.
	Answered func(attempt BatchAttempt, end AttemptEnd)
	// Result: some or all messages of a batch have their results. It is called before their callbacks, on another goroutine than theirs. result.Tokens
	// must not be kept.
	Result func(result MessageResults)
}

// BatchInfo tells hooks about a batch.
type BatchInfo struct {
	// Number names the batch within its client, through all attempts.
	Number   uint64
	GroupID  string
	StreamID string
	Messages int
	// Bytes is the length of its messages before compression, with the frame's four bytes for each.
	Bytes int
	// Opened is when its first message came, Sealed when it was closed for more; of one that is replayed both are when it was read back.
	Opened, Sealed time.Time
	// Replayed: it was read back from a spool. Its messages had their results before, as stored, or in another process.
	Replayed bool
}

// BatchAttempt tells hooks about one attempt to write a batch.
type BatchAttempt struct {
	Batch BatchInfo
	// Node is the host:port that it is written to, Lane the number of the connection.
	Node string
	Lane int
	// Attempt counts from 1.
	Attempt int
	// Messages is how many of the batch's are in the frame, Bytes the frame's length on the wire.
	Messages, Bytes int
	// At is when the frame was handed over.
	At time.Time

	id wire.BatchID
}

// BatchID is the id that the frame has on the wire ("mid").
func (a BatchAttempt) BatchID() string { return a.id.String() }

// AttemptEnd tells hooks how an attempt ended.
type AttemptEnd struct {
	// Persisted is Acked; NotWritten where the node refused the batch, or the connection was gone before it took a byte; MaybeWritten where
	// it ended without an answer.
	Persisted Persisted
	// ServerCode and ServerMessage are those of a node that refused it.
	ServerCode    int
	ServerMessage string
	// Cause is why a connection ended.
	Cause error
}

// MessageResults tells hooks about messages that have their results.
type MessageResults struct {
	Batch BatchInfo
	// Messages is how many they are, Err their error, nil where they were acked, or stored with spool_result=stored.
	Messages int
	Err      *Error
	// Node and Attempts are those of the last attempt with them.
	Node     string
	Attempts int
	// Tokens are those that Sending gave these messages, without the nil ones, in the order of sending.
	Tokens []any

	id wire.BatchID
}

// BatchID is the id of the last frame with them; of messages that were never written it tells nothing.
func (r MessageResults) BatchID() string { return r.id.String() }
