package dataproxy

import (
	"bytes"
	"errors"
	"time"

	"github.com/valyala/bytebufferpool"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/connections"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

type (
	lane    = connections.Lane[*batch]
	node    = connections.Node
	subject = connections.Subject
)

// carrier is all that the connections know of a client: what they ask about a batch, and where they report its outcome.
type carrier struct{ c *client }

func (carrier) Dead(b *batch) bool                      { return b.dead() }
func (carrier) Failed(b *batch) []*node                 { return b.avoid }
func (carrier) Home(b *batch) *connections.Home[*batch] { return &b.st.home }
func (x carrier) Tight() bool                           { return x.c.bulk.isTight() }
func (x carrier) Unmatched()                            { x.c.metrics.failed(CodeNoMatchRequest) }

// Frame appends b's frame unless b is dead. From here on b may have reached the node.
func (x carrier) Frame(frames []byte, spare *[]byte, b *batch, l *lane, now time.Time) (all []byte, seq, other uint64) {
	all, due := x.c.frameLive(frames, spare, b, l.Index, l.Node.Addr, now)
	x.c.completeAll(due)
	if len(all) == len(frames) {
		x.c.spooler.ended(b, false, nil)
		b.st.settled(b)
		return frames, 0, 0
	}
	switch seq = b.id.Seq; {
	case !b.replayed:
	case x.c.opts.MessageFormat == Binary:
		seq = b.uniq()
	case b.id.Client != x.c.id:
		other = b.id.Client
	}
	return all, seq, other
}

func (x carrier) Writing(l *lane, frames []transport.Written[*batch]) { x.c.hooks.written(l, frames) }

func (x carrier) TooLong(b *batch, l *lane, size int) {
	b.unwritten()
	x.c.tooLongFor(b, l, size)
}

func (x carrier) Unwritten(b *batch, reason error) {
	x.c.hooks.answered(b, AttemptEnd{Persisted: NotWritten, Cause: reason})
	b.unwritten()
	x.c.goOn(b)
}

func (x carrier) Acked(b *batch, l *lane) {
	x.c.countRetry(b, l)
	x.c.hooks.answered(b, AttemptEnd{Persisted: Acked})
	x.c.acked(b)
}

func (x carrier) Refused(w transport.Written[*batch], l *lane, a *wire.Answer) {
	x.c.countRetry(w.Item, l)
	persisted := NotWritten
	if w.Guess {
		persisted = MaybeWritten
	}
	x.c.hooks.answered(w.Item, AttemptEnd{Persisted: persisted, ServerCode: a.Code, ServerMessage: answerText(a)})
	x.c.refused(w.Item, l, w.At, w.Guess, a)
}

func (x carrier) Lost(b *batch, l *lane, reason error, culprit bool, tooLong int) {
	if errors.Is(reason, transport.ErrAckTimeout) {
		x.c.metrics.timeout(l.Index)
	}
	x.c.hooks.answered(b, AttemptEnd{Persisted: MaybeWritten, Cause: reason})
	x.c.connectionLost(b, l, reason, culprit, tooLong)
}

// countRetry counts an attempt that has an outcome. An attempt whose connection ended before it began is none.
func (c *client) countRetry(b *batch, l *lane) {
	if b.attempts > 1 {
		c.metrics.retry(l.Index)
		c.counts.retries.Add(1)
	}
}

func (x carrier) Dialled(err error) {
	if err != nil {
		x.c.metrics.connected(CodeNewConnFailed)
		return
	}
	x.c.metrics.connected(CodeOK)
}

func (x carrier) Lend() (buf []byte, beside any) {
	b := x.c.frames.get()
	if b.user != nil {
		return b.b, b.user
	}
	return b.b, b.own
}

func (x carrier) GiveBack(buf []byte, beside any) {
	b := buffer{b: buf}
	b.user, _ = beside.(*bytes.Buffer)
	b.own, _ = beside.(*bytebufferpool.ByteBuffer)
	x.c.frames.put(b)
}
