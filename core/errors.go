package dataproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Errors of NewClient. They may come wrapped with their cause: compare with errors.Is.
var (
	// ErrURLNotGiven: neither WithURL nor WithStaticNodes was given. It is an ErrInvalidURL too, as in the existing SDK.
	ErrURLNotGiven error = &narrower{"URL is not given", ErrInvalidURL}
	// ErrGroupIDNotGiven: WithGroupID was not given. It is an ErrInvalidGroupID too, as in the existing SDK.
	ErrGroupIDNotGiven error = &narrower{"group ID is not given", ErrInvalidGroupID}
	// ErrInvalidURL: the Manager's URL cannot be used.
	ErrInvalidURL = errors.New("invalid URL")
	// ErrInvalidGroupID: the group id breaks the rule of Message.GroupID.
	ErrInvalidGroupID = errors.New("invalid group ID")
	// ErrNoEndpoint: the Manager gave no TCP node, or could not be asked.
	ErrNoEndpoint = errors.New("service has no endpoints")
	// ErrNoAvailableWorker: nodes are known, but none answered a heartbeat in time.
	ErrNoAvailableWorker = errors.New("no available worker")
)

// narrower is a sentinel that is a special case of another one.
type narrower struct {
	text string
	kind error
}

func (e *narrower) Error() string { return e.text }
func (e *narrower) Unwrap() error { return e.kind }

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
	CodeStored           Code = 30001 // only this client has it
)

// One sentinel for each code, for errors.Is: it matches every *Error of that code.
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
	ErrStored           = &Error{Code: CodeStored}
)

// ErrInvalidMessage is [ErrLogInvalid], under the name that programs of the existing SDK know.
var ErrInvalidMessage = ErrLogInvalid

// Error is the result of a message that was not acked.
type Error struct {
	Code Code
	// Message says what happened, beyond the code's text.
	Message string
	// ServerCode and ServerMessage are the DataProxy's errCode and errMsg, 0 and "" if it gave none.
	ServerCode    int
	ServerMessage string
	// Node is the host:port of the last attempt, "" if there was none.
	Node              string
	GroupID, StreamID string
	// BatchID is the batch's "mid" on the wire.
	BatchID string
	// Attempts counts how often the batch was written.
	Attempts int

	persisted Persisted
	cause     error
}

// Error returns the code's text and everything known about the failure, with the code itself in brackets at the end; it never holds a secret.
func (e *Error) Error() string {
	if e == nil {
		return CodeOK.String()
	}
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
	if cause := e.Unwrap(); cause != nil {
		b.WriteString(": " + cause.Error())
	}
	where := []string{"code " + strconv.Itoa(int(e.Code))}
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
	return b.String() + " [" + strings.Join(where, ", ") + "]"
}

// oneLine keeps an id or answer with line breaks from forging log lines.
func oneLine(s string) string {
	if q := strconv.Quote(s); q[1:len(q)-1] != strings.ReplaceAll(s, `"`, `\"`) {
		return q
	}
	return s
}

// Is reports whether target is an *Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t != nil && e != nil && t.Code == e.Code
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	if why, is := e.cause.(whyEnded); is {
		return why.Unwrap()
	}
	return e.cause
}

// whyEnded is a cause that asks the context only when it is read. Thousands of callers may find the same context ended, and each
// would wait for its lock.
type whyEnded struct{ context.Context }

func (why whyEnded) Error() string { return why.Unwrap().Error() }

// Unwrap expects that the context may no longer say why it ended: some libraries reuse theirs for the next request.
func (why whyEnded) Unwrap() error { return cmp.Or(context.Cause(why.Context), context.Canceled) }

// Retriable reports whether sending the message again may succeed. See Persisted for whether that can duplicate it.
func (e *Error) Retriable() bool {
	if e == nil {
		return false
	}
	if e.Code == CodeServerError {
		return retryOtherNode(e.ServerCode)
	}
	return e.Code.info().Retriable
}

// Persisted says whether the message may have reached a node; Acked for a nil *Error.
func (e *Error) Persisted() Persisted {
	if e == nil {
		return Acked
	}
	return e.persisted
}

// GetServerErrorCode returns the DataProxy's errCode in err: 0 when err is nil, and -1 when no server gave one, as the existing
// SDK does.
func GetServerErrorCode(err error) int {
	if err == nil {
		return 0
	}
	var e *Error
	if errors.As(err, &e) && e != nil && e.ServerCode != 0 {
		return e.ServerCode
	}
	return -1
}
