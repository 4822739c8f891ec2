package dataproxy

import "time"

// Message is one payload to be sent to a DataProxy.
type Message struct {
	// GroupID is the InLong group; empty means the client's own (WithGroupID). 4 to 200 characters of A-Z a-z 0-9 _ . -
	// (the Manager's own rule). A message's own GroupID is sent on the wire.
	GroupID string
	// StreamID is the InLong stream, required. 1 to 200 characters of A-Z a-z 0-9 _ . -
	StreamID string
	// Payload is sent byte for byte; it must not be empty. It is copied before the send call returns, so the caller may
	// reuse it at once. The Payload that a Callback receives is the client's own copy. After a failure it may be kept; after a
	// success it is valid until the callback returns.
	Payload []byte
	// Headers are not sent; the callback receives them unchanged.
	Headers map[string]string
	// MetaData is not sent; the callback receives it unchanged.
	MetaData any
	// Attributes are sent with the message's batch; messages with different attributes travel in different batches. Keys and
	// values are printable ASCII without '&' and '=', and without a blank at either end. Names that the protocol uses
	// are refused, except msgUUID and auditVersion, which must be a number from 0 to 2^63-1: see ATTRIBUTES.md.
	Attributes map[string]string
	// Time is the event time ("dt"), kept in milliseconds by the text format and in seconds by the binary one. Zero means
	// the time at which the message's batch was opened. Messages with different event times travel in different batches. It must be from 1970
	// to the end of 9999 (text) or to 2038-01-19 (binary).
	Time time.Time
	// ItemAttributes are sent with this message alone. They hold what differs from message to message, such as a trace id, and do not
	// divide batches as Attributes do. They need WithMessageFormat(Binary). The rules are those of Attributes. A name that the message's
	// Attributes or WithAddColumns use too is refused, since the batch's value would win. A consumer does not see the order between
	// messages with different ones: see ATTRIBUTES.md.
	ItemAttributes map[string]string
}

// IsValid reports whether the message has a group, a stream and a payload that a client accepts. You need not call it: a send call checks
// its message, and its error says what is wrong. A send call also accepts a message without a group, which goes to the client's.
func (m *Message) IsValid() bool {
	return m != nil && checkGroupID(m.GroupID) == nil && CheckStreamID(m.StreamID) == nil && len(m.Payload) > 0
}

// Callback receives the one final result of a message: err is nil if a DataProxy acked it, otherwise an *Error.
//
// If a message is refused at once (invalid, too long, queue full, closed, context done), its callback is called before
// SendAsync returns, on the caller's goroutine. Every other callback runs on a goroutine of its stream's worker that does
// nothing else, one at a time and in order for one stream. A slow callback delays only the results of that worker. A panic in
// it is recovered and logged. It may call any method of any client. Inside a callback of any client Flush and Shutdown do not wait,
// and a send that finds the queue full fails with CodeQueueFull even if WithBlockIfQueueIsFull is set. Pass what has to wait to a
// goroutine of your own.
type Callback func(message Message, err error)

// Persisted says what is known about a message at the server.
type Persisted int

const (
	// NotWritten: no byte of the message was handed to a connection; sending it again cannot duplicate it.
	NotWritten Persisted = iota
	// MaybeWritten: it was written to a connection and not answered; sending it again may duplicate it.
	MaybeWritten
	// Acked: a DataProxy acknowledged it.
	Acked
	// Stored: it is in the spool and will be delivered; sending it again duplicates it.
	Stored
)

// String returns "not_written", "maybe_written", "acked" or "stored".
func (p Persisted) String() string {
	switch p {
	case NotWritten:
		return "not_written"
	case MaybeWritten:
		return "maybe_written"
	case Acked:
		return "acked"
	case Stored:
		return "stored"
	}
	return "unknown"
}
