package dataproxy_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
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

// mapOf returns a new map, with texts of its own.
func mapOf(n int) map[string]string {
	m := make(map[string]string)
	for i := range n {
		m[fmt.Sprint("attribute", i)] = fmt.Sprint("value ", i)
	}
	return m
}

// inOneCall is how many messages a bulk way gets in one call.
const inOneCall = 200

func submitMany(client dataproxy.Embedder, msg dataproxy.Message) error {
	payloads := slices.Repeat([][]byte{msg.Payload}, inOneCall)
	_, err := client.SubmitMany(context.Background(), &msg, payloads, make([]dataproxy.Tag, inOneCall), false)
	return err
}

func submitPacked(client dataproxy.Embedder, msg dataproxy.Message) error {
	data, lengths := bytes.Repeat(msg.Payload, inOneCall), slices.Repeat([]uint32{uint32(len(msg.Payload))}, inOneCall)
	_, err := client.SubmitPacked(context.Background(), &msg, data, lengths, dataproxy.Tag{}, false)
	return err
}

// Only payload bytes were counted: 4 MiB of messages of one byte, one a batch, held 692 MiB. The bound is one of memory, whatever the
// messages are and wherever they lie.
func TestHeapStaysWithinMaxPendingBytes(t *testing.T) {
	const bound = 4 << 20
	linger := dataproxy.WithBatchingMaxPublishDelay
	shared := mapOf(2)
	for _, mode := range []struct {
		name           string
		streams        int
		linger         time.Duration
		callers, stuck bool
		with           func(*dataproxy.Message)
		beside         int64 // that this takes
		fault          func(*dataproxytest.Node)
		submit         func(client dataproxy.Embedder, msg dataproxy.Message) error // some of it at once
		spool          bool
		opts           []dataproxy.Option
	}{
		{name: "one stream", streams: 1, linger: 20 * time.Millisecond},
		{name: "linger 0", streams: 1},
		{name: "many streams", streams: 1000, linger: 5 * time.Second},
		{name: "callers", streams: 8, linger: 20 * time.Millisecond, callers: true},
		{name: "stuck callback", streams: 1, linger: 20 * time.Millisecond, stuck: true},
		{name: "stuck callback, linger 0", streams: 1, stuck: true},
		{name: "attributes", streams: 1, linger: 20 * time.Millisecond,
			with: func(m *dataproxy.Message) { m.Attributes = mapOf(2) }, beside: 450},
		{name: "item attributes", streams: 1, linger: 20 * time.Millisecond,
			with: func(m *dataproxy.Message) { m.ItemAttributes = mapOf(2) }, beside: 550},
		{name: "many item attributes", streams: 1, linger: 20 * time.Millisecond,
			with: func(m *dataproxy.Message) { m.ItemAttributes = mapOf(20) }, beside: 3000},
		{name: "one map for all", streams: 1, linger: 20 * time.Millisecond,
			with: func(m *dataproxy.Message) { m.Attributes = shared }, beside: 100},
		{name: "ordered", streams: 8, linger: 20 * time.Millisecond, opts: []dataproxy.Option{dataproxy.WithOrdered(true)}},
		{name: "parked", streams: 8, linger: 20 * time.Millisecond, fault: (*dataproxytest.Node).Kill},
		{name: "not now", streams: 8, linger: 20 * time.Millisecond,
			fault: func(n *dataproxytest.Node) { n.Standing(dataproxytest.ErrorCode(114)) }},
		{name: "SubmitMany", streams: 1, linger: 20 * time.Millisecond, submit: submitMany},
		{name: "SubmitMany, linger 0", streams: 1, submit: submitMany},
		{name: "SubmitPacked", streams: 1, linger: 20 * time.Millisecond, submit: submitPacked},
		{name: "SubmitPacked, ordered, parked", streams: 1, linger: 20 * time.Millisecond, submit: submitPacked,
			fault: (*dataproxytest.Node).Kill, opts: []dataproxy.Option{dataproxy.WithOrdered(true)}},
		{name: "stored later", streams: 8, linger: 20 * time.Millisecond, spool: true},
		{name: "stored later, ordered", streams: 8, linger: 20 * time.Millisecond, spool: true,
			opts: []dataproxy.Option{dataproxy.WithOrdered(true)}},
	} {
		for _, size := range []int{1, 100, 10 << 10, 300 << 10} {
			t.Run(fmt.Sprintf("%s, %d bytes", mode.name, size), func(t *testing.T) {
				c := cluster(t, dataproxytest.WithNodes(1), dataproxytest.WithoutRecorder())
				opts := slices.Clip(mode.opts)
				if mode.spool {
					opts = append(opts, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithSpoolAfter(50*time.Second))
				}
				client := connect(t, c, append(opts, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingBytes(bound),
					dataproxy.WithMaxPendingMessages(8<<20), dataproxy.WithSendTimeout(time.Minute), dataproxy.WithAckTimeout(time.Minute),
					linger(mode.linger), dataproxy.WithMessageFormat(dataproxy.Binary), dataproxy.WithResultHandler(func(*dataproxy.BatchResult) {}))...)
				hurry(t, client)
				msg := func(i int) dataproxy.Message {
					m := dataproxy.Message{StreamID: fmt.Sprint("stream", i%mode.streams), Payload: make([]byte, size)}
					if mode.with != nil {
						mode.with(&m)
					}
					return m
				}
				for i := range mode.streams { // a stream is kept for longer than its messages
					client.SendAsync(context.Background(), msg(i), nil)
				}
				require.NoError(t, client.Flush(patient(t)))
				release := make(chan struct{})
				t.Cleanup(func() { close(release) })
				if mode.fault != nil {
					mode.fault(c.Node(0))
				} else if !mode.stuck {
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
					if mode.submit != nil {
						full.Store(mode.submit(client.(dataproxy.Embedder), msg(i)) != nil)
					} else if mode.callers {
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
				beside := 150 + mode.beside // and no more is counted than there can be
				if mode.linger == 0 || mode.callers {
					beside = 1100
				}
				require.Less(t, pending.PendingBytes/pending.PendingMessages, int64(size)*5/4+beside)
			})
		}
	}
}

// Messages whose deadline had passed on a lane that is stuck had their result and gave their room back, and yet all that they had brought
// stayed in queues and tables until the ack time-out: half a gigabyte with a bound of one megabyte. Where each stream has a queue, it was
// swept only when the next batch came; and with a spool the dead kept what they were compressed into.
func TestExpiredMessagesAreNotHeld(t *testing.T) {
	linger0 := []dataproxy.Option{dataproxy.WithBatchingMaxPublishDelay(0)}
	for _, mode := range []struct {
		name    string
		options []dataproxy.Option
		streams int
		spool   bool
	}{
		{name: "batches", streams: 1},
		{name: "linger 0", options: linger0, streams: 1},
		{name: "ordered", options: append(linger0, dataproxy.WithOrdered(true)), streams: 1},
		{name: "ordered, one stream after the other", options: append(linger0, dataproxy.WithOrdered(true)), streams: 40},
		{name: "spool", streams: 1, spool: true},
		{name: "spool, ordered", options: []dataproxy.Option{dataproxy.WithOrdered(true)}, streams: 40, spool: true},
	} {
		for _, reads := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, node reads %v", mode.name, reads), func(t *testing.T) {
				bound, rounds := int64(1<<20), 40
				if mode.spool { // which has buffers of its own, some 400 KiB
					bound, rounds = 4<<20, 80
				}
				c := cluster(t, dataproxytest.WithNodes(1), dataproxytest.WithoutRecorder())
				opts := append([]dataproxy.Option{dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingBytes(int(bound)), dataproxy.WithBlockIfQueueIsFull(true),
					dataproxy.WithSendTimeout(time.Minute), dataproxy.WithAckTimeout(time.Minute)}, mode.options...)
				payload := []byte("x")
				if mode.spool {
					opts = append(opts, dataproxy.WithSpoolDir(t.TempDir()))
					payload = append(noise(1000), make([]byte, 1000)...)
				}
				client := connect(t, c, opts...)
				hurry(t, client)
				var called sync.WaitGroup
				send := func(ctx context.Context, stream int) {
					for range 500 {
						msg := dataproxy.Message{StreamID: fmt.Sprint("stream", stream), Payload: payload, MetaData: make([]byte, 4096)}
						called.Add(1)
						client.SendAsync(ctx, msg, func(dataproxy.Message, error) { called.Done() })
					}
					called.Wait()
				}
				send(patient(t), 0) // buffers that stay, whatever becomes of messages, are there
				if reads {
					c.Node(0).Standing(dataproxytest.Silence())
				} else {
					stuck := make(chan struct{})
					t.Cleanup(func() { close(stuck) })
					c.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault { <-stuck; return dataproxytest.Fault{} })
				}
				before := heapNow()
				for i := range rounds {
					ctx, cancel := context.WithTimeout(context.Background(), 25*time.Millisecond)
					send(ctx, i%mode.streams)
					cancel()
				}
				held := heapNow() - before
				for range 20 { // what is being written, to the disk or by the fake node, goes away
					if held < bound {
						break
					}
					held = heapNow() - before
				}
				t.Logf("%d expired: %d KiB on the heap", 500*rounds, held>>10)
				require.Less(t, held, bound*5/4)
			})
		}
	}
}
