package dataproxy

import (
	"sync"
	"sync/atomic"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// kept is what a stored batch has of the store.
type kept struct {
	store   *spool.Spool
	ref     spool.Ref // its name there
	opening int       // of the store
	ended   bool      // acked, given up, or left to the store
	size    int64     // of what was read back; its messages may be gone when it ends
	block   []byte    // its body as it was stored, where that is compressed and as this client sends it; from blocks
	counts  bool      // being stored is its messages' result
	// ackedAtLoss is how many batches had been acked when this one last lost its connection.
	ackedAtLoss int64
}

// block returns b's body as it was stored, if that is what its frame has. The caller holds b.mu.
func (b *batch) block() []byte {
	if b.kept == nil || b.frame.items != nil {
		return nil
	}
	return b.kept.block
}

// blocks are what stored batches are compressed into: once, for the disk and for the network.
var blocks = sync.Pool{New: func() any { return new([]byte) }}

func giveBlock(block []byte) {
	block = block[:0]
	blocks.Put(&block)
}

// ended is told of each batch that is done with: acked, failed, or left to the disk. It is called before b's memory is used again.
func (s *spooler) ended(b *batch, acked bool, err *Error) {
	if s == nil {
		return
	}
	if s.c.opts.Ordered { // else a batch behind it could go before it counts as being on the disk
		b.st.mu.Lock()
		defer b.st.mu.Unlock()
	}
	s.end(b, acked, err)
}

// end is ended for a caller that holds the lock of an ordered stream.
func (s *spooler) end(b *batch, acked bool, err *Error) {
	b.mu.Lock()
	k := b.kept
	if k == nil {
		b.mu.Unlock()
		return
	}
	again := k.ended
	k.ended = true
	acked = acked && !k.counts
	if b.replayed && !again {
		s.reading.Add(-k.size)
	}
	b.mu.Unlock()
	switch {
	case acked:
		k.store.Ack(k.ref)
		s.acked.Add(1)
		if b.replayed {
			s.counts.replayed.Add(int64(b.count()))
		}
	case again:
		return
	case err == nil || err.Code == CodeStored:
		k.store.Release(k.ref)
		if l := b.st.spooled; l != nil {
			l.left(position{k.opening, k.ref}, s)
		}
		s.wakeFor(&s.backlog)
		return
	default:
		k.store.Ack(k.ref)
		s.counts.givenUp.Add(int64(b.count()))
		if b.replayed {
			s.c.log.Countf(b.count(), "%d messages of the spool are given up with code %s, the last one: %v", err.Code, err)
		}
	}
	s.ackedOne()
	if b.replayed { // there is room for the next one
		s.wake()
	}
}

// died is told of a batch that was found without unsettled messages when it was to be written. One of which nothing can be sent any more
// is given up.
func (s *spooler) died(b *batch) {
	if s == nil {
		return
	}
	b.mu.Lock()
	var err *Error
	if b.frame.items != nil && len(b.frame.items) == 0 {
		err = b.fault(CodeLogTooLong, "no message of it fits into a frame", nil)
	}
	b.mu.Unlock()
	s.ended(b, false, err)
}

// wakeFor has the goroutine see a flag, unless it was set before.
func (s *spooler) wakeFor(flag *atomic.Bool) {
	if !flag.Load() && !flag.Swap(true) {
		s.wake()
	}
}
