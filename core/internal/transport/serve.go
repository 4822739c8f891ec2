package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

const lengthWord = 4

// Handler receives what Serve reads, on Serve's goroutine; it must not block.
type Handler[T any] interface {
	// Answered returns a frame with its answer, whose bytes are valid during the call.
	Answered(w Written[T], a *wire.Answer)
	// Unmatched reports an answer that matches no frame in flight.
	Unmatched(a *wire.Answer)
}

// Serve reads answers until the connection ends, and returns the reason and the frames that have no answer, oldest first: their
// outcome is unknown.
func (c *Conn[T]) Serve(h Handler[T]) ([]Written[T], error) {
	lent := c.cfg.GetBuffer()
	defer func() { c.cfg.PutBuffer(lent) }() // not buf: the pool gets back what it lent
	buf := lent[:cap(lent)]
	if len(buf) < 512 {
		buf = make([]byte, 4096)
	}
	filled := 0
	for {
		n, err := c.conn.Read(buf[filled:])
		filled += n
		used, need, bad := c.dispatch(buf[:filled], h)
		if bad != nil {
			c.Fail(fmt.Errorf("%w: %w", ErrRead, bad))
		} else if err != nil {
			c.Fail(readReason(err, filled > used))
		}
		if bad != nil || err != nil {
			c.writing.Lock() // a write that is running fails now, and takes back what it did not write
			defer c.writing.Unlock()
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.table.drain(), c.closed
		}
		filled = copy(buf, buf[used:filled])
		if need > len(buf) {
			grown := make([]byte, min(max(need, 2*len(buf)), c.cfg.MaxAnswer+lengthWord))
			copy(grown, buf[:filled])
			buf = grown
		}
	}
}

// dispatch passes on the complete answers in data. It returns the bytes they took and the length of the incomplete one.
func (c *Conn[T]) dispatch(data []byte, h Handler[T]) (used, need int, err error) {
	for len(data)-used >= lengthWord {
		length := int64(int32(binary.BigEndian.Uint32(data[used:])))
		if length < 1 || length > int64(c.cfg.MaxAnswer) {
			return used, 0, fmt.Errorf("%w: it announces %d bytes: it must be 1 to %d%s", wire.ErrAnswer, length, c.cfg.MaxAnswer,
				wire.Foreign(data[used:]))
		}
		whole := lengthWord + int(length)
		if len(data)-used < whole {
			return used, whole, nil
		}
		if c.answer, err = wire.ParseAnswer(data[used+lengthWord : used+whole]); err != nil {
			return used, 0, err
		}
		used += whole
		c.match(&c.answer, h)
	}
	return used, 0, nil
}

func (c *Conn[T]) match(a *wire.Answer, h Handler[T]) {
	c.mu.Lock()
	if a.Type == wire.TypeHeartbeat {
		c.beatSent = time.Time{} // says nothing about the frames before it
		c.mu.Unlock()
		return
	}
	oldest, _ := c.table.oldest()
	w, ok := c.table.take(a, c.cfg.Type, c.cfg.Client)
	if ok && w.Seq == oldest.Seq {
		c.lastAnswer = time.Now()
	}
	c.mu.Unlock()
	if ok {
		h.Answered(w, a)
	} else {
		h.Unmatched(a)
	}
}

func readReason(err error, insideAnswer bool) error {
	switch {
	case insideAnswer:
		return fmt.Errorf("%w inside an answer: %w", ErrPeerClosed, err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
		return fmt.Errorf("%w: %w", ErrPeerClosed, err)
	}
	return fmt.Errorf("%w: %w", ErrRead, err)
}
