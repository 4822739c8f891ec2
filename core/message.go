package dataproxy

import "time"

// Message is one piece of data on its way to a DataProxy.
type Message struct {
	// GroupID is the InLong group; empty means the client's own (WithGroupID). 4 to 200 characters of A-Z a-z 0-9 _ . -
	// (the Manager's own rule). A message's own GroupID is honoured on the wire.
	GroupID string
	// StreamID is the InLong stream, required. 1 to 200 characters of A-Z a-z 0-9 _ . -
	StreamID string
	// Payload is sent byte for byte; it must not be empty. It is copied before the send call returns, so the caller may
	// reuse it at once. The Payload handed to a Callback is the client's own copy: after a failure it may be kept, after a
	// success it is valid until the callback returns.
	Payload []byte
	// Headers stay on this side and come back untouched in the callback.
	Headers map[string]string
	// MetaData stays on this side and comes back untouched in the callback.
	MetaData any
	// Attributes go to the wire with the message's batch; messages with other attributes travel in another batch. Keys and
	// values are printable ASCII without '&' and '=', without leading or trailing blank; names that the protocol uses itself
	// are refused, except msgUUID and auditVersion, which is a number of 0 to 2^63-1: see ATTRIBUTES.md.
	Attributes map[string]string
	// Time is the event time ("dt"), kept in milliseconds by the text format and in seconds by the binary one. Zero means
	// the time at which the message's batch was opened. Messages of another event time travel in another batch. From 1970 to
	// the end of 9999 (text) or to 2038-01-19 (binary).
	Time time.Time
	// ItemAttributes go to the wire with this message alone, and do not divide batches as Attributes do: for what differs from message to
	// message, such as a trace id. They take WithMessageFormat(Binary). The rules are those of Attributes; a name that is among the
	// message's Attributes or WithAddColumns is refused, since the batch's would win. To a consumer the order between messages with other
	// ones is lost: see ATTRIBUTES.md.
	ItemAttributes map[string]string
}

// IsValid reports whether the message has a group, a stream and a payload that a client takes. A send call checks its message
// itself, and its error says what is wrong; it also takes a message without a group, which goes to the client's.
func (m *Message) IsValid() bool {
	return m != nil && checkGroupID(m.GroupID) == nil && CheckStreamID(m.StreamID) == nil && len(m.Payload) > 0
}

// Callback receives the one final result of a message: err is nil when a DataProxy acked it, otherwise an *Error.
//
// A message that is refused at once (invalid, too long, queue full, closed, context done) has its callback called before
// SendAsync returns, on the caller's goroutine. Every other callback runs on a goroutine of its stream's worker that does
// nothing else, one at a time and in order for one stream. A slow callback delays the results of that worker only; a panic in
// it is recovered and logged. It may call any method of any client. Inside a callback, be it one of this client or of another,
// Flush and Shutdown do not wait for the callback they are called from, and a send that finds the queue full fails with
// CodeQueueFull also when WithBlockIfQueueIsFull is set: hand what has to wait to a goroutine of your own.
type Callback func(message Message, err error)

// Persisted says what is known of a message's fate at the server.
type Persisted int

const (
	// NotWritten: no byte of the message was handed to a connection; sending it again cannot double it.
	NotWritten Persisted = iota
	// MaybeWritten: it was written to a connection but no answer says what became of it; sending it again may double it.
	MaybeWritten
	// Acked: a DataProxy took it.
	Acked
	// Stored: it is in the spool, and will be delivered; sending it again doubles it.
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
