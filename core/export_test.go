package dataproxy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/connections"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
)

// Leftovers says what a client still holds that should be gone when every message has its result; "" is a clean client.
func Leftovers(of FullClient) string {
	c := of.(*client)
	var left string
	add := func(format string, args ...any) { left += fmt.Sprintf(format+"; ", args...) }
	if n, size := c.budget.pending(); n != 0 || size != 0 || c.budget.taken.Load() != 0 {
		add("the budget holds %d messages and %d bytes, %d of them common", n, size, c.budget.taken.Load())
	}
	if n := c.budget.waiting.Load(); n != 0 {
		add("%d callers wait for room", n)
	}
	if n, m := c.bulk.inFlight.Load(), c.bulk.waiting.Load(); n != 0 || m != 0 {
		add("the bulk window counts %d bytes, %d wait for it", n, m)
	}
	listed := len(c.batches.all())
	c.batches.mu.Lock()
	if listed != 0 || c.batches.count != 0 {
		add("%d batches are registered, %d counted", listed, c.batches.count)
	}
	c.batches.mu.Unlock()
	c.streams.mu.RLock()
	defer c.streams.mu.RUnlock()
	for key, st := range c.streams.all {
		if n, size := st.held.add(0, 0); n != 0 || size != 0 {
			add("stream %v is charged %d messages and %d bytes", key, n, size)
		}
		st.mu.Lock()
		if st.open != nil || st.busy != nil || st.waiting.Len() > 0 {
			add("stream %v: open %v, busy %v, %d wait", key, st.open != nil, st.busy != nil, st.waiting.Len())
		}
		st.mu.Unlock()
	}
	if h := c.conns.Held(); h.Queued != 0 || h.Outstanding != 0 || h.Writing != 0 {
		add("the connections hold %+v", h)
	}
	return left
}

// ShareOf returns the share of a stream that has been sent to.
func ShareOf(of Client, name string) int {
	c := of.(*client)
	c.streams.mu.RLock()
	defer c.streams.mu.RUnlock()
	return c.streams.all[streamKey{group: c.opts.GroupID, stream: name}].share.index
}

// Relieve has room made, as it is every 10 ms while somebody lacks some.
func Relieve(of Client) { of.(*client).budget.relieve(of.(*client)) }

// Open returns how many streams have an open batch.
func Open(of FullClient) (open int) {
	streams := &of.(*client).streams
	streams.mu.RLock()
	defer streams.mu.RUnlock()
	for _, st := range streams.all {
		st.mu.Lock()
		if st.open != nil {
			open++
		}
		st.mu.Unlock()
	}
	return open
}

// HoldSweep keeps a close from settling the oldest batch, and so all after it, as one does that has very many to settle.
func HoldSweep(of FullClient) (letGo func()) {
	b := of.(*client).batches.all()[0]
	b.mu.Lock()
	return b.mu.Unlock
}

// HoldSpooler holds up what stores and reads back, as a slow disk does.
func HoldSpooler(of FullClient) (letGo func()) {
	s := of.(*client).spooler
	s.mu.Lock()
	return s.mu.Unlock
}

// LeaveBesideAck has memory made from the oldest batch just when it is acked: both wait for its lock, and the ack has it next. It reports
// whether that gave any.
func LeaveBesideAck(of FullClient) bool {
	c := of.(*client)
	b := c.batches.all()[0]
	var held int64
	var ends sync.WaitGroup
	b.mu.Lock()
	for _, waits := range []func(){
		func() { _, held = c.spooler.leave(b) },
		func() { c.acked(b) },
		func() { b.mu.Lock(); defer b.mu.Unlock() },
	} {
		ends.Go(waits)
		time.Sleep(5 * time.Millisecond) // they come in this order
	}
	b.mu.Unlock()
	b.mu.Lock() // the first of them has waited without success: the lock goes from one to the next now
	time.Sleep(5 * time.Millisecond)
	b.mu.Unlock()
	ends.Wait()
	return held > 0
}

// LoseConnections ends the connections of all lanes, whose goroutines are held up in the result of the newest batch: no lane knows it
// before letGo was called.
func LoseConnections(of FullClient, answer func(), held func() bool) (letGo func()) {
	c := of.(*client)
	all := c.batches.all()
	b := all[len(all)-1]
	b.mu.Lock()
	answer()
	for !held() {
		time.Sleep(time.Millisecond)
	}
	c.conns.Fail(transport.ErrPeerClosed)
	return b.mu.Unlock
}

// EndBackOff sends the oldest batch again now.
func EndBackOff(of FullClient) {
	b := of.(*client).batches.all()[0]
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.retryAt = now
	b.wake(now)
}

// Flushes counts the calls of Flush that the client remembers.
func Flushes(of Client) int {
	r := &of.(*client).batches
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken.flushes.Len()
}

// StepClock makes the client see a wall clock that was moved by d since it started, and a monotonic one that was not.
func StepClock(of Client, d time.Duration) {
	wall := (*uint64)(unsafe.Pointer(&of.(*client).start)) // a flag, 33 bits of seconds, 30 of nanoseconds
	*wall -= uint64(int64(d/time.Second)) << 30
}

// Completing returns 1 when some goroutine that calls callbacks did not end, by way of a wait that would last for ever.
func Completing(of FullClient) int {
	for range 50 {
		if of.(*client).completing.wait(context.Background(), time.Second) {
			return 0
		}
	}
	return 1
}

// WaitingForIdle counts what lanes remember of callers that wait for them to be idle.
func WaitingForIdle(of FullClient) int { return of.(*client).conns.Held().Waiters }

// SetNodes gives the client a node list, as its supervisor does with the Manager's.
func SetNodes(of FullClient, addrs ...string) { of.(*client).conns.SetNodes(addrs) }

// FrameLimit is the longest frame that the client writes now.
func FrameLimit(of Client) int { return int(of.(*client).nodes.frameLimit.Load()) }

// FindsWithoutLock reports whether the next message of a stream finds it where those asked for last are.
func FindsWithoutLock(c FullClient, streamID string) bool {
	cl := c.(*client)
	key := streamKey{group: cl.opts.GroupID, stream: streamID}
	st := cl.streams.recentAt(&key, key.group).Load()
	return st != nil && st.key == key && !st.gone
}

// SweepStreams removes idle streams, which else happens when there are many.
func SweepStreams(of FullClient, now bool) {
	if c := of.(*client); now {
		c.streams.mu.Lock()
		defer c.streams.mu.Unlock()
		c.streams.sweep()
	}
}

// Parked counts the batches, dead or alive, that wait for a usable lane.
func Parked(of FullClient) int { return of.(*client).conns.Held().Parked }

// What the page of guarantees tells in numbers.
const (
	MaxBackOff           = maxBackOff
	RefreshPause         = connections.RefreshPause
	MaxBackOffLost       = maxBackOffLost
	UnknownStreamBackOff = unknownStreamBackOff
	MaxBackOffNotNow     = maxBackOffNotNow
	Suspicion            = connections.Suspicion
	LongestSuspicion     = connections.LongestSuspicion
	LateAfter            = connections.LateAfter
	HeadStart            = connections.HeadStart
	CloseGrace           = 100 * time.Millisecond
	KeptStreams          = keptStreams
)

// The close's grace is what Shutdown waits beyond its deadline, and a little for the processor.
const _ = uint(CloseGrace - callbackGrace - 4*lastGrace)

// Metric is a row of the table that the metrics are made from.
type Metric struct {
	Name, Kind, Label string
	Buckets           []float64
	Help, Moves       string
}

func Metrics() (all []Metric) {
	for _, m := range metricTable {
		all = append(all, Metric{m.name, m.kind, m.label, m.upTo, m.help, m.moves})
	}
	return all
}

// FrameOf returns the frame in which msg would travel alone.
func FrameOf(of FullClient, msg *Message) ([]byte, error) {
	return frameOf(of.(*client), msg, -time.Hour)
}

// LateFrameOf is FrameOf for a writer that comes when the deadline of msg has just passed.
func LateFrameOf(of FullClient, msg *Message) ([]byte, error) {
	return frameOf(of.(*client), msg, time.Nanosecond)
}

func frameOf(c *client, msg *Message, late time.Duration) ([]byte, error) {
	st, attributes, refused := c.stream(msg)
	if refused == nil {
		refused = st.checkItem(msg, nil, attributes)
	}
	if refused != nil {
		return nil, refused
	}
	opened := time.Now()
	due := opened.Add(c.opts.SendTimeout)
	b := &batch{st: st, attributes: attributes, opened: opened, due: due, timer: time.NewTimer(time.Hour)}
	b.add(msg, nil, nobody{}, Tag{}, 0)
	frame, settled := c.frameLive(nil, new([]byte), b, 0, "", due.Add(late))
	if len(settled) > 0 {
		return frame, settled[0].err
	}
	return frame, nil
}

// Suspect makes the client avoid these nodes, and EndSuspicion their time over, as after Suspicion.
func Suspect(of FullClient, addrs ...string) {
	conns := of.(*client).conns
	for _, n := range conns.All(addrs...) {
		conns.Suspect(n, errors.New("the test says so"))
	}
}

func EndSuspicion(of FullClient) { of.(*client).conns.EndSuspicion() }

// InternalFault is a panic on a goroutine of the client's own.
func InternalFault(of FullClient) {
	defer of.(*client).guard()
	panic("the test says so")
}

// MostProbes is how many suspects are tried at a time.
const MostProbes = connections.MostProbes

// LinesDropped is the format of the line that no limit keeps back.
const LinesDropped = linesDropped

// SetCallbackGrace is for tests in which no callback, or ack of what was read back, may be left out because the machine is busy.
func SetCallbackGrace(of Client, grace time.Duration) { of.(*client).end.grace = grace }

// SetBulkWindow bounds what bulk ways have in flight, until something is acked.
func SetBulkWindow(of Client, bytes int64) {
	of.(*client).bulk.size.Store(bytes)
	of.(*client).bulk.enough.Store(bytes)
}

// ToBeStored is how many sealed batches the spool looks at later.
func ToBeStored(of FullClient) int {
	s := of.(*client).spooler
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.Len()
}

// Probe tries all nodes, as is done with one that failed when its time is over.
func Probe(of FullClient) { of.(*client).conns.Probe() }

// Stall has the disk of a client's spool, which it waits for, count as one that does not answer. It reports false where it waits for none.
func Stall(of FullClient) bool {
	s := of.(*client).spooler
	return s.stall.Stop() && !s.stall.Reset(0)
}
