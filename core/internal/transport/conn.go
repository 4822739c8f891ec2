// Package transport owns the connections to DataProxy nodes: it opens and proves them, knows what is in flight on them, reads
// answers, and handles heartbeats and time-outs. It is the only package that uses a net.Conn.
package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Reasons for which a connection ends. Conn.Serve's error wraps one of them.
var (
	ErrPeerClosed = errors.New("the node closed the connection")
	ErrRead       = errors.New("reading failed")
	ErrWrite      = errors.New("writing failed")
	ErrAckTimeout = errors.New("no answer in time")
	ErrClosedByUs = errors.New("connection closed")
	ErrNotProven  = errors.New("the node did not answer a heartbeat")
)

// Config is what a connection needs to know.
type Config struct {
	Client            uint64 // wire.BatchID.Client of this client's frames
	Type              byte   // of its frames: wire.TypeText or TypeBinary
	ConnTimeout       time.Duration
	AckTimeout        time.Duration
	HeartbeatInterval time.Duration
	SocketSendBuffer  int
	SocketRecvBuffer  int
	MaxAnswer         int
	// GetBuffer and PutBuffer lend the read buffer. A longer answer, up to MaxAnswer, gets a buffer of its own.
	GetBuffer func() []byte
	PutBuffer func([]byte)
	// Open opens a connection to a node's "host:port"; nil: TCP, to each address of a host name.
	Open func(ctx context.Context, address string) (net.Conn, error)
	// TLS returns the configuration of TLS to a host; nil: frames are not encrypted.
	TLS func(host string) *tls.Config
	// Guard is deferred at the top of goroutines that only this package knows, to recover their panics.
	Guard func()
}

// Conn is a proven connection to a node, with what is in flight on it. Write may be called by one goroutine at a time, and
// Serve once; Close by any.
type Conn[T any] struct {
	cfg  *Config
	conn *link

	answer wire.Answer // the one that Serve passes on; here, so that none is allocated

	writing sync.Mutex // held during a write to the socket, so that a heartbeat never lands inside a frame

	mu         sync.Mutex
	table      inflight[T]
	closed     error // why it ended; set once
	lastWrite  time.Time
	lastAnswer time.Time // time of the last answer that came in order
	hurried    bool      // no frame waits longer because others were answered
	beatSent   time.Time // time of the heartbeat that has no answer yet
	timer      *time.Timer
}

// nextAddress is how long the addresses of a host name that are being tried have before another one is tried at the same time.
const nextAddress = 250 * time.Millisecond

// Dial opens a connection to node and sends a heartbeat. A node that was told to stop still accepts connections but never answers,
// so a node that has not answered the heartbeat gets no data. The addresses of a host name are raced in random order, so that a
// dead one costs little, and the connections to a service with many addresses spread over them.
func Dial[T any](ctx context.Context, node string, cfg *Config) (*Conn[T], error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(node)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, host, port, cfg)
	if err != nil {
		return nil, err
	}
	conn.setBuffers(cfg.SocketSendBuffer, cfg.SocketRecvBuffer)
	c := &Conn[T]{cfg: cfg, conn: conn, lastWrite: time.Now()}
	c.mu.Lock() // check may run before AfterFunc has returned
	c.timer = time.AfterFunc(cfg.HeartbeatInterval, c.check)
	c.mu.Unlock()
	return c, nil
}

func dial(ctx context.Context, host, port string, cfg *Config) (*link, error) {
	if cfg.Open != nil { // the user's function finds the host, too
		return dialOne(ctx, host, net.JoinHostPort(host, port), cfg)
	}
	addrs, err := net.DefaultResolver.LookupIPAddr(ctx, host) // an address resolves to itself
	if err != nil {
		return nil, err
	}
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	conn, _, err := First(ctx, len(addrs), min(nextAddress, cfg.ConnTimeout/4), func(ctx context.Context, i int) (*link, error) {
		return dialOne(ctx, host, net.JoinHostPort(addrs[i].String(), port), cfg)
	}, (*link).hangUp)
	return conn, err
}

// dialOne opens a connection to one address of host, and waits for the heartbeat's answer.
func dialOne(ctx context.Context, host, address string, cfg *Config) (*link, error) {
	conn, err := openLink(ctx, host, address, cfg)
	if err != nil {
		return nil, err
	}
	if err := prove(ctx, conn); err != nil {
		conn.hangUp()
		return nil, fmt.Errorf("%w: %w", ErrNotProven, err)
	}
	return conn, nil
}

// lastWords is how long before the end of its time a connection without an answer is asked what it is.
const lastWords = 100 * time.Millisecond

func prove(ctx context.Context, conn *link) error {
	end, bounded := ctx.Deadline()
	if bounded {
		_ = conn.SetDeadline(end.Add(-min(lastWords, time.Until(end)/10)))
	}
	stop := context.AfterFunc(ctx, conn.hangUp) // a deadline is not enough: a user's connection may not support it
	defer stop()
	if _, err := conn.Write(wire.Heartbeat); err != nil {
		return err
	}
	answer := make([]byte, len(wire.Heartbeat))
	n, err := io.ReadFull(conn, answer)
	switch {
	case err != nil && n == 0 && (errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil):
		return silence(ctx, conn, end)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("it closed the connection instead, as a load balancer without a node does, or a server of another protocol: %w", err)
	case err != nil:
		return err
	}
	if string(answer) != string(wire.Heartbeat) {
		return fmt.Errorf("%w to a heartbeat: % x%s", wire.ErrAnswer, answer, wire.Foreign(answer))
	}
	if !stop() {
		return ctx.Err()
	}
	_ = conn.SetDeadline(time.Time{})
	return nil
}

// silence says why no answer came. A server of another protocol, such as HTTP, waits for more than a heartbeat, and says what it is
// when nothing more comes.
func silence(ctx context.Context, conn *link, end time.Time) error {
	words := make([]byte, 64)
	if ctx.Err() == nil { // otherwise there is no time left for that
		conn.closeWrite()
		_ = conn.SetReadDeadline(end)
	}
	if n, _ := conn.Read(words); n > 0 {
		return fmt.Errorf("%w to a heartbeat: % x%s", wire.ErrAnswer, words[:min(n, len(wire.Heartbeat))], wire.Foreign(words[:n]))
	}
	<-ctx.Done()
	return fmt.Errorf("not a byte came: %w", ctx.Err())
}

// Write adds the frames to the in-flight table, since an answer may come before the write has returned, and then writes them in one
// system call. On an error it returns the frames of which no byte was written; Serve returns the others.
func (c *Conn[T]) Write(frames []byte, written []Written[T]) (left []Written[T], err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	now := time.Now()
	c.mu.Lock()
	if c.closed != nil {
		err := c.closed
		c.mu.Unlock()
		return written, err
	}
	if c.table.live == 0 {
		c.timer.Reset(min(c.cfg.AckTimeout, c.cfg.HeartbeatInterval))
	}
	for _, w := range written {
		w.At = now
		c.table.push(w)
	}
	c.lastWrite = now
	c.mu.Unlock()
	// check closes the connection if no answer comes in time, which ends a write that hangs.
	n, err := c.conn.Write(frames)
	if err == nil {
		return nil, nil
	}
	begun := sort.Search(len(written), func(i int) bool { return written[i].Start >= n })
	c.mu.Lock()
	left = c.table.takeBack(len(written) - begun)
	c.mu.Unlock()
	c.Fail(fmt.Errorf("%w: %w", ErrWrite, err))
	return left, err
}

// Forget drops dead items from time to time. Their answers come with an Item of the zero value.
func (c *Conn[T]) Forget(dead func(T) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.table.forget(dead)
}

// Forgotten returns the number of frames without an answer whose items were forgotten.
func (c *Conn[T]) Forgotten() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.table.forgotten
}

// InFlight returns the number of frames without an answer.
func (c *Conn[T]) InFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.table.live
}

// Waits returns since when the oldest frame has had no answer; zero if there is none.
func (c *Conn[T]) Waits() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, _ := c.table.oldest()
	return w.At
}

// Hurry makes the ack time-out of each frame count from its write, because the node is slow and not the network.
func (c *Conn[T]) Hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hurried = true; c.closed == nil {
		c.timer.Reset(time.Millisecond)
	}
}

// Close ends the connection; Serve returns. With frames in flight it is reset.
func (c *Conn[T]) Close() { c.Fail(ErrClosedByUs) }

// Fail is Close for a reason of its own. The first one counts.
func (c *Conn[T]) Fail(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return
	}
	c.closed = reason
	c.timer.Stop()
	if c.table.live > 0 {
		// Their batches go elsewhere, or are given up, and what the kernel still holds of them must not reach the node after that.
		// Closed like this, the kernel drops it and resets the connection.
		c.conn.reset()
	}
	c.conn.hangUp()
}

// check is the connection's one timer: it ends a connection whose next answer is overdue, and sends the heartbeats.
func (c *Conn[T]) check() {
	defer c.cfg.Guard()
	c.mu.Lock()
	now := time.Now()
	next, left := c.cfg.HeartbeatInterval-now.Sub(c.lastWrite), c.cfg.AckTimeout
	waits := c.beatSent
	if w, ok := c.table.oldest(); ok && (waits.IsZero() || w.At.Before(waits)) {
		waits = w.At
	}
	if !waits.IsZero() {
		// While answers come in order, the rest is on its way: it only takes longer over a slow link.
		if c.lastAnswer.After(waits) && !c.hurried {
			waits = c.lastAnswer
		}
		if left -= now.Sub(waits); left <= 0 {
			c.mu.Unlock()
			c.Fail(ErrAckTimeout)
			return
		}
		if !c.beatSent.IsZero() { // its answer may come soon, and then the next one is due
			next = c.cfg.HeartbeatInterval
		}
		next = min(left, max(next, 0))
	}
	beat := c.closed == nil && c.beatSent.IsZero() && now.Sub(c.lastWrite) >= c.cfg.HeartbeatInterval
	if beat {
		c.beatSent, c.lastWrite = now, now
		next = min(left, c.cfg.HeartbeatInterval) // a frame before it may be overdue sooner than its own answer
	}
	if c.closed == nil {
		c.timer.Reset(max(next, time.Millisecond))
	}
	c.mu.Unlock()
	if beat {
		c.writing.Lock()
		defer c.writing.Unlock()
		if _, err := c.conn.Write(wire.Heartbeat); err != nil {
			c.Fail(fmt.Errorf("%w: %w", ErrWrite, err))
		}
	}
}
