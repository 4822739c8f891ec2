package dataproxy

import (
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// receiver takes a message's one final result. Only this file calls it.
type receiver interface {
	receive(b *batch, i int, err *Error)
}

// receive makes a Callback a receiver.
func (cb Callback) receive(b *batch, i int, err *Error) {
	if err != nil {
		cb(b.message(i), err)
	} else {
		cb(b.message(i), nil)
	}
}

// nobody receives the results of messages whose callback is nil.
type nobody struct{}

func (nobody) receive(*batch, int, *Error) {}

// completion is a result for some messages of a batch: those of indexes, or all that were not settled one by one.
type completion struct {
	b       *batch
	err     *Error
	indexes []int32
	reuse   bool // nobody else holds b: its memory may be used again
}

// completer calls the receivers of the streams of one lane, in order, on a goroutine that exists while there are results.
type completer struct {
	c *client

	mu      sync.Mutex
	queue   fifo[completion]
	running bool
}

// push hands over a result. It never blocks and runs no user code.
func (q *completer) push(done completion) {
	q.mu.Lock()
	q.queue.push(done)
	start := !q.running
	q.running = true
	q.mu.Unlock()
	if start {
		q.c.completing.Add(1)
		go q.run()
	}
}

func (q *completer) run() {
	defer q.c.completing.Done()
	defer q.c.guard()
	d := new(delivery) // one for all that this goroutine delivers
	for {
		q.mu.Lock()
		done, ok := q.queue.pop()
		if !ok {
			q.running = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		*d = delivery{completion: done, tags: d.tags[:0]}
		q.c.deliver(d)
	}
}

// delivery is the state of calling the receivers of one completion.
type delivery struct {
	completion
	at       int   // position of the next message
	tags     []Tag // of the messages that go to the result handler
	messages int64
	bytes    int64
}

// deliver calls the receivers of one result and gives the batch's room back.
func (c *client) deliver(d *delivery) {
	for !c.deliverRest(d) {
	}
	c.delivered(d)
}

// deliverRest goes on where d stands. It returns false after a receiver that panicked: one deferred call a batch instead of
// one a message. Its name is what insideCallback looks for on the stack.
func (c *client) deliverRest(d *delivery) (finished bool) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if r := recover(); r != nil {
			c.callbackPanic(r)
			return
		}
		// runtime.Goexit in a callback ends this goroutine: the rest, and the completer's queue, go on in another.
		c.log.Errorf("a callback called runtime.Goexit")
		c.completing.Add(1)
		go func() {
			c.deliver(d)
			d.b.st.completer.run()
		}()
	}()
	b := d.b
	count := len(b.records)
	if d.indexes != nil {
		count = len(d.indexes)
	}
	for d.at < count {
		i := d.at
		d.at++ // before the call: after a panic the next one is due
		if d.indexes != nil {
			i = int(d.indexes[i])
		} else if b.records[i].settled {
			continue
		}
		d.messages++
		d.bytes += int64(len(b.payload(i)) + itemHeader)
		if c.muted.Load() {
			continue
		}
		if r := &b.records[i]; r.receiver != nil {
			r.receiver.receive(b, i, d.err)
		} else {
			d.tags = append(d.tags, r.tag)
		}
	}
	if tags := d.tags; len(tags) > 0 {
		d.tags = tags[:0] // before the call: after a panic they are not due again
		c.opts.ResultHandler(&BatchResult{
			Tags: tags, Err: d.err, GroupID: b.st.key.group, StreamID: b.st.key.stream,
			Node: b.node, Attempts: b.attempts, batchID: b.id,
		})
	}
	returned = true
	return true
}

// callbackPanic reports a callback's panic.
func (c *client) callbackPanic(r any) {
	c.log.Errorf("a callback panicked: %v\n%s", r, debug.Stack())
}

// insideCallback reports whether the caller runs in a callback of any client: waiting there for callbacks to end would wait
// for itself.
func insideCallback() bool {
	pcs := make([]uintptr, 64)
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs)
		frames := runtime.CallersFrames(pcs[:n])
		for {
			f, more := frames.Next()
			if strings.HasSuffix(f.Function, ".(*client).deliverRest") {
				return true
			}
			if !more {
				break
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}
