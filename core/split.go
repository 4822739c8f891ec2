package dataproxy

import (
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// The longest frame may shrink while batches wait: the Manager's first list comes after them, or a later one has a smaller
// maxPacketLength. A node closes the connection on a frame that is too long, so such a batch is dealt out to shorter ones before
// it is written. It is dead then, and stays what it was: some of its messages may have been settled alone, and somebody may be
// looking at those.

// part is a batch that took over some messages of a longer one.
type part struct {
	b     *batch
	seq   uint64 // of b, as long as it is this part
	count int
}

// fits reports whether b's items go into one frame.
func (b *batch) fits() bool { return len(b.body.b) <= b.st.longest(b.attributes)+itemHeader }

// split deals out b's live messages. One that is too long alone is settled, and due to be completed. The caller holds b.mu.
func (c *client) split(b *batch, now time.Time, due []completion) []completion {
	room := b.st.longest(b.attributes) + itemHeader
	var to *batch
	for i := range b.count() {
		size := itemHeader + len(b.payload(i))
		switch {
		case b.settledAlone(i):
			continue
		case size > room:
			due = append(due, b.settle([]int32{int32(i)}, b.fault(CodeLogTooLong,
				"payload: does not fit into one frame since the Manager lowered maxPacketLength", nil)))
			continue
		case to == nil || len(to.body.b)+size > room:
			next := c.batches.part(b)
			if c.opts.Ordered && to != nil {
				to.follower = next
			} else {
				next.onItsWay = b.onItsWay
			}
			to = next
			b.parts = append(b.parts, part{b: to, seq: to.id.Seq})
		}
		to.take(b, i)
		b.parts[len(b.parts)-1].count++
	}
	if to != nil {
		to.follower = b.follower // b may be a part itself, with others behind it
	}
	for _, p := range b.parts {
		p.b.undelivered.Store(int32(p.count))
		p.b.pay()
		p.b.wake(now)
		p.b.mu.Unlock()
		b.unsettled -= p.count
	}
	if b.unsettled == 0 {
		b.timer.Stop()
	}
	b.expired = true // not to be used again: see whereabouts
	return due
}

// take appends message i of another batch.
func (b *batch) take(from *batch, i int) {
	b.body.b = wire.AppendItem(b.body.b, from.payload(i))
	b.ends = append(b.ends, uint32(len(b.body.b)))
	if len(from.receivers) > 0 {
		b.receivers = append(b.receivers, from.receivers[i])
	} else {
		b.tags = append(b.tags, from.tags[i])
	}
	if len(from.details) > 0 { // also when earlier messages had none: one that is too long makes them
		*b.detail(b.count() - 1) = from.details[i]
	}
	b.unsettled++
}

// sendParts dispatches the parts of a batch that was split: of an ordered stream one after the other.
func (c *client) sendParts(b *batch) {
	moved := 0
	for _, p := range b.parts {
		moved += p.count
	}
	if b.undelivered.Add(int32(-moved)) == 0 {
		c.batches.remove(b, false)
	}
	for i, p := range b.parts {
		if i == 0 || !c.opts.Ordered {
			c.dispatcher.dispatch(p.b)
		}
	}
}

// whereabouts finds message i of the batch that had this number.
func (b *batch) whereabouts(seq uint64, i int) (*batch, uint64, int) {
	for {
		b.mu.Lock()
		if b.id.Seq != seq || len(b.parts) == 0 || b.settledAlone(i) {
			b.mu.Unlock()
			return b, seq, i
		}
		for j := i - 1; j >= 0; j-- { // only live messages were dealt out
			if b.settledAlone(j) {
				i--
			}
		}
		parts := b.parts
		b.mu.Unlock()
		for _, p := range parts {
			if i < p.count {
				b, seq = p.b, p.seq
				break
			}
			i -= p.count
		}
	}
}
