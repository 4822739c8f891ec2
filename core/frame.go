package dataproxy

import (
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// A batch's frame is chosen when it is written for the first time: its live messages. From then on the frame stays the same under
// its id, however often it is written, because a consumer recognizes a duplicate by the id. A message of it that is settled
// meanwhile has its result and stays in the frame.
//
// The longest frame may shrink while batches wait: the Manager's first list arrives after them, or a later list has a smaller
// maxPacketLength. A node closes the connection on a frame that is too long. So if a batch no longer fits, its first messages go in
// a frame with a new id, and when that frame has ended, the next ones go in another. One frame at a time keeps one owner for the
// batch, and its order.

// frame is what is sent to a node in one piece.
type frame struct {
	items []int32 // the messages in it; nil means all
	more  bool    // live messages that did not fit into it are waiting
	fixed bool    // a node may know it under its id, so it must not change
	// closer is the node that closed the connection after a frame longer than all that this node ever took.
	closer *node
	away   int64 // of closer, at that time
}

// frameSize is the length of all items of b's frame.
func (b *batch) frameSize() int {
	if b.frame.items == nil {
		return len(b.body.b)
	}
	size := 0
	for _, i := range b.frame.items {
		size += len(b.item(int(i)))
	}
	return size
}

// frameCount is the number of messages in b's frame.
func (b *batch) frameCount() int {
	if b.frame.items == nil {
		return b.count()
	}
	return len(b.frame.items)
}

// frameBody returns the items of b's frame and their number.
func (b *batch) frameBody() ([]byte, int) {
	if b.frame.items == nil {
		return b.body.b, b.count()
	}
	body := make([]byte, 0, b.frameSize())
	for _, i := range b.frame.items {
		body = append(body, b.item(int(i))...)
	}
	return body, len(b.frame.items)
}

// choose makes sure that b's frame can be written. While the frame may still be chosen, it has live messages only and fits; if
// nodes closed on longer frames, it may have one message. A message that fits into no frame is settled, and added to due. The
// caller holds b.mu.
func (c *client) choose(b *batch, due []completion) []completion {
	room := b.st.longest(b.attributes) + itemHeader
	if b.ownTail {
		room += len(b.st.tail)
	}
	if b.frame.fixed {
		if b.frameSize() <= room {
			return due
		}
		c.log.Warnf("batch %s, which a node may have, is too long since the Manager lowered maxPacketLength: what is sent again has other ids", b.id)
		b.id = c.batches.nextID()
	}
	b.frame = frame{}
	most := room
	if b.room > 0 {
		room = min(room, b.room)
	}
	if (!b.expired || b.whole()) && len(b.body.b) <= room {
		return due
	}
	items := make([]int32, 0, b.unsettled)
	var tooLong, left []int32 // the callers of left were told that they are stored
	size := 0
	for i := range b.count() {
		item := len(b.item(i))
		switch {
		case b.settledAlone(i) && !b.isLeft(i):
		case item > most && b.settledAlone(i):
			left = append(left, int32(i))
		case item > most:
			tooLong = append(tooLong, int32(i))
		case b.frame.more, size > 0 && size+item > room: // no smaller one overtakes it
			b.frame.more = true
		default:
			size += item
			items = append(items, int32(i))
		}
	}
	if len(items) < b.count() {
		b.frame.items = items
		if b.kept != nil { // on the disk its id stands for all of it, and another client may cut it elsewhere
			b.id = c.batches.nextID()
		}
	}
	if len(tooLong)+len(left) > 0 {
		err := b.fault(CodeLogTooLong, "payload: does not fit into one frame since the Manager lowered maxPacketLength", nil)
		b.endWith(&attempt{b.id, b.node, b.attempts}, tooLong, left)
		c.spooler.ends(b, len(tooLong)+len(left), len(left), err)
		if len(tooLong) > 0 {
			due = append(due, b.settle(tooLong, err))
		}
	}
	return due
}

// isLeft reports whether message i is still to be delivered although it was settled alone: it is stored, and has not ended.
func (b *batch) isLeft(i int) bool { return b.kept != nil && b.details[i].with == nil }

// endWith notes that these messages have ended.
func (b *batch) endWith(last *attempt, messages ...[]int32) {
	for _, indexes := range messages {
		for _, i := range indexes {
			b.detail(int(i)).with = last
		}
	}
}

// whole reports whether all of b is to be delivered, even messages that have their results.
func (b *batch) whole() bool {
	for i := range b.count() {
		if b.settledAlone(i) && !b.isLeft(i) {
			return false
		}
	}
	return true
}

// settleFrame settles what is live in b's frame, and prepares for the messages that wait for the next one. The caller holds b.mu.
func (c *client) settleFrame(b *batch, err *Error) completion {
	var live, left []int32
	for _, i := range b.frame.items {
		switch {
		case !b.settledAlone(int(i)):
			live = append(live, i)
		case b.isLeft(int(i)): // otherwise it would be in the next frame, too, before all others
			left = append(left, i)
		}
	}
	b.endWith(&attempt{b.id, b.node, b.attempts}, live, left)
	c.spooler.ends(b, len(live)+len(left), len(left), err)
	b.startAnew()
	b.id = c.batches.nextID()
	return b.settle(live, err)
}

// frameLive appends b's frame for a node, unless no message of b is live. spare is the memory for its attributes.
func (c *client) frameLive(dst []byte, spare *[]byte, b *batch, worker int, node string, now time.Time) (frames []byte, due []completion) {
	b.mu.Lock()
	defer b.mu.Unlock()
	due = b.settleDue(c, now)
	if b.unsettled > 0 {
		due = c.choose(b, due)
	}
	if b.unsettled == 0 {
		return dst, due
	}
	body, count := b.frameBody()
	start := len(dst)
	b.attempts++
	b.written, b.node = true, node
	attr := b.st.appendAttr((*spare)[:0], b, worker, count)
	*spare = attr
	compress := c.opts.Compression == Snappy
	block := b.block()
	switch binary := c.opts.MessageFormat == Binary; {
	case binary && block != nil:
		dst = wire.AppendBinaryBlock(dst, block, attr, uint32(b.uniq()), uint32(b.eventTime/1000), uint16(count), b.itemized)
	case block != nil:
		dst = wire.AppendTextBlock(dst, block, attr)
	case binary:
		dst = wire.AppendBinary(dst, body, attr, uint32(b.uniq()), uint32(b.eventTime/1000), uint16(count), compress, b.itemized)
	default:
		dst = wire.AppendText(dst, body, attr, compress)
	}
	b.framedBulk(len(dst) - start)
	return dst, due
}
