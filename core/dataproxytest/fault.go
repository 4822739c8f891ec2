package dataproxytest

import "time"

// Kind names what a fault does. The strings are the ones of the JSON form.
type Kind string

// Kinds of faults of a node's answers to data frames.
const (
	KindErrorCode       Kind = "error_code"       // code, text: refuse with this code; nothing is kept
	KindServiceStopped  Kind = "service_stopped"  // code 2 to data, heartbeats answered
	KindUnready         Kind = "unready"          // code 1 to data, heartbeats answered
	KindSilence         Kind = "silence"          // kept; from here on the connection is read and nothing answered
	KindCloseAfterRead  Kind = "close_after_read" // kept, then the connection is closed
	KindResetAfterRead  Kind = "reset_after_read" // kept, then the connection is reset
	KindResetMidFrame   Kind = "reset_mid_frame"  // bytes: reset when so many bytes of the frame came; nothing kept
	KindDelay           Kind = "delay"            // delay_ms: the answer is late, and later ones wait for it
	KindMalformed       Kind = "malformed"        // raw: these bytes in place of the answer; kept
	KindDropAnswer      Kind = "drop_answer"      // kept; this one answer never comes
	KindDuplicateAnswer Kind = "duplicate_answer" // kept; the answer comes twice
	KindReorderAnswers  Kind = "reorder_answers"  // n: answers are held until there are n, then sent last one first
	KindSlowRead        Kind = "slow_read"        // rate: from here on the connection is read at so many bytes a second
)

// Kinds of faults of connecting and of heartbeats. A Manager takes refuse_connect too.
const (
	KindRefuseConnect Kind = "refuse_connect" // standing: the port is closed; one-shot: accepted and reset
	KindBlackHole     Kind = "black_hole"     // the connection is accepted and never read, answered or closed
	KindDropHeartbeat Kind = "drop_heartbeat" // heartbeats are read and not answered; data is
)

// Kinds of faults of a Manager, which also takes refuse_connect, silence, delay, close_after_read, reset_after_read.
const (
	KindHTTPStatus  Kind = "http_status"  // code, text: this status with this body
	KindHTTPBody    Kind = "http_body"    // text: status 200 with this body
	KindFailure     Kind = "failure"      // text: success=false with this errMsg
	KindGroupStatus Kind = "group_status" // text: success=false as for a group in this status, such as config_ing
	KindNullList    Kind = "null_list"    // success with nodeList null, as for a cluster without nodes
	KindEmptyList   Kind = "empty_list"   // success with nodeList [], as when all nodes are switched off
)

// Fault is one deviation from what a healthy node or Manager does. The zero value is none. Make it with a function
// of this package, or from JSON with ParseFault: {"kind":"error_code","code":114}.
type Fault struct {
	Kind  Kind
	Code  int           // error_code: 1..9999; http_status: 200..599
	Text  string        // errMsg, body or status, as the kind says
	Delay time.Duration // delay
	Bytes int           // reset_mid_frame
	N     int           // reorder_answers
	Rate  int           // slow_read: bytes a second
	Raw   []byte        // malformed
}

// ErrorCode refuses with that code. Without a text the answer carries the one that a real node gives for the code.
func ErrorCode(code int, text ...string) Fault {
	f := Fault{Kind: KindErrorCode, Code: code}
	if len(text) > 0 {
		f.Text = text[0]
	}
	return f
}

// ServiceStopped answers code 2, as a node does that an administrator stopped. Heartbeats are answered.
func ServiceStopped() Fault { return Fault{Kind: KindServiceStopped} }

// Unready answers code 1, as a node does in its first seconds. Heartbeats are answered.
func Unready() Fault { return Fault{Kind: KindUnready} }

// Silence keeps the frame and answers nothing more on its connection, heartbeats included, while reading on. For a
// Manager: the request is never answered.
func Silence() Fault { return Fault{Kind: KindSilence} }

// CloseAfterRead keeps the frame and closes the connection without an answer.
func CloseAfterRead() Fault { return Fault{Kind: KindCloseAfterRead} }

// ResetAfterRead keeps the frame and resets the connection without an answer.
func ResetAfterRead() Fault { return Fault{Kind: KindResetAfterRead} }

// ResetMidFrame resets the connection when that many bytes of the frame have come, at most all but one.
func ResetMidFrame(bytes int) Fault { return Fault{Kind: KindResetMidFrame, Bytes: bytes} }

// Delay makes the answer that late. Frames are read meanwhile; their answers wait for this one.
func Delay(d time.Duration) Fault { return Fault{Kind: KindDelay, Delay: d} }

// Malformed keeps the frame and sends these bytes in place of the answer.
func Malformed(raw []byte) Fault { return Fault{Kind: KindMalformed, Raw: raw} }

// DropAnswer keeps the frame and never answers it.
func DropAnswer() Fault { return Fault{Kind: KindDropAnswer} }

// DuplicateAnswer answers twice.
func DuplicateAnswer() Fault { return Fault{Kind: KindDuplicateAnswer} }

// ReorderAnswers holds this answer and the next ones of its connection until there are n, or for 100 ms, and sends
// them last one first.
func ReorderAnswers(n int) Fault { return Fault{Kind: KindReorderAnswers, N: n} }

// SlowRead reads the connection at that many bytes a second from this frame on.
func SlowRead(bytesPerSecond int) Fault { return Fault{Kind: KindSlowRead, Rate: bytesPerSecond} }

// RefuseConnect refuses connections. Standing, it closes the port: connecting fails. One-shot, the next connection is accepted and reset.
// Live connections continue.
func RefuseConnect() Fault { return Fault{Kind: KindRefuseConnect} }

// BlackHole accepts connections and never reads, answers or closes them.
func BlackHole() Fault { return Fault{Kind: KindBlackHole} }

// DropHeartbeat reads heartbeats and does not answer them; data frames are answered.
func DropHeartbeat() Fault { return Fault{Kind: KindDropHeartbeat} }

// HTTPStatus makes the Manager answer with that status and body. An empty body is the real one's JSON of a status; one that
// starts with "<" is sent as a page.
func HTTPStatus(code int, body string) Fault {
	return Fault{Kind: KindHTTPStatus, Code: code, Text: body}
}

// HTTPBody makes the Manager answer 200 with that body.
func HTTPBody(body string) Fault { return Fault{Kind: KindHTTPBody, Text: body} }

// Failure makes the Manager answer success=false with that errMsg.
func Failure(errMsg string) Fault { return Fault{Kind: KindFailure, Text: errMsg} }

// GroupStatus makes the Manager answer as for a group that is in that status, such as "to_be_submit".
func GroupStatus(status string) Fault { return Fault{Kind: KindGroupStatus, Text: status} }

// NullList makes the Manager answer as for a cluster without nodes.
func NullList() Fault { return Fault{Kind: KindNullList} }

// EmptyList makes the Manager answer as if every node were switched off.
func EmptyList() Fault { return Fault{Kind: KindEmptyList} }

// trigger is the event that a fault waits for.
type trigger int

const (
	onData trigger = iota
	onHeartbeat
	onConnect
	triggers
)

func (f Fault) trigger() trigger {
	switch f.Kind {
	case KindRefuseConnect, KindBlackHole:
		return onConnect
	case KindDropHeartbeat:
		return onHeartbeat
	}
	return onData
}
