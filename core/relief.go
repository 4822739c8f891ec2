package dataproxy

import (
	"context"
	"sync/atomic"
	"time"
)

// mostWait is how long somebody who finds no room may have to wait for the linger of others' batches, which hold it.
const mostWait = 10 * time.Millisecond

// reliefStreams is how many streams are looked at in a mostWait, which takes a millisecond.
const reliefStreams = 10_000

// ask has room made for somebody of st who finds none; full says where.
func (b *budget) ask(full shortage, st *stream) {
	short := &b.short
	switch full {
	case streamIsFull:
		short = &st.short
	case shareIsFull:
		short = &st.share.short
	}
	b.askFor(short)
}

// askFor has the relief look at what is short.
func (b *budget) askFor(short *atomic.Bool) {
	if b.relief == nil || short.Swap(true) { // no linger is that long, or asked already
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = true
	if !b.running {
		b.running = true
		b.relief.Reset(mostWait)
	}
}

// relieve seals the open batches that hold the room which somebody lacks, again and again while somebody waits or comes back every
// now and then to ask for it: those of a stream or a share that is full, and when common bytes are gone those of all that have any. It
// looks at all streams: the more there are, the longer is the pause, or a processor would do nothing else.
func (b *budget) relieve(c *client) {
	defer c.guard()
	b.mu.Lock()
	bulk := c.bulk.short.Swap(false) || c.bulk.waiting.Load() > 0
	b.running = b.asked || b.waiting.Load() > 0 || bulk
	b.asked = false
	common := b.short.Swap(false) || b.line.Len() > 0
	short := make([]bool, len(b.shares))
	for i := range b.shares {
		s := &b.shares[i]
		_, bytes := s.used.load()
		short[i] = s.short.Swap(false) || s.line.Len() > 0 || common && bytes > b.reserve
	}
	again := b.running
	b.mu.Unlock()
	if again {
		c.flushStreams(context.Background(), func(st *stream) bool {
			return st.short.Swap(false) || short[st.share.index] || st.waiters.Load() > 0 || bulk && st.bulk.Load()
		})
		b.relief.Reset(c.streams.reliefPause())
	}
}

func (s *streams) reliefPause() time.Duration {
	return mostWait * time.Duration(1+s.count()/reliefStreams)
}
