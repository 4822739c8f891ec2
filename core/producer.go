package dataproxy

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"go.uber.org/multierr"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/connections"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Version is the version of the Go module, the C library and the Python package.
const Version = "0.1.0"

// client implements Embedder, and so FullClient and Client. core/DESIGN.md describes the way of a message through it.
type client struct {
	opts    Options
	log     limitedLog
	start   time.Time     // deadlines of single messages are relative to it
	linger  time.Duration // of a batch
	columns string        // add_columns as "&name=value"
	id      uint64        // wire.BatchID.Client of its frames

	budget     budget
	bulk       bulkWindow
	streams    streams
	batches    registry
	frames     buffers // of writers: much larger than the batches', so pooled apart
	completers []completer
	conns      *connections.Set[*batch]
	nodes      nodeList
	metrics    *metrics
	hooks      hookList
	spooler    *spooler // nil without a spool

	ctx        context.Context // ends when the connections are to close
	cancel     context.CancelFunc
	lanesDone  running // lanes, supervisor and its probes
	working    running // writers
	completing running // completers

	end    ending
	counts counts
}

// sendKind says who waits for a message's result.
type sendKind int

const (
	sendAsync     sendKind = iota // nobody; the receiver runs user code
	sendMany                      // nobody, in bulk
	sendBulk                      // nobody, in bulk; its source can wait, whatever block_if_queue_is_full says
	sendTaken                     // nobody; an embedder has accepted it, and must not be refused for lack of room
	sendTakenMany                 // the same, in bulk
	sendGroup                     // a caller, in bulk, that seals the batch itself
	sendSync                      // a caller; its batch leaves as soon as its lane is idle or makes progress
)

// inBulk reports whether the message is bounded by the bulk window.
func (k sendKind) inBulk() bool {
	return k == sendMany || k == sendBulk || k == sendGroup || k == sendTakenMany
}

func (k sendKind) isTaken() bool { return k == sendTaken || k == sendTakenMany }

// NewClient makes a client. It checks the options, asks the Manager for the nodes, opens the lanes, and returns when the first of them
// has answered a heartbeat. With WithNodeCache it starts with the nodes of last time and asks the Manager afterwards. It takes the
// Manager's time-out and the connect time-out together at most. It fails with all faults of the options at once (see multierr.Errors),
// with ErrNoEndpoint or with ErrNoAvailableWorker, and leaves nothing running then. WithLazyStart makes it return at once.
func NewClient(opts ...Option) (FullClient, error) {
	c := &client{start: time.Now(), end: ending{closed: make(chan struct{}), grace: callbackGrace}}
	for _, opt := range opts {
		if opt != nil {
			opt(&c.opts)
		}
	}
	if err := c.opts.ValidateAndSetDefault(); err != nil {
		return nil, err
	}
	if err := c.init(); err != nil {
		return nil, err
	}
	if c.spooler != nil {
		c.working.Add(1)
		go c.spooler.run()
	}
	fresh := false
	if !c.opts.LazyStart { // otherwise the supervisor does it
		var err error
		if fresh, err = c.nodes.first(); err != nil {
			c.discard()
			return nil, fmt.Errorf("%w: %w", ErrNoEndpoint, err)
		}
	}
	if asked := c.conns.Start(fresh); c.opts.LazyStart || c.proven(asked) {
		return c, nil
	}
	causes := multierr.Combine(c.conns.Causes()...)
	c.discard()
	if causes == nil {
		return nil, fmt.Errorf("%w: no node answered within %v", ErrNoAvailableWorker, c.opts.ConnTimeout)
	}
	return nil, fmt.Errorf("%w: no node can be reached: %w", ErrNoAvailableWorker, causes)
}

// proven reports whether a connection answers a heartbeat within the connect time-out. That time begins when the Manager has been
// asked, since the nodes of a cache may be gone.
func (c *client) proven(asked <-chan struct{}) bool {
	select {
	case <-c.conns.Proven():
		return true
	case <-asked:
	}
	timer := time.NewTimer(c.opts.ConnTimeout)
	defer timer.Stop()
	select {
	case <-c.conns.Proven():
		return true
	case <-timer.C:
		return false
	}
}

// leastAnswer is room for an answer that holds the longest attributes twice. It is used even if read_buffer_size is smaller,
// because each answer would close its connection otherwise.
const leastAnswer = 64 * kib

// init builds the parts; nothing runs yet.
func (c *client) init() (err error) {
	o := &c.opts
	c.log.out.to = o.Logger
	c.hooks.init(c)
	// The messages of a batch share the deadline of the first one, so a long linger must leave time to deliver them.
	c.linger = min(o.BatchingMaxPublishDelay, o.SendTimeout/4)
	if len(o.AddColumns) > 0 {
		c.columns = strings.ReplaceAll(joinAttributes(o.AddColumns), "{{ip}}", transport.LocalIP())
	}
	if c.metrics, err = newMetrics(o.MetricsRegistry, o.MetricsName, o.WorkerNum, o.MetricsStreams); err != nil {
		return err
	}
	if c.nodes.manager, err = o.newManager(c.stale); err != nil {
		return err
	}
	if _, ours := o.BufferPool.(*bufferPool); o.BufferPool != nil && !ours {
		o.BufferPool = guardedBuffers{o.BufferPool, c}
	}
	if o.BytePool == nil {
		o.BytePool = NewBytePool(o.BytePoolSize, o.BytePoolWidth)
	} else if _, ours := o.BytePool.(*bytePool); !ours {
		o.BytePool = guardedBytes{o.BytePool, c}
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	kind := byte(wire.TypeText)
	if o.MessageFormat == Binary {
		kind = wire.TypeBinary
	}
	c.id = binary.BigEndian.Uint64(id[:])
	way := transport.Config{
		Type: kind, Client: c.id, ConnTimeout: o.ConnTimeout, AckTimeout: o.AckTimeout,
		HeartbeatInterval: o.HeartbeatInterval, SocketSendBuffer: o.SocketSendBufferSize, SocketRecvBuffer: o.SocketRecvBufferSize,
		MaxAnswer: max(o.ReadBufferSize, leastAnswer), GetBuffer: o.BytePool.Get, PutBuffer: o.BytePool.Put, Guard: c.guard,
	}
	if err = o.findWay(&way, c.stale); err != nil {
		return err
	}
	c.budget.init(c)
	c.bulk.init(o)
	c.streams.init()
	b := &c.batches
	b.client, b.sendTimeout, b.budget, b.woken, b.closing = c.id, o.SendTimeout, &c.budget, c.woken, &c.end.closing
	b.bodies = buffers{user: o.BufferPool, max: int64(o.BufferPoolSize)}
	c.frames = buffers{user: o.BufferPool, max: int64(o.BufferPoolSize)}
	c.completers = make([]completer, o.WorkerNum)
	for i := range o.WorkerNum {
		c.completers[i].init(c)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.connect(way)
	if o.SpoolDir != "" {
		if c.spooler, err = newSpooler(c); err != nil {
			c.cancel()
		}
	}
	return err
}

// connect makes the connections, none of which is opened yet.
func (c *client) connect(way transport.Config) {
	o := &c.opts
	cfg := connections.Config{
		Transport: way, Lanes: o.WorkerNum, WriteBuffer: o.WriteBufferSize, MaxLifetime: o.MaxConnLifetime, FirstPause: o.RetryInitialInterval,
		UpdateInterval: o.UpdateInterval, Cache: o.NodeCache, Log: &c.log, Lasting: &c.lanesDone, Writers: &c.working,
		Forget: !o.Ordered && o.SpoolDir == "", // otherwise a stream, or a store, waits for the answer of a dead batch in flight
	}
	if c.nodes.manager != nil {
		cfg.Refresh = c.nodes.refresh
	}
	if o.LazyStart {
		cfg.First = c.nodes.first
	}
	c.conns = connections.New(c.ctx, &cfg, carrier{c})
	c.nodes.opts, c.nodes.log, c.nodes.ctx, c.nodes.conns = o, &c.log, c.ctx, c.conns
	c.nodes.frameLimit.Store(int64(o.MaxFrameSize))
}

// place says where an accepted message is.
type place struct {
	st     *stream
	b      *batch
	order  uint64 // of b, which may be reused by now
	index  int
	behind bool // the batch was sealed for a lane that has much to do
}

// accept is the only way in: check, charge, append. An error means that nothing was taken. patience bounds the wait for room. For a
// message that an embedder has taken, it is what is left of its time.
func (c *client) accept(ctx context.Context, msg *Message, recv receiver, tag Tag, kind sendKind, patience time.Duration) (place, *Error) {
	if c.hooks.perItem {
		if first := c.hooks.firstToWant(ctx); first < len(c.hooks.all) {
			return c.hooks.accept(ctx, msg, first, recv, tag, kind, patience)
		}
	}
	return c.acceptOne(ctx, msg, nil, recv, tag, kind, patience)
}

func (c *client) acceptOne(ctx context.Context, msg *Message, hooked *hookedMessage, recv receiver, tag Tag, kind sendKind, patience time.Duration) (at place, refused *Error) {
	var st *stream
	defer func() {
		if kind.inBulk() {
			c.bulk.next()
		}
		if refused == nil {
			return
		}
		if refused.StreamID == "" { // an error of the client's state, which does not know the message
			named := *refused
			named.GroupID, named.StreamID = cut(cmp.Or(msg.GroupID, c.opts.GroupID)), cut(msg.StreamID)
			refused = &named
		}
		if kind.isTaken() { // its refusal is its result
			return
		}
		c.counts.refused.Add(1)
		c.metrics.messages(refused, 1)
		c.metrics.failed(refused.Code)
		if st != nil {
			st.series.refused(refused, msg.Payload)
		}
	}()
	if c.end.closing.Load() {
		return at, errClosed
	}
	if err := ctx.Err(); err != nil {
		return at, &Error{Code: CodeContextExpired, Message: "before the message was accepted", cause: context.Cause(ctx)}
	}
	var attributes string
	var own []byte
	var room [128]byte
	given := msg
	for again := true; again; again = refused != nil && c.hooks.takeBack(hooked, refused) {
		msg = c.trimmed(given)
		st, attributes, own, refused = c.check(msg, room[:0])
	}
	if refused != nil {
		return at, refused
	}
	if kind.inBulk() && !kind.isTaken() {
		if refused = c.enterBulk(ctx, kind, patience); refused != nil {
			return at, refused
		}
	}
	ago := time.Duration(0)
	if kind.isTaken() {
		ago = c.opts.SendTimeout - patience
	}
	for paid := int64(0); ; {
		at, entry := st.append(ctx, msg, own, attributes, hooked.all(), recv, tag, kind, ago, paid)
		switch entry {
		case entered:
			return at, nil
		case noRoom:
			paid = c.budget.needs(nil, itemSize(msg, own), st.besideOf(nil, msg, own, attributes, recv, kind))
			if kind.isTaken() {
				c.budget.add(st, 1, paid)
				continue
			}
			if refused = c.budget.wait(ctx, paid, st, patience, kind == sendBulk); refused != nil {
				return at, refused
			}
		case swept:
			old := st
			c.streams.recentAt(&old.key, c.opts.GroupID).CompareAndSwap(old, nil)
			if st = c.addStream(old.key); paid > 0 {
				old.held.add(-1, -paid) // the share is the same
				st.held.add(1, paid)
			}
		case atClosed:
			if paid > 0 {
				c.budget.release(st, 1, paid)
			}
			return at, errClosed
		}
	}
}

var errClosed = &Error{Code: CodeClosed}

// trimmed returns msg as it is sent. A message that is longer than a frame is refused without looking at its end.
func (c *client) trimmed(msg *Message) *Message {
	if n := len(msg.Payload); c.opts.TrimTrailingNewline && n > 0 && int64(n) <= c.nodes.frameLimit.Load() && msg.Payload[n-1] == '\n' {
		trimmed := *msg
		trimmed.Payload = msg.Payload[:n-1]
		return &trimmed
	}
	return msg
}

// check checks all that does not depend on room. own are its own attributes as they are sent, appended to dst.
func (c *client) check(msg *Message, dst []byte) (st *stream, attributes string, own []byte, refused *Error) {
	if st, attributes, refused = c.stream(msg); refused != nil {
		return st, "", nil, refused
	}
	if len(msg.ItemAttributes) > 0 {
		var err error
		if own, err = st.appendOwn(dst, msg); err != nil {
			return st, "", nil, invalid(st.key.group, st.key.stream, err)
		}
	}
	if refused = st.checkItem(msg, own, attributes); refused != nil {
		return st, "", nil, refused
	}
	if !msg.Time.IsZero() {
		if err := checkTime(msg.Time, c.opts.MessageFormat); err != nil {
			return st, "", nil, invalid(st.key.group, st.key.stream, err)
		}
	}
	if int64(itemSize(msg, own)) > c.budget.most() {
		return st, "", nil, &Error{Code: CodeLogTooLong, Message: "payload: is alone larger than what max_pending_bytes leaves to one worker"}
	}
	return st, attributes, own, nil
}

// checkItem checks what only this message has in its batch.
func (st *stream) checkItem(msg *Message, own []byte, attributes string) *Error {
	if len(msg.Payload) == 0 {
		return &Error{Code: CodeLogInvalid, Message: "the payload is empty: it must have at least one byte",
			GroupID: st.key.group, StreamID: st.key.stream}
	}
	most := st.longest(attributes)
	if most < 1 {
		return &Error{Code: CodeLogTooLong, Message: "payload: none fits into a frame beside the attributes: max_frame_size, or the Manager's " +
			"maxPacketLength, is too small", GroupID: st.key.group, StreamID: st.key.stream}
	}
	most -= itemSize(msg, own) - itemHeader - len(msg.Payload)
	if len(msg.Payload) > most {
		return &Error{Code: CodeLogTooLong, Message: fmt.Sprintf("the payload has %d bytes: it must have %d or less, so that it fits into one frame",
			len(msg.Payload), most), GroupID: st.key.group, StreamID: st.key.stream}
	}
	return nil
}

// guard keeps a panic of this library from ending the host: it closes the client instead.
func (c *client) guard() {
	if r := recover(); r != nil {
		c.log.Errorf("internal fault, the client is closed: %v\n%s", r, debug.Stack())
		go c.abort()
	}
}
