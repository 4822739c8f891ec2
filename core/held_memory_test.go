package dataproxy_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

func heapNow() int64 {
	runtime.GC()
	runtime.GC() // pools let go of what they hold in the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Only payload bytes were counted: 4 MiB of messages of one byte, one a batch, held 692 MiB. The bound is one of memory, whatever the
// messages are and wherever they lie.
func TestHeapStaysWithinMaxPendingBytes(t *testing.T) {
	const bound = 4 << 20
	linger := dataproxy.WithBatchingMaxPublishDelay
	for _, mode := range []struct {
		name           string
		streams        int
		linger         time.Duration
		callers, stuck bool
	}{
		{name: "one stream", streams: 1, linger: 20 * time.Millisecond},
		{name: "linger 0", streams: 1},
		{name: "many streams", streams: 1000, linger: 5 * time.Second},
		{name: "callers", streams: 8, linger: 20 * time.Millisecond, callers: true},
		{name: "stuck callback", streams: 1, linger: 20 * time.Millisecond, stuck: true},
		{name: "stuck callback, linger 0", streams: 1, stuck: true},
	} {
		for _, size := range []int{1, 100, 10 << 10} {
			t.Run(fmt.Sprintf("%s, %d bytes", mode.name, size), func(t *testing.T) {
				c := cluster(t, dataproxytest.WithNodes(1), dataproxytest.WithoutRecorder())
				client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingBytes(bound), dataproxy.WithMaxPendingMessages(8<<20),
					dataproxy.WithSendTimeout(time.Minute), dataproxy.WithAckTimeout(time.Minute), linger(mode.linger))
				hurry(t, client)
				msg := func(i int) dataproxy.Message {
					return dataproxy.Message{StreamID: fmt.Sprint("stream", i%mode.streams), Payload: make([]byte, size)}
				}
				for i := range mode.streams { // a stream is kept for longer than its messages
					client.SendAsync(context.Background(), msg(i), nil)
				}
				require.NoError(t, client.Flush(patient(t)))
				release := make(chan struct{})
				t.Cleanup(func() { close(release) })
				if !mode.stuck {
					c.Node(0).Standing(dataproxytest.Silence())
				}
				before := heapNow()
				var full atomic.Bool
				note := func(_ dataproxy.Message, err error) {
					if err == nil {
						<-release
					} else if isCode(err, dataproxy.CodeQueueFull) {
						full.Store(true)
					}
				}
				for i := 0; !full.Load(); i++ {
					if mode.callers {
						go func() { note(dataproxy.Message{}, client.Send(context.Background(), msg(i))) }()
						if i%200 == 0 { // no more of them than have something to do
							eventually(t, "they have begun", func() bool { s := client.Stats(); return s.Accepted+s.Refused > int64(i) })
						}
					} else {
						client.SendAsync(context.Background(), msg(i), note)
					}
				}
				var held float64
				for range 20 { // what the fake node has just read, in the same process, goes away
					if held = float64(heapNow()-before) / bound; held < 1.2 {
						break
					}
				}
				pending := client.Stats()
				t.Logf("%d messages: %.2f of the bound on the heap, %.2f counted", pending.PendingMessages, held, float64(pending.PendingBytes)/bound)
				require.Less(t, held, 1.25)
				require.Greater(t, float64(pending.PendingBytes)/bound, 0.9, "who is refused finds no room")
				beside := int64(150) // and no more is counted than there can be
				if mode.linger == 0 || mode.callers {
					beside = 1100
				}
				require.Less(t, pending.PendingBytes/pending.PendingMessages, int64(size)*5/4+beside)
			})
		}
	}
}

// Messages whose deadline had passed on a lane that is stuck had their result and gave their room back, and yet all that they had brought
// stayed in queues and tables until the ack time-out: half a gigabyte behind a bound of one megabyte.
func TestExpiredMessagesAreNotHeld(t *testing.T) {
	const bound = 1 << 20
	for _, mode := range []struct {
		name    string
		options []dataproxy.Option
	}{
		{"batches", nil},
		{"linger 0", []dataproxy.Option{dataproxy.WithBatchingMaxPublishDelay(0)}},
		{"ordered", []dataproxy.Option{dataproxy.WithBatchingMaxPublishDelay(0), dataproxy.WithOrdered(true)}},
	} {
		for _, reads := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, node reads %v", mode.name, reads), func(t *testing.T) {
				c := cluster(t, dataproxytest.WithNodes(1), dataproxytest.WithoutRecorder())
				client := connect(t, c, append([]dataproxy.Option{dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingBytes(bound), dataproxy.WithBlockIfQueueIsFull(true),
					dataproxy.WithSendTimeout(time.Minute), dataproxy.WithAckTimeout(time.Minute)}, mode.options...)...)
				hurry(t, client)
				require.NoError(t, client.Send(patient(t), message("first")))
				if reads {
					c.Node(0).Standing(dataproxytest.Silence())
				} else {
					stuck := make(chan struct{})
					t.Cleanup(func() { close(stuck) })
					c.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault { <-stuck; return dataproxytest.Fault{} })
				}
				before := heapNow()
				var called sync.WaitGroup
				done := func(dataproxy.Message, error) { called.Done() }
				for range 40 {
					ctx, cancel := context.WithTimeout(context.Background(), 25*time.Millisecond)
					for range 500 {
						msg := message("x")
						msg.MetaData = make([]byte, 4096)
						called.Add(1)
						client.SendAsync(ctx, msg, done)
					}
					called.Wait()
					cancel()
				}
				held := heapNow() - before
				t.Logf("20,000 expired: %d KiB on the heap", held>>10)
				require.Less(t, held, int64(bound*5/4))
			})
		}
	}
}
