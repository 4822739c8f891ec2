package dataproxy

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/valyala/bytebufferpool"
)

// NewBufferPool returns a BufferPool that keeps at most n buffers, for sharing between clients and the application.
func NewBufferPool(n int) BufferPool { return &bufferPool{max: int64(n)} }

type bufferPool struct {
	pool sync.Pool
	lent atomic.Int64
	max  int64
}

func (p *bufferPool) Get() *bytes.Buffer {
	p.lent.Add(1)
	if b, ok := p.pool.Get().(*bytes.Buffer); ok {
		return b
	}
	return new(bytes.Buffer)
}

// Put drops the buffer when more than max are lent. So the pool keeps no more than were lent at one time.
func (p *bufferPool) Put(b *bytes.Buffer) {
	if p.lent.Add(-1) < p.max {
		b.Reset()
		p.pool.Put(b)
	}
}

// NewBytePool returns a BytePool that keeps at most n slices of the given width.
func NewBytePool(n, width int) BytePool { return &bytePool{max: int64(n), width: max(width, 0)} }

type bytePool struct {
	pool  sync.Pool
	lent  atomic.Int64
	max   int64
	width int
}

func (p *bytePool) Get() []byte {
	p.lent.Add(1)
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, p.width)
}

func (p *bytePool) Put(b []byte) {
	if p.lent.Add(-1) < p.max && cap(b) >= p.width {
		b = b[:p.width]
		p.pool.Put(&b)
	}
}

// guardedBuffers and guardedBytes wrap a user's pools, so that a panic or runtime.Goexit in them harms neither the caller nor the
// client. What they fail to lend is allocated, what they fail to take back is dropped.
type guardedBuffers struct {
	pool BufferPool
	c    *client
}

func (p guardedBuffers) Get() (b *bytes.Buffer) {
	p.c.apart(func() { b = p.pool.Get() })
	return b
}

func (p guardedBuffers) Put(b *bytes.Buffer) { p.c.apart(func() { p.pool.Put(b) }) }

type guardedBytes struct {
	pool BytePool
	c    *client
}

func (p guardedBytes) Get() (b []byte) {
	p.c.apart(func() { b = p.pool.Get() })
	return b
}

func (p guardedBytes) Put(b []byte) { p.c.apart(func() { p.pool.Put(b) }) }

// apart calls a user's pool on a goroutine of its own and waits for it: runtime.Goexit there must not end one of ours, such as the
// one that calls the callbacks of a worker.
func (c *client) apart(call func()) {
	done := make(chan struct{})
	c.working.Add(1)
	go func() {
		returned := false
		defer c.working.Done()
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				c.log.Errorf("a pool of the user panicked: %v\n%s", oneLine(fmt.Sprint(r)), debug.Stack())
			} else if !returned {
				c.log.Errorf("a pool of the user called runtime.Goexit")
			}
		}()
		call()
		returned = true
	}()
	<-done
}

// buffer is a borrowed byte slice; b may be replaced by a grown one.
type buffer struct {
	b    []byte
	own  *bytebufferpool.ByteBuffer
	user *bytes.Buffer
}

// buffers lends the client's buffers: from the user's pool if one was given.
type buffers struct {
	user BufferPool
	own  bytebufferpool.Pool
	lent atomic.Int64
	max  int64
}

func (p *buffers) get() buffer {
	if p.user != nil {
		u := p.user.Get()
		if u == nil { // the pool is empty; checked here, so that not each send has a panic to recover from
			u = new(bytes.Buffer)
		}
		u.Reset()
		return buffer{b: u.AvailableBuffer(), user: u}
	}
	p.lent.Add(1)
	o := p.own.Get()
	return buffer{b: o.B[:0], own: o}
}

func (p *buffers) put(b buffer) {
	switch {
	case b.user != nil:
		*b.user = *bytes.NewBuffer(b.b[:0]) // the pool gets the grown slice back
		p.user.Put(b.user)
	case b.own != nil:
		b.own.B = b.b
		if p.lent.Add(-1) < p.max {
			p.own.Put(b.own)
		}
	}
}

// forget is put for a buffer whose bytes somebody may still read. The user's pool gets its buffer back without them.
func (p *buffers) forget(b buffer) {
	switch {
	case b.user != nil:
		*b.user = bytes.Buffer{}
		p.user.Put(b.user)
	case b.own != nil:
		p.lent.Add(-1)
	}
}
