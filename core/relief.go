package dataproxy

import (
	"context"
	"sync/atomic"
	"time"
)

// mostWait is the longest time for which a caller without room waits for the linger of batches that hold it.
const mostWait = 10 * time.Millisecond

// reliefStreams is how many streams are checked in a mostWait, which takes a millisecond.
const reliefStreams = 10_000

// ask requests room for a caller of st that finds none; full says where.
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

// askFor makes the relief check what is short.
func (b *budget) askFor(short *atomic.Bool) {
	if b.relief == nil || short.Swap(true) { // no linger is that long, or it was asked already
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

// relieve seals the open batches that hold the room which somebody lacks, and repeats it while somebody waits or keeps asking. They
// are those of a stream or a share that is full, and those of all streams if common bytes are used up. It checks all streams, so
// its pauses grow with their number; otherwise it would keep a processor busy.
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
