package dataproxy

import (
	"cmp"
	"context"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

func (c *client) Intake() Intake {
	messages, bytes := c.budget.pending()
	most := c.budget.maxMessages
	// No id is longer than maxID. What is added to all messages is in the tail of each stream.
	head := len("groupId=&streamId=") + 2*maxID + len(c.columns)
	longest := int(c.nodes.frameLimit.Load()) - max(wire.TextOverhead, wire.BinaryOverhead) - head - attrRoom - itemHeader
	return Intake{Messages: messages, Bytes: bytes, MostMessages: most - most/8, MostBytes: c.budget.most() * 7 / 8,
		Bulk: c.bulk.room(), LongestPayload: longest, Linger: c.linger, SendTimeout: c.opts.SendTimeout,
		Ordered: c.opts.Ordered, Waits: c.opts.BlockIfQueueIsFull}
}

func (c *client) SubmitTaken(msg *Message, payloads [][]byte, tags []Tag, at time.Time, bulk bool) {
	kind := sendTaken
	if bulk {
		kind = sendTakenMany
	}
	for n := 0; n < len(payloads); {
		msg.Payload = payloads[n]
		// A message without time left is accepted, too: its batch's timer gives it its result.
		left := c.opts.SendTimeout - max(0, time.Since(at))
		at, err := c.accept(context.Background(), msg, nil, tags[n], kind, left)
		if err != nil {
			c.failTaken(msg, tags[n], err)
		}
		n++
		if err == nil {
			n += at.st.appendMore(context.Background(), at, msg, payloads[n:], tags[n:], bulk)
		}
	}
}

// failTaken fails a message that the client cannot take, as if it had been accepted, in a batch of its own that is never sent.
func (c *client) failTaken(msg *Message, tag Tag, err *Error) {
	var st *stream
	for {
		st = c.addStream(streamKey{group: cmp.Or(msg.GroupID, c.opts.GroupID), stream: msg.StreamID})
		if st.mu.Lock(); !st.gone {
			break
		}
		st.mu.Unlock()
	}
	b := c.batches.get(st, 0, false)
	b.mu.Lock() // the sweep of a close may look at b already
	b.userCode, b.behind = true, c.end.closing.Load()
	b.add(&Message{}, nil, nil, tag, 0)
	c.budget.add(st, 1, 0)
	b.pay()
	c.metrics.addPending(st, 1)
	st.accepted++
	b.mu.Unlock()
	st.mu.Unlock()
	c.finish(b, func() *Error { return err })
}
