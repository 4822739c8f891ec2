package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

const (
	sendTimeout = 4 * time.Second
	// returning is how long the room of messages may take to come back after a close that had too little time for that.
	returning = 5 * time.Second
)

// use is one way to use a client.
type use struct {
	name             string
	streams, senders int
	ordered          bool // each sender has a stream of its own
	hasty            bool // every message has a deadline of up to 100 ms
	closes           bool // now and then the client is closed under its senders, and another one made
	send             func(u *user, ctx context.Context, stream, n int)
	options          []dataproxy.Option
}

var uses = []use{
	{name: "async", streams: 20, senders: 2, send: (*user).async},
	{name: "sync", streams: 10, senders: 8, send: (*user).sync},
	{name: "batch", streams: 5, senders: 2, send: (*user).batch, options: []dataproxy.Option{dataproxy.WithCompression(dataproxy.None)}},
	{name: "ordered", streams: 4, senders: 4, ordered: true, send: (*user).async, options: []dataproxy.Option{dataproxy.WithOrdered(true)}},
	{name: "binary", streams: 20, senders: 2, send: (*user).async, options: []dataproxy.Option{
		dataproxy.WithMessageFormat(dataproxy.Binary), dataproxy.WithMaxConnLifetime(time.Second)}},
	{name: "hasty", streams: 5, senders: 4, hasty: true, send: (*user).async, options: []dataproxy.Option{
		dataproxy.WithMaxPendingMessages(20), dataproxy.WithBlockIfQueueIsFull(true)}},
	{name: "closing", streams: 5, senders: 2, closes: true, send: (*user).async, options: []dataproxy.Option{dataproxy.WithLazyStart(true)}},
}

// user is a client, or one after the other, used in one way.
type user struct {
	use
	judge   *judge
	cluster *dataproxytest.Cluster
	streams []int

	// Senders hold swap for reading while they send: what a closed client refuses is then in its counts when they are read.
	swap   sync.RWMutex
	client dataproxy.FullClient

	accepted, refused, retries, uncalled int64 // of clients that were closed
	breaches                             []string
}

func newUser(cluster *dataproxytest.Cluster, j *judge, how use) (*user, error) {
	u := &user{use: how, judge: j, cluster: cluster}
	for i := range how.streams {
		u.streams = append(u.streams, j.stream(u.streamName(i), how.ordered))
	}
	return u, u.open()
}

func (u *user) streamName(i int) string { return fmt.Sprintf("%s-%d", u.name, i) }

func (u *user) open() error {
	client, err := dataproxy.NewClient(append([]dataproxy.Option{
		dataproxy.WithURL(u.cluster.URL()), dataproxy.WithGroupID("chaos_group"), dataproxy.WithLogger(dataproxy.NopLogger()),
		dataproxy.WithMetricsRegistry(prometheus.NewRegistry()), dataproxy.WithUpdateInterval(100 * time.Millisecond),
		dataproxy.WithWorkerNum(4), dataproxy.WithSendTimeout(sendTimeout), dataproxy.WithMaxRetries(20),
		dataproxy.WithAckTimeout(500 * time.Millisecond), dataproxy.WithConnTimeout(500 * time.Millisecond),
		dataproxy.WithHeartbeatInterval(200 * time.Millisecond), dataproxy.WithRetryInitialInterval(5 * time.Millisecond),
	}, u.options...)...)
	u.client = client
	return err
}

// run sends until ctx ends.
func (u *user) run(ctx context.Context, seed, number uint64) {
	var senders sync.WaitGroup
	for i := range u.senders {
		senders.Go(func() {
			streams := u.streams
			if u.ordered {
				streams = streams[i : i+1]
			}
			u.sender(ctx, rand.New(rand.NewPCG(seed, 1000*number+uint64(i))), streams)
		})
	}
	for u.closes && pause(ctx, 3*time.Second) {
		u.close(200*time.Millisecond, u.open)
	}
	senders.Wait()
}

func (u *user) sender(ctx context.Context, random *rand.Rand, streams []int) {
	for ctx.Err() == nil {
		limit := sendTimeout
		if u.hasty {
			limit = time.Duration(random.IntN(100)) * time.Millisecond
		} else if random.IntN(10) == 0 {
			limit = time.Duration(random.IntN(500)) * time.Millisecond
		}
		burst, cancel := context.WithTimeout(context.Background(), limit)
		u.swap.RLock()
		u.send(u, burst, streams[random.IntN(len(streams))], 1+random.IntN(40))
		u.swap.RUnlock()
		cancel()
		pause(ctx, time.Duration(random.IntN(20))*time.Millisecond)
	}
}

// message makes the next message of a stream.
func (u *user) message(ctx context.Context, stream int) (message, dataproxy.Message) {
	deadline, _ := ctx.Deadline()
	if now := time.Now(); deadline.Before(now) { // it passed before the call
		deadline = now
	}
	m := u.judge.sending(stream, deadline)
	return m, dataproxy.Message{StreamID: u.streamName(stream - u.streams[0]), Payload: m.appendPayload(nil)}
}

func (u *user) async(ctx context.Context, stream, n int) {
	for range n {
		m, msg := u.message(ctx, stream)
		u.client.SendAsync(ctx, msg, func(_ dataproxy.Message, err error) {
			u.judge.report(m, err, time.Now())
			switch {
			case m.number%5003 == 0:
				panic("a callback of the application")
			case m.number%997 == 0 && !u.ordered && !u.closes: // the order is one sender's; a closed client's counts are read
				u.sendAgain(stream)
			}
		})
	}
}

// sendAgain is what a callback may do. It is short, since other results wait for it.
func (u *user) sendAgain(stream int) {
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	m, msg := u.message(ctx, stream)
	u.client.SendAsync(ctx, msg, func(_ dataproxy.Message, err error) { u.judge.report(m, err, time.Now()) })
	soon, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	_ = u.client.Flush(soon)
}

func (u *user) sync(ctx context.Context, stream, _ int) {
	m, msg := u.message(ctx, stream)
	err := u.client.Send(ctx, msg)
	u.judge.result(m, err, time.Now())
}

func (u *user) batch(ctx context.Context, stream, n int) {
	messages, batch := make([]message, n), make([]dataproxy.Message, n)
	for i := range n {
		messages[i], batch[i] = u.message(ctx, stream)
	}
	errs := u.client.SendBatch(ctx, batch)
	now := time.Now()
	for i, m := range messages {
		if errs == nil {
			u.judge.result(m, nil, now)
		} else {
			u.judge.result(m, errs[i], now)
		}
	}
}

// knows reports whether the client has learnt of so many nodes and has a lane.
func (u *user) knows(nodes int) bool {
	u.swap.RLock()
	defer u.swap.RUnlock()
	s := u.client.Stats()
	return len(s.Nodes) == nodes && slices.ContainsFunc(s.Lanes, func(l dataproxy.LaneStats) bool { return l.Usable })
}

// flush waits until everything has its result.
func (u *user) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout+overdue)
	defer cancel()
	if err := u.client.Flush(ctx); err != nil {
		u.breach("flush: %v", err)
	}
}

// close ends the client within the given time, under its senders, and compares its counts; then comes what is next.
func (u *user) close(limit time.Duration, next func() error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	deadline, _ := ctx.Deadline()
	report, _ := u.client.Shutdown(ctx)
	u.judge.late(time.Since(deadline), u.name+" close")
	u.swap.Lock()
	defer u.swap.Unlock()
	s := u.client.Stats()
	for end := time.Now().Add(returning); s.PendingMessages > report.Uncalled && time.Now().Before(end); s = u.client.Stats() {
		time.Sleep(time.Millisecond)
	}
	if s.PendingMessages > report.Uncalled || s.Accepted != s.Acked+s.Failed || s.Acked != report.Acked || s.Failed != report.Failed {
		u.breach("after close %d messages pending, %d accepted, %d acked, %d failed; the close reported %d acked, %d failed, %d uncalled",
			s.PendingMessages, s.Accepted, s.Acked, s.Failed, report.Acked, report.Failed, report.Uncalled)
	}
	u.accepted += s.Accepted
	u.refused += s.Refused
	u.retries += s.Retries
	u.uncalled += report.Uncalled
	if err := next(); err != nil {
		u.breach("no further client: %v", err)
	}
}

func (u *user) breach(format string, args ...any) {
	u.breaches = append(u.breaches, u.name+": "+fmt.Sprintf(format, args...))
}
