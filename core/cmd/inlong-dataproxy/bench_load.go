package main

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/cmd/internal/loglines"
)

// benchLoad sends the messages of a benchmark and takes their times.
type benchLoad struct {
	*benchFlags
	client  dataproxy.FullClient
	lines   []byte
	names   []string // of the streams
	started time.Time

	acked, failed atomic.Int64
	stored        atomic.Int64 // with the result "stored": delivered later
	failures      failures
	times         *latencies
	shots         sync.Pool // of *shot
}

// shot is a message on its way.
type shot struct {
	due   time.Time
	times *shard
}

func newBenchLoad(f *benchFlags, client dataproxy.FullClient) *benchLoad {
	const corpus, mostLines = 64 << 20, 4096
	lines := min(max(corpus/f.size, 1), mostLines)
	if f.count > 0 {
		lines = int(min(f.count, int64(lines)))
	}
	return &benchLoad{
		benchFlags: f, client: client, names: f.streamNames(), times: newLatencies(),
		lines: loglines.Make(f.size, lines),
		shots: sync.Pool{New: func() any { return new(shot) }},
	}
}

func (l *benchLoad) counts() (acked, failed int64) { return l.acked.Load(), l.failed.Load() }

func (l *benchLoad) unit() string { return "messages" }

func (l *benchLoad) done() (n, total int64) {
	if l.count > 0 {
		return l.acked.Load() + l.stored.Load() + l.failed.Load(), l.count
	}
	return min(time.Since(l.started), l.duration).Milliseconds(), l.duration.Milliseconds()
}

// run sends with all callers and returns when every message has its result.
func (l *benchLoad) run(ctx context.Context, screen *screen) *benchReport {
	clock := startClock()
	l.started = clock.wall
	stopBar := screen.bar(l, nil)
	watch := l.watch()
	var callers sync.WaitGroup
	for i := range l.callers {
		callers.Go(func() { l.call(ctx, i) })
	}
	callers.Wait()
	// Every message has its own deadline, so this ends.
	_ = l.client.Flush(context.WithoutCancel(ctx))
	l.drain(ctx)
	wall, cpu := clock.passed()
	points := watch()
	stopBar(ctx.Err() == nil)
	return l.report(wall, cpu, points)
}

// drainPause is how long the spool may make no progress before what is left in it is given up on.
const drainPause = 30 * time.Second

// drain waits until what is stored was delivered.
func (l *benchLoad) drain(ctx context.Context) {
	left, moved := int64(-1), time.Now()
	for ctx.Err() == nil && time.Since(moved) < drainPause {
		now := l.client.Stats().Spool.Messages
		if now == 0 {
			return
		}
		if now != left {
			left, moved = now, time.Now()
		}
		sleep(ctx, 10*time.Millisecond)
	}
}

// call is one caller. At a rate its messages are due at fixed times, in turn with those of the others.
func (l *benchLoad) call(ctx context.Context, caller int) {
	lines := loglines.NewCursor(l.lines, l.size, caller)
	arrived := func(message dataproxy.Message, err error) {
		s := message.MetaData.(*shot)
		l.result(ctx, s.times, s.due, err)
		l.shots.Put(s)
	}
	share := l.share(caller)
	between := 0.0 // nanoseconds
	if l.rate > 0 {
		between = float64(time.Second) / l.rate
	}
	for n := int64(0); n < share && ctx.Err() == nil; n++ {
		due := time.Now()
		if due.Sub(l.started) >= l.duration {
			return
		}
		if between > 0 {
			at := float64(n*int64(l.callers)+int64(caller)) * between
			if at >= float64(l.duration) {
				return
			}
			planned := l.started.Add(time.Duration(at))
			if wait := planned.Sub(due); wait > 0 && !sleep(ctx, wait) {
				return
			}
			due = planned
		}
		l.send(ctx, (int64(caller)+n)%int64(len(l.names)), lines.Next(), due, arrived)
	}
}

// share is the number of messages of one caller.
func (l *benchLoad) share(caller int) int64 {
	if l.count == 0 {
		return math.MaxInt64
	}
	share := l.count / int64(l.callers)
	if int64(caller) < l.count%int64(l.callers) {
		share++
	}
	return share
}

func (l *benchLoad) send(ctx context.Context, stream int64, payload []byte, due time.Time, arrived dataproxy.Callback) {
	message := dataproxy.Message{StreamID: l.names[stream], Payload: payload}
	if l.sync {
		err := l.client.Send(ctx, message)
		l.result(ctx, l.times.shard(stream), due, err)
		return
	}
	s := l.shots.Get().(*shot)
	s.due, s.times = due, l.times.shard(stream)
	message.MetaData = s
	l.client.SendAsync(ctx, message, arrived)
}

func (l *benchLoad) result(ctx context.Context, times *shard, due time.Time, err error) {
	switch {
	case err == nil:
		times.record(time.Since(due))
		l.acked.Add(1)
	case errors.Is(err, dataproxy.ErrContextExpired) && ctx.Err() != nil:
		// Only an interruption gives up a message so, and it counts as not sent.
	case isStored(err):
		l.stored.Add(1)
	default:
		l.failed.Add(1)
		l.failures.add(err, "")
	}
}

// watch looks at the load once an interval, until the returned function is called.
func (l *benchLoad) watch() (stop func() []point) {
	const points = 100
	interval := 500 * time.Millisecond
	if l.duration < math.MaxInt64 {
		interval = max(l.duration/points, 100*time.Millisecond)
	}
	var all []point
	var before, last point // what was sent and failed before the last point; the last one
	look := func(apart bool) {
		if apart {
			before.At, before.Sent, before.Failed = last.At, before.Sent+last.Sent, before.Failed+last.Failed
			before.Replayed += last.Replayed
		} else {
			all = all[:len(all)-1]
		}
		l.times.look(apart)
		stats := l.client.Stats()
		last = l.times.point(before.At, time.Since(l.started).Seconds())
		last.Sent, last.Failed = stats.Accepted-before.Sent, l.failed.Load()-before.Failed
		last.Replayed, last.Stored = stats.Spool.Replayed-before.Replayed, stats.Spool.Messages
		last.PendingMessages, last.PendingBytes, last.HeapBytes = stats.PendingMessages, stats.PendingBytes, heapBytes()
		for _, node := range stats.Nodes {
			last.Connections += node.Lanes
			last.Nodes += min(node.Lanes, 1)
		}
		all = append(all, last)
	}
	quit, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			began := time.Now()
			select {
			case <-time.After(interval):
				look(true)
			case <-quit:
				// A short rest would make a point of its own that is mostly chance.
				look(len(all) == 0 || time.Since(began) > interval/2)
				return
			}
		}
	}()
	return func() []point {
		close(quit)
		<-over
		return all
	}
}
