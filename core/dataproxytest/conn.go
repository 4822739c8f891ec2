package dataproxytest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

const (
	readSize   = 64 << 10
	flushAt    = 64 << 10
	writeLimit = 2 * time.Second // a client that takes no answers for that long is reset, as the real node does
	lengthWord = 4
)

// conn is one accepted connection. All but outbox, close and reset belongs to the goroutine of serve.
type conn struct {
	node *Node
	id   uint64
	nc   *net.TCPConn
	once sync.Once
	gone chan struct{}

	// keeping is held while a frame is recorded and while gone is closed: nothing is recorded after the client learns of the end, since a
	// real node closes between two frames.
	keeping sync.Mutex

	req    wire.Request
	items  []wire.Item
	added  []byte
	out    []byte    // answers of this round of reading
	kept   []*Record // what those answers ack
	box    outbox
	now    time.Time // when this round was read
	millis string

	silent bool
	rate   int // bytes a second; 0 is unlimited
}

// next is what the connection does after a frame.
type next int

const (
	goOn next = iota
	hangUp
	rst
)

func newConn(n *Node, nc *net.TCPConn) *conn {
	c := &conn{node: n, id: n.cluster.connIDs.Add(1), nc: nc, gone: make(chan struct{})}
	c.req.SkipBody = n.cluster.opts.trustBodies
	c.box.conn = c
	return c
}

// close ends the connection with FIN, or as the kernel does with unread input.
func (c *conn) close() {
	c.once.Do(func() {
		c.keepNoMore()
		_ = c.nc.Close()
		c.node.leave(c)
	})
}

// reset ends the connection with RST.
func (c *conn) reset() {
	c.once.Do(func() {
		c.keepNoMore()
		_ = c.nc.SetLinger(0)
		_ = c.nc.Close()
		c.node.leave(c)
	})
}

// keepNoMore closes gone: what was read and is not recorded by now is forgotten.
func (c *conn) keepNoMore() {
	c.keeping.Lock()
	defer c.keeping.Unlock()
	close(c.gone)
}

func (c *conn) serve() {
	defer c.node.cluster.wg.Done()
	defer c.box.wait()
	defer c.close()
	buf := make([]byte, readSize)
	start, end := 0, 0
	c.stamp()
	lastFrame := c.now
	_ = c.nc.SetReadDeadline(lastFrame.Add(c.node.cluster.opts.readIdle))
	for {
		n, err := c.read(buf[end:], lastFrame)
		if err == io.EOF {
			c.box.wait() // the peer may only have closed its side: late answers still go out
		}
		if err != nil {
			return
		}
		c.node.pass(c.gone)
		c.stamp()
		end += n
		used, do := c.frames(buf[start:end])
		if used > 0 {
			lastFrame = c.now
		}
		start += used
		if !c.flush() || do == rst {
			c.reset()
			return
		}
		if do == hangUp {
			c.box.wait() // answers that are late still go out, in order
			return
		}
		end = copy(buf, buf[start:end])
		start = 0
		if end == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

// read waits for input. Only whole frames keep a connection alive, so the deadline counts from the last one.
func (c *conn) read(into []byte, lastFrame time.Time) (int, error) {
	if c.rate > 0 {
		pause := time.NewTimer(50 * time.Millisecond)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-c.gone:
			return 0, net.ErrClosed
		}
		into = into[:min(len(into), max(1, c.rate/20))]
	}
	for {
		n, err := c.nc.Read(into)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		deadline := lastFrame.Add(c.node.cluster.opts.readIdle)
		if !time.Now().Before(deadline) {
			return 0, err
		}
		_ = c.nc.SetReadDeadline(deadline)
	}
}

func (c *conn) stamp() {
	c.now = time.Now()
	c.millis = ""
}

func (c *conn) receiveTime() string {
	if c.millis == "" {
		c.millis = strconv.FormatInt(c.now.UnixMilli(), 10)
	}
	return c.millis
}

// frames handles every whole frame of input and returns how many bytes they took.
func (c *conn) frames(input []byte) (used int, do next) {
	limit := c.node.cluster.opts.maxMessageLength
	for {
		rest := input[used:]
		if len(rest) < lengthWord {
			return used, goOn
		}
		total := int(int32(binary.BigEndian.Uint32(rest)))
		if total < 0 || total+lengthWord > limit {
			return used, hangUp
		}
		if c.cutShort(rest, total+lengthWord) {
			return used, rst
		}
		if len(rest) < total+lengthWord {
			return used, goOn
		}
		used += total + lengthWord
		if do := c.frame(rest[:total+lengthWord]); do != goOn {
			return used, do
		}
		if len(c.out) >= flushAt && !c.flush() {
			return used, rst
		}
	}
}

// cutShort reports whether a waiting reset_mid_frame fault strikes the data frame that begins with head.
func (c *conn) cutShort(head []byte, size int) bool {
	if len(head) <= lengthWord || heartbeatType(head[lengthWord]) {
		return false
	}
	f := c.node.faults.peek(onData)
	if f.Kind != KindResetMidFrame || len(head) < min(f.Bytes, size-1) {
		return false
	}
	c.node.faults.take(onData)
	return true
}

func heartbeatType(b byte) bool {
	t := b & 0x1F
	return t == wire.TypeHeartbeat || t == wire.TypeBinaryHeartbeat
}

func (c *conn) frame(frame []byte) next {
	if len(frame) > lengthWord+1 && frame[lengthWord] == 0 && frame[lengthWord+1] == 1 {
		return goOn // protocol version 1: its answer would not leave the real server either
	}
	v := c.req.Parse(frame)
	if v.Close {
		return hangUp
	}
	if c.req.IsHeartbeat() {
		c.node.counts.heartbeats.Add(1)
		if f := c.node.faults.take(onHeartbeat); f.Kind == "" && !c.silent {
			c.out = appendHeartbeatAnswer(c.out, &c.req, uint32(c.now.Unix()))
		}
		return goOn
	}
	return c.data(v)
}

// flush hands the answers of this round over. False: the connection is dead.
func (c *conn) flush() bool {
	if len(c.out) == 0 {
		return true
	}
	ok := c.box.send(c.out, c.kept)
	c.out, c.kept = c.out[:0], c.kept[:0]
	return ok
}

// write puts answers on the wire and marks what they ack.
func (c *conn) write(answers []byte, acks []*Record) bool {
	c.node.pass(c.gone)
	_ = c.nc.SetWriteDeadline(time.Now().Add(writeLimit))
	if _, err := c.nc.Write(answers); err != nil {
		return false
	}
	if len(acks) > 0 {
		c.node.cluster.rec.acked(acks)
	}
	return true
}
