package dataproxy

import (
	"sync"
	"sync/atomic"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// kept is what the client remembers of a stored batch.
type kept struct {
	store   *spool.Spool
	ref     spool.Ref // its name there
	opening int       // of the store
	ended   bool      // acked, given up, or left to the store
	size    int64     // of a batch that was read back; its messages may be gone when it ends
	rest    int       // messages that were neither acked nor given up
	block   []byte    // its body as it was stored, if that is compressed and in this client's form; from blocks
	counts  bool      // its messages' result is that they are stored
	// ackedAtLoss is how many batches had been acked when this one last lost its connection.
	ackedAtLoss int64
}

// block returns b's body as it was stored, if its frame holds all of it. The caller holds b.mu.
func (b *batch) block() []byte {
	if b.kept == nil || b.frame.items != nil {
		return nil
	}
	return b.kept.block
}

// blocks are the buffers into which stored batches are compressed, once for the disk and for the network.
var blocks = sync.Pool{New: func() any { return new([]byte) }}

func giveBlock(block []byte) {
	block = block[:0]
	blocks.Put(&block)
}

// ended is called for each batch that was acked, failed, or was left to the disk, before b's memory is reused.
func (s *spooler) ended(b *batch, acked bool, err *Error) {
	if s == nil {
		return
	}
	if s.c.opts.Ordered { // otherwise a later batch could be sent before this one counts as being on the disk
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
	left := (err == nil || err.Code == CodeStored) && k.rest > 0
	switch {
	case acked:
		s.ends(b, k.rest, 0, nil)
	case !again && !left:
		s.ends(b, k.rest, b.told(), err)
	}
	b.mu.Unlock()
	switch {
	case acked:
		k.store.Ack(k.ref)
		s.acked.Add(1)
	case again:
		return
	case left:
		k.store.Release(k.ref)
		if l := b.st.spooled; l != nil {
			l.left(position{k.opening, k.ref}, s)
		}
		s.wakeFor(&s.backlog)
		return
	default:
		k.store.Ack(k.ref)
	}
	s.ackedOne()
	if b.replayed { // now there is room for the next one
		s.wake()
	}
}

// ends notes that some messages of a stored batch were acked, or given up with err. Nobody waits for those whose result was
// "stored", nor for what was read back. The caller holds b.mu.
func (s *spooler) ends(b *batch, messages, told int, err *Error) {
	if s == nil || b.kept == nil {
		return
	}
	b.kept.rest -= messages
	if b.replayed {
		told = messages
	}
	switch {
	case messages == 0:
	case err != nil:
		s.counts.givenUp.Add(int64(messages))
		if told > 0 {
			s.c.log.Countf(told, "%d messages of the spool are given up with code %s, the last one: %v", err.Code, err)
		}
	case b.replayed:
		s.counts.replayed.Add(int64(messages))
	}
}

// told returns how many messages have the result "stored" and have not ended. The caller holds b.mu.
func (b *batch) told() (messages int) {
	for i := range b.details {
		if b.details[i].settled && b.details[i].with == nil {
			messages++
		}
	}
	return messages
}

// wakeFor sets a flag and wakes the goroutine, unless the flag was set before.
func (s *spooler) wakeFor(flag *atomic.Bool) {
	if !flag.Load() && !flag.Swap(true) {
		s.wake()
	}
}
