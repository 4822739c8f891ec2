package dataproxy

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/connections"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/fifo"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// streamKey says which messages travel together: those of one group and stream with the same attributes, and either all or none
// with item attributes. In an ordered client both are empty here and belong to the batch, so that all messages are in one line.
type streamKey struct {
	group, stream, attributes string
	itemized                  bool
}

// stream holds the one open batch of a key.
type stream struct {
	c   *client
	key streamKey
	// The fields that each message touches are close together, and apart from those that lane and completer read. With a thousand
	// streams none of their cache lines is in a cache.
	share *share
	added int // bytes of head and tail

	mu       sync.Mutex
	open     *batch
	accepted int64 // messages so far
	gone     bool  // swept out: senders look the key up again
	armed    bool
	streamLine

	linger  *time.Timer         // runs while armed; one for all batches, so that a full batch costs no timer
	busy    *batch              // ordered: the batch on its way
	waiting fifo.Mortal[*batch] // ordered: sealed after it, without a spool
	spooled *spoolLine          // ordered: after it, with a spool

	bulk      atomic.Bool // its open batch has bytes of bulk ways
	head      []byte      // "groupId=..&streamId=.."
	tail      []byte      // added columns and attributes, each as "&key=value"
	completer *completer
	series    *streamSeries            // nil without metrics_streams
	home      connections.Home[*batch] // of its lane
}

// entry says whether a message entered its stream.
type entry int

const (
	entered  entry = iota
	noRoom         // the sender waits for the budget
	swept          // the stream was swept out: the sender looks it up again
	atClosed       // the client is closed
)

// append adds msg to the open batch. It takes room for it, unless paid says that some was taken before.
func (st *stream) append(ctx context.Context, msg *Message, own []byte, attributes string, tokens []any, recv receiver, tag Tag, kind sendKind, ago time.Duration, paid int64) (place, entry) {
	deadline := int64(0)
	if at, ok := ctx.Deadline(); ok {
		// This takes the time that is left, not the difference to start: the deadline may have wall-clock time only, which can
		// jump, and which continues while the machine sleeps. A deadline after the batch's own has no effect, and must not be added
		// to anything: it may be centuries away.
		if left := time.Until(at); left < st.c.opts.SendTimeout {
			deadline = max(1, int64(time.Since(st.c.start)+left))
		}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.c.end.closing.Load() { // set before the sweep that takes mu, so no batch is opened after the sweep
		return place{}, atClosed
	}
	if st.gone {
		return place{}, swept
	}
	b := st.open
	if b != nil && (len(b.body.b)+itemSize(msg, own) > min(st.c.opts.BatchingMaxSize, st.longest(attributes)+itemHeader) ||
		!b.takes(recv) || b.attributes != attributes || b.itemized != (own != nil) || b.timed == msg.Time.IsZero() || b.timed && msg.Time.UnixMilli() != b.eventTime) {
		st.seal()
		b = nil
	}
	beside := st.besideOf(b, msg, own, attributes, recv, kind)
	if paid == 0 {
		if paid = st.c.budget.needs(b, itemSize(msg, own), beside); st.c.budget.admit(st, 1, paid) != noShortage {
			return place{}, noRoom
		}
	}
	if b == nil {
		b = st.openBatch(msg, attributes, ago)
	}
	b.add(msg, own, recv, tag, deadline)
	if tokens != nil {
		b.addTokens(tokens)
	}
	b.beside += beside
	b.charged += paid
	b.pay()
	st.accepted++
	if deadline != 0 {
		if due := st.c.start.Add(time.Duration(deadline)); due.Before(b.due) {
			b.due = due
			now := time.Now()
			b.wake(now)
			st.hurry(now, due)
		}
	}
	if kind == sendSync || kind == sendGroup {
		b.callers = true
	} else {
		b.userCode = true
	}
	if kind.inBulk() {
		b.joinBulk(itemSize(msg, own))
	}
	at := place{st: st, b: b, order: b.order, index: b.count() - 1} // read before b is sealed, since it may be reused after that
	switch {
	case b.count() >= st.c.opts.BatchingMaxMessages || len(b.body.b) >= st.c.opts.BatchingMaxSize || st.c.linger == 0:
		at.behind = st.seal()
	case kind == sendSync && !b.soon:
		b.soon = true
		if st.busy == nil && st.c.conns.IdleFor(&st.home) {
			st.seal()
		}
	}
	return at, entered
}

// appendMore adds payloads after the one at `at` while they need no check but that for room, and do not fill the batch. It returns
// their number. It avoids what append does for each message, which is half of what a small message costs its sender. It takes none
// if the batch is sealed, or if append has more to do.
func (st *stream) appendMore(ctx context.Context, at place, msg *Message, payloads [][]byte, tags []Tag, bulk bool) (count int) {
	if _, bounded := ctx.Deadline(); bounded || st.c.opts.TrimTrailingNewline || len(msg.ItemAttributes) > 0 ||
		st.c.hooks.firstToWant(ctx) < len(st.c.hooks.all) {
		return 0
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	b := at.b
	if st.open != b || b.order != at.order || st.c.end.closing.Load() {
		return 0
	}
	room := min(st.c.opts.BatchingMaxSize-1, st.longest(b.attributes)+itemHeader) - len(b.body.b)
	bytes := 0
	for _, payload := range payloads[:min(len(payloads), st.c.opts.BatchingMaxMessages-1-b.count())] {
		if len(payload) == 0 || bytes+itemHeader+len(payload) > room {
			break
		}
		count++
		bytes += itemHeader + len(payload)
	}
	grown := int64(max(0, len(b.body.b)+bytes-cap(b.body.b)))
	if count == 0 || st.c.budget.admit(st, int64(count), grown) != noShortage {
		return 0
	}
	for i, payload := range payloads[:count] {
		msg.Payload = payload
		b.add(msg, nil, nil, tags[i], 0)
	}
	b.charged += grown
	b.pay()
	if bulk {
		b.joinBulk(bytes)
	}
	st.accepted += int64(count)
	return count
}

// hurry shortens the linger to half of the time to a deadline that would pass during the linger.
func (st *stream) hurry(now, due time.Time) {
	left := due.Sub(now) / 2
	if at := now.Add(left); st.c.linger > 0 && at.Before(st.open.sealAt) {
		st.open.sealAt = at
		st.linger.Reset(left)
	}
}

func (st *stream) openBatch(msg *Message, attributes string, ago time.Duration) *batch {
	b := st.c.batches.get(st, ago, false)
	b.attributes, b.itemized = attributes, len(msg.ItemAttributes) > 0
	b.sealAt = b.opened.Add(st.c.linger)
	b.eventTime = b.opened.UnixMilli()
	if b.timed = !msg.Time.IsZero(); b.timed {
		b.eventTime = msg.Time.UnixMilli()
	}
	st.open = b
	if !st.armed && st.c.linger > 0 {
		st.armed = true
		if st.linger == nil {
			st.linger = time.AfterFunc(st.c.linger, st.lingerOver)
		} else {
			st.linger.Reset(st.c.linger)
		}
	}
	return b
}

// lingerOver seals a batch that is old enough. For a younger one it waits for the rest of its linger.
func (st *stream) lingerOver() {
	defer st.c.guard()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.armed = false
	if st.open == nil {
		return
	}
	if left := time.Until(st.open.sealAt); left > 0 {
		st.armed = true
		st.linger.Reset(left)
		return
	}
	st.seal()
}

// flush seals the open batch.
func (st *stream) flush() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.open != nil {
		st.seal()
	}
}

// Progressed is called when the lane made progress. It seals the open batch for a sync caller, unless the batch would have to wait
// in line: then settled seals it.
func (st *stream) Progressed() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.open != nil && st.busy == nil {
		st.seal()
	}
}

// seal passes the open batch to the dispatcher. The caller holds mu, so that batches leave in the order of sealing.
func (st *stream) seal() (behind bool) {
	b := st.takeOpen()
	if s := st.c.spooler; s != nil {
		if behind = s.take(b); s.c.opts.SpoolAfter == 0 {
			return behind
		}
	}
	switch {
	case st.spooled != nil:
		st.enter(b)
		return false
	case st.c.opts.Ordered:
		if st.busy != nil {
			st.waiting.Push(b, (*batch).dead)
			return false
		}
		st.busy = b
	}
	return st.c.conns.Dispatch(b)
}

// takeOpen takes the open batch out of the stream. All its messages are to be delivered. The caller holds mu.
func (st *stream) takeOpen() *batch {
	b := st.open
	st.open = nil
	b.hooked = st.c.hooks.ofBatch(b, false)
	st.bulk.Store(false)
	b.undelivered.Add(int32(b.count()) - 1)
	st.c.metrics.addPending(st, b.count())
	return b
}

// settled tells an ordered stream that its batch has its result and is not in flight, so the next one may go. It may be called
// twice for a batch.
func (st *stream) settled(b *batch) {
	if !st.c.opts.Ordered {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.busy == b:
		st.busy = nil
		st.next()
	case st.spooled != nil: // it died while it waited
		st.spooled.sealed.Died(endsDead)
	default:
		st.waiting.Died((*batch).dead)
	}
}

// next sends the first waiting batch of an ordered stream that has none on its way. The caller holds mu.
func (st *stream) next() {
	for {
		b, ok := st.waiting.Pop()
		if st.spooled != nil {
			b, ok = st.spooled.pop(st.c.spooler)
		}
		if !ok {
			if st.open != nil && st.open.soon {
				st.seal()
			}
			return
		}
		if !b.dead() && !st.c.end.swept.Load() { // a closed client writes nothing
			st.busy = b
			st.c.conns.Dispatch(b)
			return
		}
	}
}

// joinAttributes writes attributes as "&key=value" in the order of keys.
func joinAttributes(attributes map[string]string) string {
	var s strings.Builder
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		s.WriteString("&" + k + "=" + attributes[k])
	}
	return s.String()
}

// appendAttr appends a frame's attributes. mid and sid stay the same in all attempts.
func (st *stream) appendAttr(dst []byte, b *batch, worker, count int) []byte {
	dst = append(dst, st.head...)
	dst = append(dst, "&dt="...)
	dst = strconv.AppendInt(dst, b.eventTime, 10)
	dst = append(dst, "&mid="...)
	dst = b.id.Append(dst)
	dst = append(dst, "&sid="...)
	dst = b.id.Append(dst)
	dst = append(dst, "&wid="...)
	dst = strconv.AppendInt(dst, int64(worker), 10)
	dst = append(dst, "&cnt="...)
	dst = strconv.AppendInt(dst, int64(count), 10)
	if !b.ownTail {
		dst = append(dst, st.tail...)
	}
	return append(dst, b.attributes...)
}

// attrRoom is the most that appendAttr adds to head and tail, the mark of compression included.
const attrRoom = 160

// longest returns the size of the largest payload that fits into a frame of this stream with these attributes of its batch.
func (st *stream) longest(attributes string) int {
	return int(st.c.nodes.frameLimit.Load()) - max(wire.TextOverhead, wire.BinaryOverhead) - st.added - len(attributes) - attrRoom - itemHeader
}
