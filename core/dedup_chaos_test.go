package dataproxy_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/inlongmsg"
)

// dedupTime bounds the chaos before Dedup from below; what it must have seen may take longer. Five minutes: -args -dedup=5m.
var dedupTime = flag.Duration("dedup", 20*time.Second, "how long TestDedupLeavesEachMessageOnceUnderChaos sends")

// dedupChaos hurts a cluster and clients, and counts what they met.
type dedupChaos struct {
	c      *dataproxytest.Cluster
	calm   atomic.Bool
	mu     sync.Mutex
	random *rand.Rand

	lost    atomic.Int64 // frames that were kept and whose ack never came
	late    atomic.Int64 // answers that came after deadlines
	expired atomic.Int64 // messages whose own deadline passed
	stored  atomic.Int64 // that ended as stored
}

// A consumer that drops what Dedup calls a double loses a message when two batches have one id, and keeps a double when a batch comes again
// under another one, or with other messages: after a lost ack, a deadline in flight, a split, a restart over the spool.
func TestDedupLeavesEachMessageOnceUnderChaos(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	chaos := &dedupChaos{c: cluster(t), random: rand.New(rand.NewPCG(seed, 0))}
	var nodes []string
	for _, n := range chaos.c.Nodes() {
		n.Handle(chaos.fate)
		nodes = append(nodes, n.Addr())
	}
	// Batches that were sealed before the client knew the limit are split. It does not change: a batch that was written and is too long since
	// then has other ids, and so has one that is cut after a restart; the log says so.
	chaos.c.Manager().Standing(dataproxytest.HTTPBody(listWith(chaos.c, 2500)))
	var runs sync.WaitGroup
	var ledgers []*ledger
	var all sync.Mutex
	replayed, dirs := new(atomic.Int64), make(map[string]bool)
	end := time.Now().Add(*dedupTime)
	enough := func() bool {
		return chaos.lost.Load() > 0 && chaos.late.Load() > 0 && chaos.expired.Load() > 0 && chaos.stored.Load() > 0 && replayed.Load() > 0
	}
	for i, opts := range [][]dataproxy.Option{
		{}, {dataproxy.WithMessageFormat(dataproxy.Binary), dataproxy.WithCompression(dataproxy.None)},
		{dataproxy.WithStaticNodes(nodes...), dataproxy.WithSpoolDir(t.TempDir())},
		{dataproxy.WithStaticNodes(nodes...), dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithOrdered(true), dataproxy.WithCompression(dataproxy.None)},
	} {
		var o dataproxy.Options
		for _, opt := range opts {
			opt(&o)
		}
		if o.SpoolDir != "" {
			dirs[o.SpoolDir] = o.Ordered
		}
		runs.Go(func() { // each life of a client ends in the middle of its work
			random := rand.New(rand.NewPCG(seed, uint64(i+1)))
			for life := 0; time.Now().Before(end) || !enough() && time.Now().Before(end.Add(patience)); life++ {
				notes := newLedger()
				all.Lock()
				ledgers = append(ledgers, notes)
				all.Unlock()
				chaos.live(t, fmt.Sprintf("%d.%d", i, life), notes, random, opts, replayed)
			}
		})
	}
	runs.Wait()

	chaos.calm.Store(true)
	for _, n := range chaos.c.Nodes() {
		n.ClearFaults()
		n.ResetConnections()
	}
	for dir, ordered := range dirs { // what the last of them has left
		client := connect(t, chaos.c, dataproxy.WithStaticNodes(nodes...), dataproxy.WithSpoolDir(dir), dataproxy.WithOrdered(ordered))
		require.Eventually(t, func() bool { return client.Stats().Spool.Batches == 0 }, 3*patience, 10*time.Millisecond)
		replayed.Add(client.Stats().Spool.Replayed)
		require.Zero(t, client.Stats().Spool.Lost+client.Stats().Spool.GivenUp)
		client.Close()
	}
	chaos.judge(t, ledgers)
	require.True(t, enough(), "it met too little")
	t.Logf("%d lives, %d frames without their ack, %d late answers, %d deadlines, %d stored, %d replayed", len(ledgers), chaos.lost.Load(),
		chaos.late.Load(), chaos.expired.Load(), chaos.stored.Load(), replayed.Load())
}

// fate decides what a node does with a frame that it has read and keeps.
func (d *dedupChaos) fate(dataproxytest.Record) dataproxytest.Fault {
	if d.calm.Load() {
		return dataproxytest.Fault{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch d.random.IntN(40) {
	case 0, 1:
		d.lost.Add(1)
		return dataproxytest.DropAnswer()
	case 2:
		d.lost.Add(1)
		return dataproxytest.CloseAfterRead()
	case 3:
		d.lost.Add(1)
		return dataproxytest.ResetAfterRead()
	case 4, 5, 6:
		d.late.Add(1)
		return dataproxytest.Delay(time.Duration(20+d.random.IntN(150)) * time.Millisecond)
	case 7:
		return dataproxytest.ErrorCode([]int{1, 2, 114}[d.random.IntN(3)])
	}
	return dataproxytest.Fault{}
}

// live is one client from its start to its end. Half of them are cut short.
func (d *dedupChaos) live(t *testing.T, name string, notes *ledger, random *rand.Rand, opts []dataproxy.Option, replayed *atomic.Int64) {
	// Frames stay shorter than 8 KiB: a longer one on which nodes close twice counts as too long for them, and is cut with other ids.
	client, err := dataproxy.NewClient(append(append(basics(d.c), dataproxy.WithLazyStart(true), dataproxy.WithBatchingMaxSize(6<<10),
		dataproxy.WithUpdateInterval(20*time.Millisecond), dataproxy.WithAckTimeout(400*time.Millisecond), dataproxy.WithSendTimeout(3*time.Second),
		dataproxy.WithMaxRetries(30), dataproxy.WithRetryInitialInterval(5*time.Millisecond), dataproxy.WithConnTimeout(time.Second),
		dataproxy.WithWorkerNum(3), dataproxy.WithBatchingMaxPublishDelay(5*time.Millisecond)), opts...)...)
	if err != nil {
		t.Errorf("a client did not start: %v", err)
		return
	}
	for n := range 600 {
		msg := streamMessage(fmt.Sprint("s", random.IntN(4)), "%s/%d %s", name, n, strings.Repeat("x", random.IntN(400)))
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if random.IntN(4) == 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(5+random.IntN(100))*time.Millisecond)
		}
		notes.mu.Lock()
		notes.sent++
		notes.mu.Unlock()
		client.SendAsync(ctx, msg, func(msg dataproxy.Message, err error) {
			switch {
			case errors.Is(err, dataproxy.ErrStored):
				d.stored.Add(1)
			case errors.Is(err, dataproxy.ErrContextExpired):
				d.expired.Add(1)
			}
			cancel()
			notes.note(msg, err)
		})
		if n%50 == 49 {
			time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+random.IntN(2)*400)*time.Millisecond)
	defer cancel()
	if s := client.Stats().Spool; s.State != dataproxy.SpoolOff {
		replayed.Add(s.Replayed)
	}
	report, _ := client.Shutdown(ctx)
	notes.mu.Lock()
	notes.uncalled += report.Uncalled
	notes.mu.Unlock()
}

// judge reads what the nodes have kept as a consumer does.
func (d *dedupChaos) judge(t *testing.T, ledgers []*ledger) {
	dedup, ids := inlongmsg.NewDedup(1<<20), make(frameItems)
	raw, once := make(map[string]int), make(map[string]int)
	doubles := 0
	d.c.Each(func(r dataproxytest.Record) bool {
		ids.add(t, r)
		seen := dedup.Seen(&inlongmsg.Message{Blocks: []inlongmsg.Block{{Attr: r.RawAttr, Items: r.Items}}})
		if seen {
			doubles++
		}
		for _, item := range r.Items {
			raw[string(item)]++
			if !seen {
				once[string(item)]++
			}
		}
		return true
	})
	bad := 0
	blame := func(format string, args ...any) {
		if bad++; bad <= 10 {
			t.Errorf(format, args...)
		}
	}
	for payload, n := range raw {
		if once[payload] != 1 {
			blame("%.40q came %d times, and %d times after Dedup", payload, n, once[payload])
		}
	}
	acked := 0
	for _, l := range ledgers {
		l.mu.Lock()
		for payload, errs := range l.results {
			if errs[0] == nil || errors.Is(errs[0], dataproxy.ErrStored) {
				acked++
				if once[payload] != 1 {
					blame("%.40q has the result %v and is there %d times after Dedup", payload, errs[0], once[payload])
				}
			}
		}
		l.mu.Unlock()
	}
	require.NotZero(t, doubles, "no frame came twice: nothing was tried")
	t.Logf("%d messages acked or stored, %d values of %d were doubles, %d wrong", acked, doubles, len(ids)+doubles, bad)
}
