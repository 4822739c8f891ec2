package dataproxy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Errors of NewClient. They may come wrapped with their cause: compare with errors.Is.
var (
	// ErrURLNotGiven: neither WithURL nor WithStaticNodes was given.
	ErrURLNotGiven = errors.New("URL is not given")
	// ErrGroupIDNotGiven: WithGroupID was not given.
	ErrGroupIDNotGiven = errors.New("group ID is not given")
	// ErrInvalidURL: the Manager's URL cannot be used.
	ErrInvalidURL = errors.New("invalid URL")
	// ErrInvalidGroupID: the group id breaks the rule of Message.GroupID.
	ErrInvalidGroupID = errors.New("invalid group ID")
	// ErrNoEndpoint: the Manager gave no TCP node, or could not be asked.
	ErrNoEndpoint = errors.New("service has no endpoints")
	// ErrNoAvailableWorker: nodes are known, but no connection to any of them was proven in time.
	ErrNoAvailableWorker = errors.New("no available worker")
)

// Code is the number of a result. The numbers and texts are those of the existing InLong SDKs and never change.
type Code int

// The codes of a result.
const (
	CodeOK               Code = 0
	CodeSendTimeout      Code = 10001
	CodeSendFailed       Code = 10002
	CodeClosed           Code = 10003
	CodeQueueFull        Code = 10004
	CodeContextExpired   Code = 10005
	CodeNewConnFailed    Code = 10006
	CodeConnWriteFailed  Code = 10007
	CodeConnReadFailed   Code = 10008
	CodeLogTooLong       Code = 10009
	CodeLogInvalid       Code = 10010
	CodeServerError      Code = 10011
	CodeServerPanic      Code = 10012
	CodeWorkerBusy       Code = 10013
	CodeNoMatchRequest   Code = 10014
	CodeConnClosedByPeer Code = 10015
	CodeUnknown          Code = 20001
)

// One sentinel a code, for errors.Is: it matches every *Error of that code.
var (
	ErrSendTimeout      = &Error{Code: CodeSendTimeout}
	ErrSendFailed       = &Error{Code: CodeSendFailed}
	ErrClosed           = &Error{Code: CodeClosed}
	ErrQueueFull        = &Error{Code: CodeQueueFull}
	ErrContextExpired   = &Error{Code: CodeContextExpired}
	ErrNewConnFailed    = &Error{Code: CodeNewConnFailed}
	ErrConnWriteFailed  = &Error{Code: CodeConnWriteFailed}
	ErrConnReadFailed   = &Error{Code: CodeConnReadFailed}
	ErrLogTooLong       = &Error{Code: CodeLogTooLong}
	ErrLogInvalid       = &Error{Code: CodeLogInvalid}
	ErrServerError      = &Error{Code: CodeServerError}
	ErrServerPanic      = &Error{Code: CodeServerPanic}
	ErrWorkerBusy       = &Error{Code: CodeWorkerBusy}
	ErrNoMatchRequest   = &Error{Code: CodeNoMatchRequest}
	ErrConnClosedByPeer = &Error{Code: CodeConnClosedByPeer}
	ErrUnknown          = &Error{Code: CodeUnknown}
)

// CodeInfo describes one code for tables of other languages and for documentation.
type CodeInfo struct {
	Code      Code
	Name      string // short name in snake case, the same in every language
	Text      string // the existing SDK's text
	Retriable bool   // the caller may send the message again and have success
	Meaning   string // when it comes
}

var codeTable = []CodeInfo{
	{CodeOK, "ok", "success", false, "a DataProxy acked the message"},
	{CodeSendTimeout, "send_timeout", "message send timeout", true, "the delivery deadline passed before an ack came"},
	{CodeSendFailed, "send_failed", "message send failed", true, "every allowed attempt failed"},
	{CodeClosed, "closed", "producer already been closed", false, "the client was closed before the message had its result"},
	{CodeQueueFull, "queue_full", "producer send queue is full", true, "the bound of pending messages or bytes is reached"},
	{CodeContextExpired, "context_expired", "message context expired", true, "the caller's context or timeout ended first"},
	{CodeNewConnFailed, "new_conn_failed", "new conn failed", true, "no connection could be opened"},
	{CodeConnWriteFailed, "conn_write_failed", "conn write failed", true, "writing to the connection failed"},
	{CodeConnReadFailed, "conn_read_failed", "conn read failed", true, "reading an answer failed, or an answer broke the protocol"},
	{CodeLogTooLong, "log_too_long", "input log is too long", false, "the message does not fit into one frame"},
	{CodeLogInvalid, "log_invalid", "input log is invalid", false, "the payload is empty, or an id or attribute breaks its rule"},
	{CodeServerError, "server_error", "server error", false, "the DataProxy refused the batch; see the server's code"},
	{CodeServerPanic, "server_panic", "server panic", false, "an internal fault of this client; it does not go on"},
	{CodeWorkerBusy, "worker_busy", "all workers are busy", true, "no lane could take the message"},
	{CodeNoMatchRequest, "no_match_request", "no match request for response", false, "an answer belongs to no batch in flight"},
	{CodeConnClosedByPeer, "conn_closed_by_peer", "conn closed by peer", true, "the node closed the connection before it answered"},
	{CodeUnknown, "unknown", "unknown error", false, "none of the others"},
}

// Codes returns every code with its name, text and meaning.
func Codes() []CodeInfo { return append([]CodeInfo(nil), codeTable...) }

func (c Code) info() CodeInfo {
	for _, e := range codeTable {
		if e.Code == c {
			return e
		}
	}
	return codeTable[len(codeTable)-1]
}

// String returns the code's text.
func (c Code) String() string { return c.info().Text }

// Error is the result of a message that was not acked.
type Error struct {
	Code Code
	// Message says what happened, beyond the code's text.
	Message string
	// ServerCode and ServerMessage are the DataProxy's errCode and errMsg, 0 and "" when it gave none.
	ServerCode    int
	ServerMessage string
	// Node is the host:port of the last attempt, "" when there was none.
	Node              string
	GroupID, StreamID string
	// BatchID is the batch's "mid" on the wire.
	BatchID string
	// Attempts counts how often the batch was written.
	Attempts int

	persisted Persisted
	cause     error
}

// Error returns the code's text and everything known about the failure; it never holds a secret.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Code.String())
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.ServerCode != 0 {
		fmt.Fprintf(&b, ": server code %d", e.ServerCode)
		if e.ServerMessage != "" {
			b.WriteString(" (" + oneLine(e.ServerMessage) + ")")
		}
	}
	if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	var where []string
	for _, f := range []struct{ name, value string }{
		{"node", e.Node}, {"group", e.GroupID}, {"stream", e.StreamID}, {"batch", e.BatchID},
	} {
		if f.value != "" {
			where = append(where, f.name+" "+oneLine(f.value))
		}
	}
	if e.Attempts > 0 {
		where = append(where, "attempts "+strconv.Itoa(e.Attempts))
	}
	if len(where) > 0 {
		b.WriteString(" [" + strings.Join(where, ", ") + "]")
	}
	return b.String()
}

// oneLine keeps a hostile id or answer from writing log lines of its own.
func oneLine(s string) string {
	if q := strconv.Quote(s); q[1:len(q)-1] != strings.ReplaceAll(s, `"`, `\"`) {
		return q
	}
	return s
}

// Is reports whether target is an *Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Retriable reports whether sending the message again may succeed. See Persisted for whether that can double it.
func (e *Error) Retriable() bool {
	if e.Code == CodeServerError {
		return retryOtherNode(e.ServerCode)
	}
	return e.Code.info().Retriable
}

// Persisted says whether the message may have reached a node.
func (e *Error) Persisted() Persisted { return e.persisted }

// GetServerErrorCode returns the DataProxy's errCode in err, or 0 when there is none.
func GetServerErrorCode(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.ServerCode
	}
	return 0
}
