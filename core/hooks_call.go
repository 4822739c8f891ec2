package dataproxy

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
)

// hookList calls the hooks of the program. It is empty without hooks, and the hot path checks that.
type hookList struct {
	c        *client
	all      []hookSet
	perItem  bool // some are called for each message
	onTheWay bool // some are called for each batch or attempt
}

type hookSet struct {
	Hooks
	perItem  bool        // some are called for each message that is wanted
	panicked atomic.Bool // one panicked, which was logged
}

func (l *hookList) init(c *client) {
	l.c, l.all = c, make([]hookSet, len(c.opts.Hooks))
	for i, h := range c.opts.Hooks {
		s := &l.all[i]
		s.Hooks, s.perItem = h, h.Sending != nil || h.Accepted != nil || h.Refused != nil
		l.perItem = l.perItem || s.perItem
		l.onTheWay = l.onTheWay || h.Sealed != nil || h.Written != nil || h.Answered != nil
	}
}

// call runs a hook on a goroutine of the client. insideCallback looks for it on the stack.
func (s *hookSet) call(c *client, hook func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if r := recover(); r != nil {
			s.report(c, r)
			return
		}
		c.log.Errorf("a hook called runtime.Goexit, which ends a goroutine of the client: it is closed")
		go c.abort()
	}()
	hook()
	returned = true
}

// recovered is deferred.
func (s *hookSet) recovered(c *client) {
	if r := recover(); r != nil {
		s.report(c, r)
	}
}

func (s *hookSet) report(c *client, panicked any) {
	if !s.panicked.Swap(true) {
		c.log.Errorf("a hook panicked, later panics of it are not logged: %v\n%s", oneLine(fmt.Sprint(panicked)), debug.Stack())
	}
}

// wants, sending, takeBack and told (which calls Accepted or Refused) do the same on the sender's goroutine, which a hook may end.
// insideCallback looks for them on the stack, too.
func (s *hookSet) wants(c *client, ctx context.Context) bool {
	if s.Want == nil || !s.perItem {
		return s.perItem
	}
	returned := false
	defer func() { // as recovered, but for what is called for each message: asking recover costs as much as the rest
		if returned {
			return
		}
		if r := recover(); r != nil {
			s.report(c, r)
		}
	}()
	wants := s.Want(ctx)
	returned = true
	return wants
}

func (s *hookSet) sending(c *client, ctx context.Context, msg *Message) (token any) {
	defer s.recovered(c)
	return s.Sending(ctx, msg)
}

func (s *hookSet) takeBack(c *client, token any, msg *Message, refused *Error) {
	defer s.recovered(c)
	s.TakeBack(token, msg, refused)
}

func (s *hookSet) told(c *client, token any, msg *Message, refused *Error) {
	defer s.recovered(c)
	switch {
	case refused == nil && s.Accepted != nil:
		s.Accepted(token, msg)
	case refused != nil && s.Refused != nil:
		s.Refused(token, msg, refused)
	}
}

// hookedMessage is what hooks get while a message is being sent. It is separate so that the sender's own message is not moved to
// the heap if there are no hooks.
type hookedMessage struct {
	msg    Message
	wanted []bool // by each set
	tokens []any
	asked  int // how many sets were asked to take something back
}

// all returns the tokens of a message, none without hooks.
func (m *hookedMessage) all() []any {
	if m == nil {
		return nil
	}
	return m.tokens
}

var hookedMessages = sync.Pool{New: func() any { return new(hookedMessage) }}

// firstToWant returns the place of the first set that wants a message, the number of sets for none.
func (l *hookList) firstToWant(ctx context.Context) int {
	first := 0
	for first < len(l.all) && !l.all[first].wants(l.c, ctx) {
		first++
	}
	return first
}

// accept is client.accept with the hooks around it; first is the first set that wants the message.
func (l *hookList) accept(ctx context.Context, msg *Message, first int, recv receiver, tag Tag, kind sendKind, patience time.Duration) (place, *Error) {
	m := hookedMessages.Get().(*hookedMessage)
	m.msg, m.wanted, m.tokens, m.asked = *msg, m.wanted[:0], m.tokens[:0], 0
	for i := range l.all {
		s := &l.all[i]
		wanted, token := i == first || i > first && s.wants(l.c, ctx), any(nil)
		if wanted && s.Sending != nil {
			token = s.sending(l.c, ctx, &m.msg)
		}
		m.wanted, m.tokens = append(m.wanted, wanted), append(m.tokens, token)
	}
	at, refused := l.c.acceptOne(ctx, &m.msg, m, recv, tag, kind, patience)
	for i := range l.all {
		if s := &l.all[i]; m.wanted[i] && (s.Accepted != nil || s.Refused != nil) {
			s.told(l.c, m.tokens[i], &m.msg, refused)
		}
	}
	m.msg = Message{}
	clear(m.tokens)
	hookedMessages.Put(m)
	return at, refused
}

// takeBack lets the next set remove what makes a message invalid, and reports whether there was such a set.
func (l *hookList) takeBack(m *hookedMessage, refused *Error) bool {
	for m != nil && m.asked < len(l.all) {
		i := m.asked
		m.asked++
		if s := &l.all[i]; m.wanted[i] && s.TakeBack != nil {
			s.takeBack(l.c, m.tokens[i], &m.msg, refused)
			return true
		}
	}
	return false
}

// addTokens keeps the tokens of the last message. The list begins with the first message that has some.
func (b *batch) addTokens(tokens []any) {
	some := len(b.tokens) > 0
	for _, token := range tokens {
		some = some || token != nil
	}
	if !some {
		return
	}
	if missing := (b.count()-1)*len(tokens) - len(b.tokens); missing > 0 {
		b.tokens = append(b.tokens, make([]any, missing)...)
	}
	b.tokens = append(b.tokens, tokens...)
}

// hooked is what hooks know of a batch. The batch's owner writes it.
type hooked struct {
	BatchInfo
	told    atomic.Bool  // Sealed was called
	attempt BatchAttempt // the last one for which Written was called
}

// ofBatch returns what hooks get of a batch that is sealed or was read back; nil without hooks.
func (l *hookList) ofBatch(b *batch, replayed bool) *hooked {
	if len(l.all) == 0 {
		return nil
	}
	h := b.unused
	if h == nil {
		h = new(hooked)
	}
	*h = hooked{BatchInfo: BatchInfo{
		Number: b.order, GroupID: b.st.key.group, StreamID: b.st.key.stream, Messages: b.count(), Bytes: len(b.body.b),
		Opened: b.opened, Sealed: time.Now(), Replayed: replayed,
	}}
	b.unused = nil
	if replayed {
		h.Opened = h.Sealed
		h.told.Store(true)
	}
	return h
}

// each calls f for every set, unless hooks may not be called any more.
func (l *hookList) each(f func(s *hookSet)) {
	for i := range l.all {
		if !l.c.end.muted.Load() {
			f(&l.all[i])
		}
	}
}

func (l *hookList) sealed(h *hooked) {
	if h.told.Swap(true) {
		return
	}
	l.each(func(s *hookSet) {
		if s.Sealed != nil {
			s.call(l.c, func() { s.Sealed(h.BatchInfo) })
		}
	})
}

// written is called before the write: after it the answer may have come and the batch may be reused. For a frame that was not
// written after all, answered follows.
func (l *hookList) written(lane *lane, all []transport.Written[*batch]) {
	if !l.onTheWay {
		return
	}
	now := time.Now()
	for i := range all {
		b := all[i].Item
		h := b.hooked
		l.sealed(h)
		b.mu.Lock()
		messages := b.frameCount()
		h.attempt = BatchAttempt{
			Batch: h.BatchInfo, Node: lane.Node.Addr, Lane: lane.Index, Attempt: b.attempts, Messages: messages, Bytes: all[i].Size, At: now, id: b.id,
		}
		b.mu.Unlock()
		l.each(func(s *hookSet) {
			if s.Written != nil {
				s.call(l.c, func() { s.Written(h.attempt) })
			}
		})
	}
}

// answered is called by the owner that got b back from a connection. It reads nothing else of b: all of its messages may have their
// results.
func (l *hookList) answered(b *batch, end AttemptEnd) {
	if !l.onTheWay {
		return
	}
	l.each(func(s *hookSet) {
		if s.Answered != nil {
			s.call(l.c, func() { s.Answered(b.hooked.attempt, end) })
		}
	})
}

// result is called before the receivers, while the batch still exists. A message that never was in a sealed batch (failTaken) was
// reported as refused.
func (l *hookList) result(done *completion) {
	b := done.b
	if len(l.all) == 0 || b.hooked == nil {
		return
	}
	first := 0
	if done.indexes != nil {
		first = int(done.indexes[0])
	} else {
		for b.settledAlone(first) {
			first++
		}
	}
	last := b.lastAttempt(first, done.err)
	l.sealed(b.hooked)
	for i := range l.all {
		if s := &l.all[i]; s.Result != nil && !l.c.end.muted.Load() {
			r := MessageResults{Batch: b.hooked.BatchInfo, Messages: done.messages, Err: done.err, Node: last.node, Attempts: last.number, id: last.id}
			if len(b.tokens) > 0 {
				r.Tokens = done.tokensOf(i, len(l.all))
			}
			s.call(l.c, func() { s.Result(r) })
		}
	}
}

// tokensOf returns the tokens that one set of hooks gave the messages of a completion.
func (done *completion) tokensOf(set, sets int) (tokens []any) {
	tokens = make([]any, 0, done.messages)
	add := func(i int) {
		if at := i*sets + set; at < len(done.b.tokens) && done.b.tokens[at] != nil { // the last messages may have none
			tokens = append(tokens, done.b.tokens[at])
		}
	}
	if done.indexes != nil {
		for _, i := range done.indexes {
			add(int(i))
		}
		return tokens
	}
	for i := range done.b.count() {
		if !done.b.settledAlone(i) {
			add(i)
		}
	}
	return tokens
}
