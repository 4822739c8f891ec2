package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/cmd/internal/loglines"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

const (
	frameMessages = 50       // the client's defaults, so that both send the same frames
	frameBytes    = 40 << 10 //
	bareWindow    = 256      // frames in flight on a connection
	lengthWord    = 4
)

// framer makes frames as the client does, with the same attributes, and does nothing else.
type framer struct {
	corpus            *loglines.Cursor
	id                wire.BatchID
	body, attr, frame []byte
}

func (f *framer) next(messages int64) []byte {
	f.body, f.attr = f.body[:0], f.attr[:0]
	for range messages {
		f.body = wire.AppendItem(f.body, f.corpus.Next())
	}
	f.id.Seq++
	f.attr = append(f.attr, "groupId="+benchGroup+"&streamId="+benchStream+"&dt="...)
	f.attr = strconv.AppendInt(f.attr, time.Now().UnixMilli(), 10)
	f.attr = f.id.Append(append(f.attr, "&mid="...))
	f.attr = f.id.Append(append(f.attr, "&sid="...))
	f.attr = append(f.attr, "&wid=0&cnt="...)
	f.attr = strconv.AppendInt(f.attr, messages, 10)
	f.frame = wire.AppendText(f.frame[:0], f.body, f.attr, true)
	return f.frame
}

// messagesPerFrame is what the client's bounds of a batch allow.
func messagesPerFrame(size int) int64 { return min(frameMessages, frameBytes/int64(size+4)) }

// runBare is the loop that every client is compared with: one goroutine frames, compresses and writes, one frame a system
// call, over two connections in turn; a goroutine a connection reads the answers.
func runBare(j job) (sample, error) {
	corpus, err := openCorpus(j.Corpus, j.Size)
	if err != nil {
		return sample{}, err
	}
	var conns []*bareConn
	for i := range 2 {
		c, err := dialBare(j.Server.Nodes[i%len(j.Server.Nodes)])
		if err != nil {
			return sample{}, err
		}
		defer c.Close()
		conns = append(conns, c)
	}
	f := &framer{corpus: loglines.NewCursor(corpus, j.Size, 0), id: wire.BatchID{Client: 1}}
	perFrame := messagesPerFrame(j.Size)
	send := func(p pace) (sent int64, err error) {
		for n := p.next(0); n > 0; n = p.next(sent) {
			for n > 0 {
				c, k := conns[f.id.Seq%2], min(n, perFrame)
				if err := c.send(f.next(k)); err != nil {
					return sent, err
				}
				n, sent = n-k, sent+k
			}
		}
		for _, c := range conns {
			if err := c.wait(); err != nil {
				return sent, err
			}
		}
		return sent, nil
	}
	if _, err := send(j.warmUp(8 * perFrame)); err != nil {
		return sample{}, err
	}
	m := startMeter()
	sent, err := send(j.measured(8*perFrame, 1))
	return m.stop(sent), err
}

// bareConn is a connection with a bounded number of frames in flight.
type bareConn struct {
	net.Conn
	window chan struct{} // one entry a frame in flight
	fault  atomic.Pointer[error]
}

func dialBare(node string) (*bareConn, error) {
	conn, err := net.Dial("tcp", node)
	if err != nil {
		return nil, err
	}
	c := &bareConn{Conn: conn, window: make(chan struct{}, bareWindow)}
	go func() {
		err := c.read()
		c.fault.Store(&err)
		for { // nobody waits for room that no answer will make
			<-c.window
		}
	}()
	return c, nil
}

func (c *bareConn) send(frame []byte) error {
	c.window <- struct{}{}
	if _, err := c.Write(frame); err != nil {
		if fault := c.fault.Load(); fault != nil {
			err = *fault
		}
		return err
	}
	return nil
}

// wait returns when everything is answered.
func (c *bareConn) wait() error {
	for range cap(c.window) {
		c.window <- struct{}{}
	}
	for range cap(c.window) {
		<-c.window
	}
	if fault := c.fault.Load(); fault != nil {
		return *fault
	}
	return nil
}

func (c *bareConn) read() error {
	defer c.Close()
	buf, filled, first := make([]byte, 64<<10), 0, true
	for {
		n, err := c.Read(buf[filled:])
		if err != nil {
			return err
		}
		filled += n
		at := 0
		for filled-at >= lengthWord {
			end := at + lengthWord + int(binary.BigEndian.Uint32(buf[at:]))
			if end > filled {
				break
			}
			if first { // the others are like it
				if err := checkAnswer(buf[at+lengthWord : end]); err != nil {
					return err
				}
				first = false
			}
			at = end
			<-c.window
		}
		filled = copy(buf, buf[at:filled])
	}
}

func checkAnswer(frame []byte) error {
	a, err := wire.ParseAnswer(frame)
	if err == nil && (a.Type != wire.TypeText || a.Code != 0) {
		err = fmt.Errorf("the node answered type %d, code %d %s", a.Type, a.Code, a.Text)
	}
	return err
}

// runTrip measures a frame of one message out and its answer back: what a synchronous send cannot be faster than.
func runTrip(j job) (sample, error) {
	corpus, err := openCorpus(j.Corpus, j.Size)
	if err != nil {
		return sample{}, err
	}
	conn, err := net.Dial("tcp", j.Server.Nodes[0])
	if err != nil {
		return sample{}, err
	}
	defer conn.Close()
	f := &framer{corpus: loglines.NewCursor(corpus, j.Size, 0), id: wire.BatchID{Client: 1}}
	answer := make([]byte, 64<<10)
	trip := func() error {
		if _, err := conn.Write(f.next(1)); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, answer[:lengthWord]); err != nil {
			return err
		}
		frame := answer[:min(int(binary.BigEndian.Uint32(answer)), len(answer))]
		if _, err := io.ReadFull(conn, frame); err != nil {
			return err
		}
		return checkAnswer(frame)
	}
	return measureCalls(j, 1, func(int) error { return trip() })
}
