package dataproxy

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// batch is some messages of one stream that travel in one frame. It has one owner at a time: the stream while it is open (stream.mu
// guards its fields then), later a lane, the dispatcher or its back-off timer (mu guards them then).
//
// Each message is settled once: by the answer, by the last failed attempt, or alone before that, by its deadline or because its
// caller gave up. A batch without unsettled messages is dead, and its owner drops it.
type batch struct {
	// The fields that each message touches come first. With a thousand open batches none is in a cache, so each cache line counts.
	body buffer
	// One entry for each message: the end of its item in body, and the receiver of its result, which is in receivers or, in a batch
	// of messages from Submit, in tags. The hot path touches them for each message, so they are small.
	ends      []uint32
	receivers []receiver
	tags      []Tag
	details   []detail // empty, or one entry for each message
	ofItems   []ofItem // empty, or one entry for each receiver
	tokens    []any    // of hooks: empty, or for each message one of each set of hooks, nil for none
	// attributes of its messages as "&key=value", if they are not the stream's.
	attributes string
	beside     int64  // bytes outside the batch that its receivers keep alive
	charged    int64  // bytes that the budget was charged for it
	order      uint64 // number of its opening, among all batches of the client
	timed      bool   // eventTime is the messages' own
	itemized   bool   // each message has attributes of its own after its payload; otherwise none has
	ownTail    bool   // attributes is all that its frame adds; it replaces what the stream adds
	soon       bool   // a sync caller waits: it is sealed as soon as its lane is idle or makes progress
	userCode   bool   // some receiver runs user code
	callers    bool   // some receiver is a caller that waits
	behind     bool   // it has one message, which an embedder passed to the client during its close or afterwards
	st         *stream
	unsettled  int   // guarded by mu, like kept, once the batch is sealed
	kept       *kept // nil: not stored

	eventTime int64 // dt in ms
	bulk      bulkBytes
	id        wire.BatchID
	opened    time.Time
	sealAt    time.Time // end of the linger

	mu       sync.Mutex
	expired  bool // some messages were settled alone
	frame    frame
	attempts int       // times that the frame was written
	paid     int       // of these, those that max_retries counts
	refusals int       // of these, those that a node answered with "not now"
	written  bool      // in flight: the outcome of the last attempt is unknown
	lost     bool      // some attempt ended without an answer
	avoid    []*node   // nodes of the failed attempts, the latest last
	lostAt   time.Time // when the last attempt without an answer ended
	room     int       // for the items of one frame, if nodes closed on a longer one; 0 means no bound
	node     string
	failure  attemptFailure // of the last attempt
	due      time.Time      // earliest deadline of an unsettled message
	retryAt  time.Time      // end of the back-off; zero when not in one
	timer    *time.Timer

	storing  bool     // it may be stored at any moment
	place    position // ordered, with a spool: its place among what is stored; zero until it has one
	replayed bool     // it was read back, so nobody waits for its messages; set when it is opened

	hooked *hooked // nil without hooks, and while it is open
	unused *hooked // of the batch whose memory it has

	undelivered atomic.Int32 // messages whose receiver was not called yet, plus one while the batch is open

	prev, next *batch // in registry
}

// attemptFailure says how an attempt ended that was followed by another one.
type attemptFailure struct {
	serverCode    int
	serverMessage string
	cause         error
}

// detail holds what only few messages have.
type detail struct {
	settled    bool     // alone, before its batch
	with       *attempt // the attempt in which it ended, if that was not the batch's last one
	deadline   int64    // ns since the client's start; 0 means the batch's own
	headers    map[string]string
	metaData   any
	attributes map[string]string
	time       time.Time
}

// ofItem holds what a message with item attributes needs. Such messages are frequent, so they do without a detail.
type ofItem struct {
	attributes map[string]string // returned to the callback
	payload    uint32            // its length; the one in the body has left the caches by then
}

const itemHeader = wire.ItemHeader

// takes reports whether a message with this receiver may join b.
func (b *batch) takes(recv receiver) bool { return (recv == nil) == (len(b.tags) > 0) }

func (b *batch) add(msg *Message, own []byte, recv receiver, tag Tag, deadline int64) {
	b.body.b = appendItem(b.body.b, msg.Payload, own)
	if b.ends == nil {
		b.ends = make([]uint32, 0, 16)
	}
	b.ends = append(b.ends, uint32(len(b.body.b)))
	b.unsettled++
	_, comesBack := recv.(Callback) // other receivers belong to their callers, or to nobody
	if recv != nil {
		b.receivers = append(b.receivers, recv)
	} else {
		b.tags = append(b.tags, tag)
	}
	if recv != nil && b.itemized {
		b.ofItems = append(b.ofItems, ofItem{payload: uint32(len(msg.Payload))})
		if comesBack {
			b.ofItems[len(b.ofItems)-1].attributes = msg.ItemAttributes
		}
	}
	switch {
	case comesBack && (deadline != 0 || msg.Headers != nil || msg.MetaData != nil || msg.Attributes != nil || !msg.Time.IsZero()):
		*b.detail(b.count() - 1) = detail{deadline: deadline, headers: msg.Headers, metaData: msg.MetaData,
			attributes: msg.Attributes, time: msg.Time}
	case deadline != 0:
		*b.detail(b.count() - 1) = detail{deadline: deadline}
	case len(b.details) > 0:
		b.details = append(b.details, detail{})
	}
}

// count is the number of messages, settled or not.
func (b *batch) count() int { return len(b.ends) }

// detail returns the details of message i for writing.
func (b *batch) detail(i int) *detail {
	if missing := b.count() - len(b.details); missing > 0 {
		b.details = append(b.details, make([]detail, missing)...)
	}
	return &b.details[i]
}

// settledAlone reports whether message i was settled before its batch.
func (b *batch) settledAlone(i int) bool { return len(b.details) > 0 && b.details[i].settled }

// item returns message i as it is in the body.
func (b *batch) item(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = b.ends[i-1]
	}
	return b.body.b[start:b.ends[i]]
}

// payload returns the bytes of message i.
func (b *batch) payload(i int) []byte {
	item := b.item(i)
	end := len(item)
	switch {
	case i < len(b.ofItems):
		end = itemHeader + int(b.ofItems[i].payload)
	case b.itemized:
		end = itemHeader + int(binary.BigEndian.Uint32(item))
	}
	return item[itemHeader:end:end]
}

// message rebuilds message i for its callback.
func (b *batch) message(i int) Message {
	m := Message{GroupID: b.st.key.group, StreamID: b.st.key.stream, Payload: b.payload(i)}
	if len(b.details) > 0 {
		d := &b.details[i]
		m.Headers, m.MetaData, m.Attributes, m.Time = d.headers, d.metaData, d.attributes, d.time
	}
	if i < len(b.ofItems) {
		m.ItemAttributes = b.ofItems[i].attributes
	}
	return m
}

// settleDue settles the messages whose deadline has passed. The caller holds the lock that guards b.
func (b *batch) settleDue(c *client, now time.Time) []completion {
	if b.unsettled == 0 || now.Before(b.due) {
		return nil
	}
	since := int64(now.Sub(c.start))
	own := int64(b.opened.Add(c.opts.SendTimeout).Sub(c.start))
	next := int64(math.MaxInt64)
	var timedOut, contextOver []int32
	for i := range b.count() {
		if b.settledAlone(i) {
			continue
		}
		deadline, byContext := own, false
		if len(b.details) > 0 && b.details[i].deadline != 0 && b.details[i].deadline < own {
			deadline, byContext = b.details[i].deadline, true
		}
		switch {
		case deadline > since:
			next = min(next, deadline)
		case byContext:
			contextOver = append(contextOver, int32(i))
		default:
			timedOut = append(timedOut, int32(i))
		}
	}
	var due []completion
	if len(timedOut) > 0 {
		due = append(due, b.settle(timedOut, b.fault(CodeSendTimeout, "no ack before the delivery deadline", c.outage(b))))
	}
	if len(contextOver) > 0 {
		due = append(due, b.settle(contextOver, c.contextOver(b, context.DeadlineExceeded)))
	}
	if b.unsettled > 0 {
		b.due = c.start.Add(time.Duration(next))
	}
	return due
}

// settle settles single messages of b. The caller holds the lock that guards b.
func (b *batch) settle(indexes []int32, err *Error) completion {
	for _, i := range indexes {
		b.detail(int(i)).settled = true
	}
	b.unsettled -= len(indexes)
	b.expired = true
	b.pay() // for new details
	if b.frame.fixed && b.unsettled > 0 && err != nil && err.Code != CodeStored {
		err.persisted = MaybeWritten // it stays in the frame for the sake of the others, and may be written again
	}
	if b.unsettled == 0 {
		b.timer.Stop()
		b.leaveBulk(err == nil)
	}
	return completion{b: b, err: err, indexes: indexes, messages: len(indexes), last: b.unsettled == 0}
}

// wake sets the timer to the deadline or to the end of the back-off, whichever is earlier. The caller holds the lock that guards b.
func (b *batch) wake(now time.Time) {
	at := b.due
	if !b.retryAt.IsZero() && b.retryAt.Before(at) {
		at = b.retryAt
	}
	b.timer.Reset(at.Sub(now))
}

// startAnew resets what the attempts of the last frame left.
func (b *batch) startAnew() {
	clear(b.avoid)
	b.frame = frame{}
	b.attempts, b.paid, b.refusals = 0, 0, 0
	b.written, b.avoid, b.node, b.retryAt, b.failure = false, b.avoid[:0], "", time.Time{}, attemptFailure{}
}

// persisted says what is known about the batch at the server if no ack came. A node that answered with an error did not take it.
func (b *batch) persisted() Persisted {
	if b.lost || b.written || b.storing {
		return MaybeWritten
	}
	return NotWritten
}

// answered ends an attempt that was answered with an error, or not at all.
func (b *batch) answered(lost bool) {
	b.mu.Lock()
	b.written, b.lost = false, b.lost || lost
	b.frame.fixed = true
	b.mu.Unlock()
}

// unwritten undoes an attempt whose connection ended before a byte was written. The node is again the last one that had the batch;
// all of them are in avoid.
func (b *batch) unwritten() {
	b.mu.Lock()
	b.written = false
	b.attempts--
	b.node = ""
	if n := len(b.avoid); n > 0 {
		b.node = b.avoid[n-1].Addr
	}
	b.mu.Unlock()
}

// uniq is the number of b's binary frame, which the answer names. A batch that another client stored does not use the number in its
// id: another batch in flight may have the same one.
func (b *batch) uniq() uint64 {
	if b.replayed {
		return b.order
	}
	return b.id.Seq
}

// outage returns why the nodes, or the disk, cannot be used, if b was never written for that reason.
func (c *client) outage(b *batch) error {
	if b.attempts > 0 {
		return nil
	}
	return cmp.Or(c.conns.Outage(), c.spooler.outage())
}

// dead reports whether every message has its result.
func (b *batch) dead() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unsettled == 0
}

// fault makes the error of b's messages, and tells in it how the last attempt failed. The caller holds mu, or owns an open batch.
func (b *batch) fault(code Code, message string, cause error) *Error {
	if cause == nil {
		cause = b.failure.cause
	}
	persisted := b.persisted()
	if b.kept != nil {
		switch code { // it will be delivered
		case CodeSendTimeout, CodeContextExpired, CodeClosed, CodeServerPanic:
			code, persisted = CodeStored, Stored
		}
	}
	failure, node := b.failure, b.node
	if b.attempts == 0 {
		if n, answer := b.st.c.conns.HoldingUp(); n != nil {
			failure, node = attemptFailure{serverCode: answer.Code, serverMessage: answer.Text}, n.Addr
		}
	}
	return &Error{
		Code: code, Message: message, cause: cause, ServerCode: failure.serverCode, ServerMessage: failure.serverMessage, Node: node,
		GroupID: b.st.key.group, StreamID: b.st.key.stream, BatchID: b.id.String(), Attempts: b.attempts, persisted: persisted,
	}
}
