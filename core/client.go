package dataproxy

import (
	"context"
	"time"
)

// Client sends messages to the DataProxy nodes of one InLong group. It is safe for use by many goroutines. It has the methods
// of the existing Go SDK and no others, so that a program's own test doubles and wrappers of it keep compiling. A nil context is
// context.Background() in each of its methods.
type Client interface {
	// Send sends msg and returns when it has its result: nil if it was acked, an *Error otherwise. It does not wait for the
	// linger. If ctx ends first it returns CodeContextExpired; a message that was not written yet is not sent any more.
	Send(ctx context.Context, msg Message) error
	// SendAsync accepts msg and returns; cb is called exactly once with the result (see Callback). If cb is nil, failures
	// are logged, several in one line, and counted in Stats. SendAsync blocks only if the queue is full and
	// WithBlockIfQueueIsFull(true) is set, until ctx ends or the send timeout has passed. A deadline of ctx bounds the delivery of
	// the message too; a cancellation after acceptance has no effect on it.
	SendAsync(ctx context.Context, msg Message, cb Callback)
	// Close is [FullClient.Shutdown] bounded by the send timeout.
	Close()
}

// FullClient is a Client with the methods that the existing SDK does not have. NewClient returns it.
type FullClient interface {
	Client
	// SendBulk is SendAsync for a source that can wait, such as a file. It blocks while there is no room in the queue, whatever
	// WithBlockIfQueueIsFull says, and while more bulk messages are in flight than the nodes ack in a quarter of the send timeout,
	// and in half of the ack time-out, at the rate of the last acks. So a slow network slows the source down, and no message fails. It gives
	// up when ctx ends, or when nothing was acked for the send timeout. Inside a callback of any client it does not wait: cb gets CodeQueueFull.
	SendBulk(ctx context.Context, msg Message, cb Callback)
	// SendBatch sends msgs and returns when each has its result: nil if all are acked, otherwise one entry for each message, in
	// the order of msgs, nil for those acked. With WithBlockIfQueueIsFull(true) each waits for room like SendAsync; after one has
	// waited for the send timeout without success, later ones do not wait. What is in flight is bounded as for SendBulk: more is sent as
	// acks come, until ctx ends. If nothing was acked for the send timeout, the rest fails with CodeSendTimeout.
	SendBatch(ctx context.Context, msgs []Message) []error
	// Flush sends all open batches now and returns when every message accepted before the call has its result and its
	// callback has returned. If ctx ends first it fails with CodeContextExpired. Inside a callback of any client it does not wait: it
	// fails with CodeWorkerBusy.
	Flush(ctx context.Context) error
	// Shutdown closes the client. It accepts no message any more. Accepted messages are delivered until ctx ends; the rest
	// fails with CodeClosed. Once it has returned (100 ms after the end of ctx at the latest) no callback runs any more, except one
	// that does not return. The error is CodeContextExpired if messages had no result in time, or if
	// callbacks took so long that not all were called (see CloseReport). A second call waits like the first and returns the same.
	// If its ctx ends before that, it fails with CodeContextExpired, and the first call continues, with callbacks. Inside a
	// callback of any client it begins the close and does not wait: it fails with CodeWorkerBusy.
	Shutdown(ctx context.Context) (CloseReport, error)
	// Ready returns nil as soon as a message could be written: a node has answered on a connection, and takes batches as far
	// as the client knows. It waits for that until ctx ends; with a ctx that has ended it reports the present state. The error wraps ErrNoEndpoint
	// if no node is known, else ErrNoAvailableWorker, and names the causes; it is CodeClosed once the client is closed. You may send in
	// any case: a message waits for a node until its deadline. Inside a callback of any client it does not wait.
	Ready(ctx context.Context) error
	// Stats returns a snapshot of the counters; it does not block. After a close Acked and Failed are those of its report.
	Stats() Stats
}

// CloseReport counts the results of the messages that were pending when Shutdown began, and of all messages.
type CloseReport struct {
	Acked  int64 `json:"acked"`  // acked over the client's life
	Failed int64 `json:"failed"` // failed over the client's life
	// Unsent counts the messages that Shutdown itself failed with CodeClosed.
	Unsent int64 `json:"unsent"`
	// Uncalled is not 0 if callbacks took longer than Shutdown had time. For at most this many messages the result is only in this
	// report, since their callback was not called.
	Uncalled int64 `json:"uncalled"`
	// ByCode counts all failures by code.
	ByCode map[Code]int64 `json:"by_code"`
}

// Stats is a snapshot of a client.
type Stats struct {
	Accepted        int64       `json:"accepted"` // messages taken by a send call
	Acked           int64       `json:"acked"`
	Failed          int64       `json:"failed"`
	Refused         int64       `json:"refused"`          // messages that a send call did not take: invalid, too long, queue full, closed
	PendingMessages int64       `json:"pending_messages"` // until the callback has returned
	PendingBytes    int64       `json:"pending_bytes"`    // memory that counts against WithMaxPendingBytes
	Batches         int64       `json:"batches"`          // batches that have a result
	Retries         int64       `json:"retries"`          // batches written again
	Streams         int         `json:"streams"`
	Spool           SpoolStats  `json:"spool"`
	Lanes           []LaneStats `json:"lanes"`
	Nodes           []NodeStats `json:"nodes"`
}

// SpoolStats is a snapshot of what the client has in its folder (WithSpoolDir): in its own slot and in those that it has adopted.
type SpoolStats struct {
	State    SpoolState `json:"state"`
	Bytes    int64      `json:"bytes"`    // of its files
	Batches  int        `json:"batches"`  // without an ack; too high for batches of an earlier owner until they are read
	Messages int64      `json:"messages"` // in these batches
	// OldestAge is how long ago the oldest of them was stored; in nanoseconds as JSON.
	OldestAge time.Duration `json:"oldest_age"`
	Replayed  int64         `json:"replayed"` // messages that were read back and then acked
	GivenUp   int64         `json:"given_up"` // messages that were stored and then failed; their results or the log say so
	// Lost counts batches that could not be read back, Quarantined damaged files that were set aside.
	Lost        int64 `json:"lost"`
	Quarantined int64 `json:"quarantined"`
	Errors      int64 `json:"errors"` // of the disk
}

// SpoolState says whether what is sent now is stored.
type SpoolState string

const (
	SpoolOff    SpoolState = "off"    // no spool_dir
	SpoolOK     SpoolState = "ok"     // batches are stored
	SpoolFull   SpoolState = "full"   // spool_max_bytes are in use: the latest batches are only in memory
	SpoolFailed SpoolState = "failed" // the folder cannot be used: batches are only in memory, and the client tries again every 5 seconds
)

// LaneStats is a snapshot of one lane.
type LaneStats struct {
	Node     string `json:"node"` // "" while not connected
	Usable   bool   `json:"usable"`
	Queued   int    `json:"queued"`    // batches waiting to be written
	InFlight int    `json:"in_flight"` // batches written and not answered
}

// NodeStats is a snapshot of one DataProxy node.
type NodeStats struct {
	Addr    string `json:"addr"`
	Lanes   int    `json:"lanes"`   // usable lanes on it
	Suspect bool   `json:"suspect"` // avoided for a while
	Batches int64  `json:"batches"` // batches acked by it
	Errors  int64  `json:"errors"`  // error answers, connections that could not be opened or proven, and closes
	// RoundTrip is the time from a frame's write to its answer.
	RoundTrip RoundTrip `json:"round_trip"`
}

// RoundTrip holds percentiles since the client was made, exact to an eighth; in nanoseconds as JSON.
type RoundTrip struct {
	P50 time.Duration `json:"p50"`
	P95 time.Duration `json:"p95"`
	P99 time.Duration `json:"p99"`
}
