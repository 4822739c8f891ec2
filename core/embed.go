package dataproxy

import (
	"context"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Embedder is implemented by what NewClient returns. Bindings to other languages are built on it: one handler receives the results
// of a batch at once, with a tag for each message, so that a message causes no allocation.
type Embedder interface {
	FullClient
	// Submit accepts msg like SendAsync; its result goes to the handler of WithResultHandler together with tag. An error
	// means that msg was refused and no result follows. msg is not kept: its strings and bytes may be reused at once.
	Submit(ctx context.Context, msg *Message, tag Tag) error
	// SubmitMany is Submit for messages that differ in payload and tag only; the rest of each is msg's, whose Payload is
	// overwritten. It stops at the first message that is refused and returns how many it accepted before it. bulk says that they
	// come from a source that can wait, and not one by one. Then what is in flight is bounded as for SendBulk. At that bound it
	// waits with WithBlockIfQueueIsFull(true), until ctx ends or the send timeout has passed; without, it fails with CodeQueueFull.
	SubmitMany(ctx context.Context, msg *Message, payloads [][]byte, tags []Tag, bulk bool) (accepted int, err error)
	// SubmitPacked is SubmitMany for payloads that follow each other in data, with their lengths. Message i has the tag
	// with i added to B.
	SubmitPacked(ctx context.Context, msg *Message, data []byte, lengths []uint32, tag Tag, bulk bool) (accepted int, err error)
	// SubmitTaken is SubmitMany for messages that the embedder has accepted itself, at the given time. It refuses none for lack of
	// room. The result of a message that the client cannot take is that error. bulk says that they count as in flight in bulk. It
	// never waits. Messages that are submitted during or after a close have one result, too, which may come after the close.
	SubmitTaken(msg *Message, payloads [][]byte, tags []Tag, at time.Time, bulk bool)
	// Intake returns the client's load and bounds, for an embedder that accepts messages itself.
	Intake() Intake
	// InCallback runs f for a callback that waits for it on another thread. Methods that do not wait inside a callback do not wait
	// in f.
	InCallback(f func())
	// SendResult is Send that also returns the batch id, node and number of attempts, for acked messages too.
	SendResult(ctx context.Context, msg *Message) (Result, error)
}

// Intake is the client's load and its bounds.
type Intake struct {
	Messages, Bytes         int64 // without a result, and the memory that they take
	MostMessages, MostBytes int64 // the most that one stream can hold if there are others
	Bulk                    int64 // bytes of payloads that bulk ways may still add to what is in flight
	LongestPayload          int   // the longest that fits into a frame, whatever ids the message has; it may shrink
	Linger                  time.Duration
	SendTimeout             time.Duration
	Ordered                 bool
	Waits                   bool // whether senders wait for room
}

// Tag is what an embedder receives back with a message's result, such as a function and its user data.
type Tag struct{ A, B uintptr }

// Result says how a message was delivered.
type Result struct {
	BatchID  string
	Node     string
	Attempts int
}

// BatchResult is the one final result of some messages of a batch.
type BatchResult struct {
	// Tags are those of the messages, in the order in which they were accepted; valid until the handler returns.
	Tags []Tag
	// Err is nil when a DataProxy acked the messages.
	Err *Error

	GroupID, StreamID string
	Node              string // the last attempt's, "" when there was none
	Attempts          int

	batchID wire.BatchID
}

// AppendBatchID appends the batch's id ("mid" on the wire) to dst.
func (r *BatchResult) AppendBatchID(dst []byte) []byte { return r.batchID.Append(dst) }

// ResultHandler receives the results of messages given to Submit. It runs on a goroutine of the stream's worker, like a Callback.
type ResultHandler func(*BatchResult)
