package dataproxy

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"
)

// waiter receives the result of one synchronous send.
type waiter struct {
	done   chan *Error // room for one
	result Result      // set before done, when wanted
	detail bool
}

var waiters = sync.Pool{New: func() any { return &waiter{done: make(chan *Error, 1)} }}

func (w *waiter) receive(b *batch, i int, err *Error) {
	if w.detail {
		last := b.lastAttempt(i, err)
		w.result = Result{BatchID: last.id.String(), Node: last.node, Attempts: last.number}
	}
	w.done <- err
}

// given replaces a context that a caller left out, so that no nil context is dereferenced.
func given(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// orEmpty replaces a message that a caller left out. An empty message is refused.
func orEmpty(msg *Message) *Message {
	if msg == nil {
		return new(Message)
	}
	return msg
}

func (c *client) Send(ctx context.Context, msg Message) error {
	_, err := c.sendSync(ctx, &msg, false)
	return errorOrNil(err)
}

func (c *client) SendResult(ctx context.Context, msg *Message) (Result, error) {
	result, err := c.sendSync(ctx, msg, true)
	return result, errorOrNil(err)
}

// errorOrNil keeps a nil *Error from becoming a non-nil error.
func errorOrNil(err *Error) error {
	if err == nil {
		return nil
	}
	return err
}

// resultGrace is how long a caller whose context ended waits for a result that exists already and has not reached it yet.
const resultGrace = 20 * time.Millisecond

func (c *client) sendSync(ctx context.Context, msg *Message, detail bool) (Result, *Error) {
	ctx, msg = given(ctx), orEmpty(msg)
	w := waiters.Get().(*waiter)
	w.detail = detail
	at, err := c.accept(ctx, msg, w, Tag{}, sendSync, c.opts.SendTimeout)
	if err != nil {
		waiters.Put(w)
		return Result{}, err
	}
	select {
	case err = <-w.done:
	case <-ctx.Done():
		if c.withdraw(ctx, at) > 0 {
			err = <-w.done
			break
		}
		// The result exists. In nearly all cases it arrives at once, but a slow callback of another message may delay it.
		grace := time.NewTimer(resultGrace)
		defer grace.Stop()
		select {
		case err = <-w.done:
		case <-grace.C: // not reused: the result may still be written to w
			return Result{}, &Error{Code: CodeContextExpired, Message: "while its result was on the way", cause: context.Cause(ctx),
				GroupID: at.st.key.group, StreamID: at.st.key.stream, persisted: MaybeWritten}
		}
	}
	result := w.result
	w.result = Result{}
	waiters.Put(w)
	return result, err
}

func (c *client) SendAsync(ctx context.Context, msg Message, cb Callback) {
	c.sendAsync(ctx, &msg, cb, sendAsync)
}

func (c *client) SendBulk(ctx context.Context, msg Message, cb Callback) {
	c.sendAsync(ctx, &msg, cb, sendBulk)
}

func (c *client) sendAsync(ctx context.Context, msg *Message, cb Callback, kind sendKind) {
	var recv receiver = nobody{}
	if cb != nil {
		recv = cb
	}
	at, err := c.accept(given(ctx), msg, recv, Tag{}, kind, c.opts.SendTimeout)
	switch {
	case err != nil && cb != nil:
		c.refuse(*msg, err, cb)
	case err != nil:
		c.unheard(1, err)
	case at.behind: // not in Submit: there a thread of C would change hands, which costs more than it gains
		runtime.Gosched()
	}
}

// refuse calls the callback of a message that was not taken.
func (c *client) refuse(msg Message, err *Error, cb Callback) {
	defer func() {
		if r := recover(); r != nil {
			c.callbackPanic(r)
		}
	}()
	cb(msg, err)
}

func (c *client) Submit(ctx context.Context, msg *Message, tag Tag) error {
	if _, err := c.accept(given(ctx), orEmpty(msg), nil, tag, sendAsync, c.opts.SendTimeout); err != nil {
		return err
	}
	return nil
}

func (c *client) SubmitMany(ctx context.Context, msg *Message, payloads [][]byte, tags []Tag, bulk bool) (accepted int, err error) {
	ctx, msg = given(ctx), orEmpty(msg)
	kind := sendAsync
	if bulk {
		kind = sendMany
	}
	for accepted < len(payloads) {
		msg.Payload = payloads[accepted]
		at, err := c.accept(ctx, msg, nil, tags[accepted], kind, c.opts.SendTimeout)
		if err != nil {
			return accepted, err
		}
		accepted++
		accepted += at.st.appendMore(ctx, at, msg, payloads[accepted:], tags[accepted:], bulk)
	}
	return accepted, nil
}

// unpackedAtOnce is how many packed messages are listed at a time. They fill several batches, and the list fits on the stack.
const unpackedAtOnce = 128

func (c *client) SubmitPacked(ctx context.Context, msg *Message, data []byte, lengths []uint32, tag Tag, bulk bool) (accepted int, err error) {
	var payloads [unpackedAtOnce][]byte
	var tags [unpackedAtOnce]Tag
	for accepted < len(lengths) {
		count := min(len(lengths)-accepted, unpackedAtOnce)
		for i, n := range lengths[accepted : accepted+count] {
			payloads[i], data = data[:n:n], data[n:]
			tags[i] = Tag{tag.A, tag.B + uintptr(accepted+i)}
		}
		done, err := c.SubmitMany(ctx, msg, payloads[:count], tags[:count], bulk)
		accepted += done
		if err != nil {
			return accepted, err
		}
	}
	return accepted, nil
}

// group receives the results of one SendBatch.
type group struct {
	mu     sync.Mutex
	errs   []error
	has    []bool // which have a result
	left   int
	failed bool
	done   chan struct{}
}

// member is the place of one message in a group.
type member struct {
	g     *group
	index int
}

func (m *member) receive(_ *batch, _ int, err *Error) { m.g.set(m.index, err) }

func (g *group) set(index int, err *Error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.errs[index], g.failed = err, true
	}
	g.has[index] = true
	if g.left--; g.left == 0 {
		close(g.done)
	}
}

func (c *client) SendBatch(ctx context.Context, msgs []Message) []error {
	if len(msgs) == 0 {
		return nil
	}
	ctx = given(ctx)
	g := &group{errs: make([]error, len(msgs)), has: make([]bool, len(msgs)), left: len(msgs), done: make(chan struct{})}
	members := make([]member, len(msgs))
	places := make([]place, len(msgs))
	patience := c.opts.SendTimeout
	for i := range msgs {
		members[i] = member{g, i}
		at, err := c.accept(ctx, &msgs[i], &members[i], Tag{}, sendGroup, patience)
		if err != nil {
			switch { // otherwise each of the others would wait as long without success
			case errors.Is(err, errNothingAcked):
				patience = -1
			case err.Code == CodeSendTimeout:
				patience = 0
			}
			g.set(i, err)
			continue
		}
		places[i] = at
	}
	var last *stream
	for _, at := range places {
		if at.st != nil && at.st != last { // no linger: nobody else would fill the batch for this caller
			at.st.flush()
			last = at.st
		}
	}
	select {
	case <-g.done:
	case <-ctx.Done():
		c.withdrawGroup(ctx, g, places)
	}
	return g.results(ctx)
}

// withdrawGroup gives up the messages that have no result yet, batch by batch since there may be hundreds of thousands. It waits a
// little for results that exist already.
func (c *client) withdrawGroup(ctx context.Context, g *group, places []place) {
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.order, b.order) })
	for first := 0; first < len(places); {
		next := first + 1
		for next < len(places) && places[next].order == places[first].order {
			next++
		}
		if places[first].b != nil {
			c.withdraw(ctx, places[first:next]...)
		}
		first = next
	}
	grace := time.NewTimer(resultGrace)
	defer grace.Stop()
	select {
	case <-g.done:
	case <-grace.C:
	}
}

func (g *group) results(ctx context.Context) []error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.failed && g.left == 0 {
		return nil
	}
	errs := append([]error(nil), g.errs...) // a late result must not change what the caller holds
	for i, has := range g.has {
		if !has {
			errs[i] = &Error{Code: CodeContextExpired, Message: "while its result was on the way", cause: context.Cause(ctx),
				persisted: MaybeWritten}
		}
	}
	return errs
}
