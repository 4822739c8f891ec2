package dataproxy

import (
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/fifo"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// receiver takes the final result of a message. Only this file calls it.
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

// nobody stands for a nil callback. Failures of its messages are logged, because nothing else tells of them.
type nobody struct{}

func (nobody) receive(*batch, int, *Error) {}

// answered stands for a caller that has its result already.
type answered struct{ nobody }

// completion is a result for some messages of a batch: those of indexes, or all that were not settled alone.
type completion struct {
	b        *batch
	err      *Error
	indexes  []int32
	messages int  // their number
	last     bool // with indexes: no message of b is unsettled
	reuse    bool // nobody else holds b, so its memory may be reused
}

// completer calls the receivers of the streams of one worker, in order, on a goroutine that exists while there are results.
type completer struct {
	c *client

	mu      sync.Mutex
	queue   fifo.Queue[completion]
	running bool
	runner  func() // run, kept here so that a start does not allocate
}

func (q *completer) init(c *client) {
	q.c = c
	q.runner = func() { q.run(deliveries.Get().(*delivery)) }
}

// push adds a result to the queue. It never blocks and runs no user code.
func (q *completer) push(done completion) {
	q.mu.Lock()
	q.queue.Push(done)
	start := !q.running
	q.running = true
	q.mu.Unlock()
	if start {
		q.c.completing.Add(1)
		go q.runner()
	}
}

// run delivers until nothing is queued. It begins with d, which another run had to leave. insideCallback looks for it on the stack.
func (q *completer) run(d *delivery) {
	defer q.c.completing.Done()
	defer q.c.guard()
	if d.b != nil {
		q.c.deliver(d)
	}
	for {
		q.mu.Lock()
		done, ok := q.queue.Pop()
		if !ok {
			q.running = false
			q.mu.Unlock()
			*d = delivery{tags: d.tags[:0]}
			deliveries.Put(d)
			return
		}
		q.mu.Unlock()
		*d = delivery{completion: done, by: q, tags: d.tags[:0]}
		q.c.deliver(d)
	}
}

// delivery is the state of calling the receivers of one completion.
type delivery struct {
	completion
	by   *completer
	at   int   // position of the next message
	tags []Tag // of the messages that go to the result handler
}

var deliveries = sync.Pool{New: func() any { return new(delivery) }}

// deliver calls the receivers of one result and releases the batch's room. It does so after user code, because messages are pending
// until that has returned. It does so before callers that only wait, because they may look at Stats or send again as soon as they
// have their result.
func (c *client) deliver(d *delivery) {
	if !d.b.userCode {
		c.giveRoom(d)
	}
	for !c.deliverRest(d) {
	}
	if d.b.userCode {
		c.giveRoom(d)
	}
	if d.err != nil {
		c.unheard(d.unheard(), d.err)
	}
	c.delivered(d)
}

// unheard logs that messages without a callback failed.
func (c *client) unheard(messages int, err *Error) {
	if messages > 0 {
		c.log.Countf(messages, "%d messages without a callback failed with code %s, the last one: %v", subject(strconv.Itoa(int(err.Code))), err)
	}
}

// deliverRest continues at d. It returns false after a receiver that panicked, so one deferred call for each batch is enough.
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
		// runtime.Goexit in a callback ends this goroutine. The rest of this batch and of the queue continues in another one.
		c.log.Errorf("a callback called runtime.Goexit")
		c.completing.Add(1)
		go d.by.run(d)
	}()
	b := d.b
	count := b.count()
	if d.indexes != nil {
		count = len(d.indexes)
	}
	tagged, late := 0, int64(0)
	for d.at < count {
		i := d.at
		d.at++ // before the call, so that the next one follows after a panic
		if d.indexes != nil {
			i = int(d.indexes[i])
		} else if b.settledAlone(i) {
			continue
		}
		if b.userCode && !b.behind && c.end.swept.Load() {
			if c.end.muted.Load() {
				continue
			}
			late++
		}
		if len(b.receivers) > 0 {
			if late > 0 { // not for each message: senders read what is in the same cache line
				c.end.called.Add(late)
				late = 0
			}
			b.receivers[i].receive(b, i, d.err)
		} else {
			d.tags, tagged = append(d.tags, b.tags[i]), i
		}
	}
	if tags := d.tags; len(tags) > 0 {
		d.tags = tags[:0] // before the call, so that they are not called again after a panic
		last := b.lastAttempt(tagged, d.err)
		c.opts.ResultHandler(&BatchResult{
			Tags: tags, Err: d.err, GroupID: b.st.key.group, StreamID: b.st.key.stream,
			Node: last.node, Attempts: last.number, batchID: last.id,
		})
		c.end.called.Add(late) // after it: the handler calls one callback after the other, and may be told to stop
	}
	returned = true
	return true
}

// unheard counts the messages whose callback is nil.
func (done *completion) unheard() (messages int) {
	b := done.b
	if len(b.receivers) == 0 {
		return 0
	}
	if done.indexes != nil {
		for _, i := range done.indexes {
			if b.receivers[i] == (nobody{}) {
				messages++
			}
		}
		return messages
	}
	for i := range b.receivers { // the goroutine that settled one alone may be answering its caller, so that entry is not read
		if !b.settledAlone(i) && b.receivers[i] == (nobody{}) {
			messages++
		}
	}
	return messages
}

// answerCallers gives the callers among the receivers their results at once. After a callback they would wait until it returns. A
// caller that was called from that callback would wait for ever.
func (done *completion) answerCallers() {
	answer := func(i int) {
		switch r := done.b.receivers[i].(type) {
		case *waiter, *member:
			r.receive(done.b, i, done.err)
			done.b.receivers[i] = answered{}
		}
	}
	if done.indexes != nil {
		for _, i := range done.indexes {
			answer(int(i))
		}
		return
	}
	for i := range done.b.count() {
		if !done.b.settledAlone(i) {
			answer(i)
		}
	}
}

// attempt is one write of a frame.
type attempt struct {
	id     wire.BatchID
	node   string
	number int
}

// lastAttempt returns the last attempt that had message i in its frame, for its result. The batch may be on its way again with
// other messages.
func (b *batch) lastAttempt(i int, err *Error) attempt {
	switch {
	case err != nil:
		id, _ := wire.ParseBatchID([]byte(err.BatchID))
		return attempt{id, err.Node, err.Attempts}
	case b.settledAlone(i):
		return *b.details[i].with
	}
	return attempt{b.id, b.node, b.attempts}
}

// callbackPanic reports a callback's panic.
func (c *client) callbackPanic(r any) {
	c.log.Errorf("a callback panicked: %v\n%s", oneLine(fmt.Sprint(r)), debug.Stack())
}

// insideCallback reports whether the caller runs in a callback of any client. If it waited there for callbacks to end, it would
// wait for itself.
func insideCallback() bool { return inside(userCode...) }

// userCode are the functions that call user code. None of them is inlined.
var userCode = []uintptr{entryOf((*completer).run), entryOf((*client).InCallback),
	entryOf((*hookSet).call), entryOf((*hookSet).wants), entryOf((*hookSet).sending), entryOf((*hookSet).takeBack), entryOf((*hookSet).told)}

// InCallback is looked for on the stack.
//
//go:noinline
func (*client) InCallback(f func()) { f() }

func entryOf(function any) uintptr { return reflect.ValueOf(function).Pointer() }

// inside reports whether one of the functions with these entry points is on the caller's stack. A comparison of names would take
// three times as long, and each sender that waits for room calls this.
func inside(entries ...uintptr) bool {
	var pcs [64]uintptr
	for skip := 3; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		for _, pc := range pcs[:n] {
			if f := runtime.FuncForPC(pc - 1); f != nil && slices.Contains(entries, f.Entry()) {
				return true
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}
