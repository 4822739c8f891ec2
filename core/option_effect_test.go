package dataproxy_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// countingPools are pools of a user who watches what is lent.
type countingPools struct {
	mu              sync.Mutex
	buffers, slices map[any]bool // lent now
	everLent        int
	unknown         int // came back without having been lent
	spare           []*bytes.Buffer
}

func newCountingPools() *countingPools {
	return &countingPools{buffers: map[any]bool{}, slices: map[any]bool{}}
}

type bufferSide struct{ *countingPools }

func (p bufferSide) Get() *bytes.Buffer {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := bytes.NewBufferString("left over from another user")
	if n := len(p.spare); n > 0 {
		b, p.spare = p.spare[n-1], p.spare[:n-1]
	}
	p.everLent++
	p.buffers[b] = true
	return b
}

func (p bufferSide) Put(b *bytes.Buffer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.buffers[b] {
		p.unknown++
	}
	delete(p.buffers, b)
	p.spare = append(p.spare, b)
}

type byteSide struct{ *countingPools }

func (p byteSide) Get() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := make([]byte, 1024)
	p.everLent++
	p.slices[&b[0]] = true
	return b
}

func (p byteSide) Put(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(b) != 1024 || !p.slices[&b[0]] {
		p.unknown++
		return
	}
	delete(p.slices, &b[0])
}

func (p *countingPools) state() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%d buffers, %d slices lent, %d unknown came back", len(p.buffers), len(p.slices), p.unknown)
}

// A pool given by the user is really used, with whatever its buffers hold, and gets back what it lent: once, and no more.
func TestUsersPoolsAreUsedAndGetEverythingBack(t *testing.T) {
	c := cluster(t)
	forBuffers, forBytes := newCountingPools(), newCountingPools()
	client := connect(t, c, dataproxy.WithBufferPool(bufferSide{forBuffers}), dataproxy.WithBytePool(byteSide{forBytes}),
		dataproxy.WithMaxRetries(100), dataproxy.WithSendTimeout(patience))
	notes := newLedger()
	for i := range 3000 {
		notes.send(context.Background(), client, streamMessage(fmt.Sprint("s", i%7), "%d %s", i, strings.Repeat("x", i%500)))
		if i%1000 == 500 {
			c.Node(i / 1000).ResetConnections()
		}
	}
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	require.Equal(t, 3000, len(notes.acked()))
	client.Close()
	require.Greater(t, forBuffers.everLent, 60, "batches and writes")
	require.GreaterOrEqual(t, forBytes.everLent, 8, "one a connection")
	eventually(t, "all is back", func() bool {
		return forBuffers.state() == "0 buffers, 0 slices lent, 0 unknown came back" && forBytes.state() == "0 buffers, 0 slices lent, 0 unknown came back"
	})
}

// A pool that counts what it has lent is dead after as many failed batches as it may hold, unless their buffers come back. Their
// bytes must not: anyone who got them in a callback may still read them.
func TestBuffersOfFailedBatchesComeBackWithoutTheirBytes(t *testing.T) {
	const n = 20
	c := cluster(t)
	standing(c, dataproxytest.ErrorCode(109))
	counting := newCountingPools()
	client := connect(t, c, dataproxy.WithBufferPool(bufferSide{counting}))
	kept := make(chan dataproxy.Message, n)
	for i := range n {
		client.SendAsync(context.Background(), message(fmt.Sprintf("%02d kept", i)), func(m dataproxy.Message, err error) { kept <- m })
		require.NoError(t, client.Flush(patient(t)))
	}
	client.Close()
	eventually(t, "all is back", func() bool { return counting.state() == "0 buffers, 0 slices lent, 0 unknown came back" })
	for _, b := range counting.spare { // the next user of the pool
		b.WriteString(strings.Repeat("overwritten", 100))
	}
	for i := range n {
		require.Equal(t, fmt.Sprintf("%02d kept", i), string((<-kept).Payload))
	}

	own := dataproxy.NewBufferPool(4)
	client = connect(t, c, dataproxy.WithBufferPool(own))
	for range n {
		require.Error(t, client.Send(patient(t), message("x")))
	}
	client.Close()
	alive := 0
	for range 100 { // a sync.Pool may drop some
		b := own.Get()
		own.Put(b)
		again := own.Get()
		if again == b {
			alive++
		}
		own.Put(again)
	}
	require.Positive(t, alive, "the pool keeps nothing any more")
}

// panickyPools do what must not happen in them while they are told to.
type panickyPools struct {
	getting, putting *atomic.Bool
	fault            func()
}

func (p panickyPools) check(bad *atomic.Bool) {
	if bad.Load() {
		p.fault()
	}
}

type panickyBuffers struct{ panickyPools }

func (p panickyBuffers) Get() *bytes.Buffer { p.check(p.getting); return new(bytes.Buffer) }
func (p panickyBuffers) Put(*bytes.Buffer)  { p.check(p.putting) }

type panickyBytes struct{ panickyPools }

func (p panickyBytes) Get() []byte { p.check(p.getting); return make([]byte, 1024) }
func (p panickyBytes) Put([]byte)  { p.check(p.putting) }

// A panic in a user's pool used to come out of Send, which kept its room of the queue for ever, or to close the client; runtime.Goexit
// ended the writer of a lane, or what calls its callbacks, for good.
func TestF5_PanicInAPoolHurtsNobody(t *testing.T) {
	for line, fault := range map[string]func(){
		"a pool of the user panicked: a bug of the pool": func() { panic("a bug of the pool") },
		"a pool of the user called runtime.Goexit":       runtime.Goexit,
	} {
		t.Run(line, func(t *testing.T) { poolsThatFail(t, fault, line) })
	}
}

func poolsThatFail(t *testing.T, fault func(), line string) {
	c := cluster(t)
	pools, log := panickyPools{new(atomic.Bool), new(atomic.Bool), fault}, newMemoLog()
	client := connect(t, c, dataproxy.WithBufferPool(panickyBuffers{pools}), dataproxy.WithBytePool(panickyBytes{pools}),
		dataproxy.WithLogger(log), dataproxy.WithMaxRetries(100))
	notes := newLedger()
	for _, bad := range []*atomic.Bool{pools.getting, pools.putting} {
		bad.Store(true)
		for i := range 300 {
			notes.send(context.Background(), client, streamMessage(fmt.Sprint("s", i%7), "%p %d", bad, i))
			if i%100 == 50 {
				c.Node(i / 100).ResetConnections()
			}
		}
		require.NoError(t, client.Send(patient(t), streamMessage("sync", "%p", bad)))
		require.NoError(t, client.Flush(patient(t)))
		bad.Store(false)
	}
	notes.balanced(t, c)
	require.Len(t, notes.acked(), 600)
	require.Equal(t, 1, log.count(line), "log lines")
	settled(t, client)
}

// The pools that the package makes bear any size.
func TestOwnPoolsBearAnySize(t *testing.T) {
	for _, n := range []int{-1, 0, 1, 100} {
		b, s := dataproxy.NewBufferPool(n), dataproxy.NewBytePool(n, n)
		client := connect(t, cluster(t), dataproxy.WithBufferPool(b), dataproxy.WithBytePool(s))
		require.NoError(t, client.Send(patient(t), message("x")))
		require.NoError(t, client.Send(patient(t), message(strings.Repeat("y", 100_000))))
		client.Close()
	}
}

// A connection that lives too long is replaced while data flows: nothing is lost, nothing fails.
func TestConnectionsAreReplacedAfterTheirLifetime(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithMaxConnLifetime(30*time.Millisecond), dataproxy.WithMaxRetries(0))
	notes, i := newLedger(), 0
	replaced := func() (n int) {
		for _, node := range c.Nodes() {
			_, total := node.Connections()
			n += total
		}
		return n - 8
	}
	for replaced() < 40 {
		i++
		notes.send(context.Background(), client, streamMessage("s", "%d", i))
		if i%50 == 0 {
			require.NoError(t, client.Send(patient(t), streamMessage("s", "sync %d", i)))
		}
	}
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	require.Equal(t, i, len(notes.acked()))
	require.Equal(t, i+i/50, c.Count(), "written twice")
}

// A batch is sealed by whichever bound comes first, and no frame passes the smaller of ours and the Manager's.
func TestBatchAndFrameBounds(t *testing.T) {
	for name, b := range map[string]struct {
		opts  []dataproxy.Option
		size  int // of a payload
		count int // of messages in the first frame
	}{
		"messages": {[]dataproxy.Option{dataproxy.WithBatchingMaxMessages(7)}, 10, 7},
		"bytes":    {[]dataproxy.Option{dataproxy.WithBatchingMaxSize(1040), dataproxy.WithBatchingMaxMessages(100)}, 100, 10},
		"one":      {[]dataproxy.Option{dataproxy.WithBatchingMaxSize(16)}, 100, 1},
		"linger 0": {[]dataproxy.Option{dataproxy.WithBatchingMaxPublishDelay(0)}, 10, 1},
		"frame":    {[]dataproxy.Option{dataproxy.WithMaxFrameSize(1024), dataproxy.WithBatchingMaxMessages(1000)}, 200, 3},
	} {
		c := cluster(t)
		client := connect(t, c, append([]dataproxy.Option{dataproxy.WithBatchingMaxPublishDelay(time.Minute)}, b.opts...)...)
		for range 20 {
			client.SendAsync(patient(t), message(strings.Repeat("x", b.size)), nil)
		}
		require.NoError(t, client.Flush(patient(t)), name)
		require.Len(t, c.Received()[0].Items, b.count, name)
		require.Equal(t, 20, c.Count(), name)
	}
	c := cluster(t, dataproxytest.WithMaxMessageLength(2048)) // a longer frame closes the connection
	client := connect(t, c, dataproxy.WithCompression(dataproxy.None), dataproxy.WithMaxRetries(0))
	for n := 1000; n < 2100; n += 50 {
		if err := client.Send(patient(t), message(strings.Repeat("x", n))); err != nil {
			fault(t, err, dataproxy.CodeLogTooLong)
			require.Greater(t, n, 1500, "refused although it fits")
		}
	}
}

// A linger that is not waited for costs batches, one that lasts longer costs time.
func TestBatchStaysOpenForItsLinger(t *testing.T) {
	const linger = 150 * time.Millisecond
	c := cluster(t)
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(linger))
	var took time.Duration
	inTime(t, linger, "both results", func() {
		start, results := time.Now(), make(chan error, 2)
		for range 2 {
			client.SendAsync(context.Background(), message("x"), func(_ dataproxy.Message, err error) { results <- err })
		}
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		took = time.Since(start)
	})
	require.GreaterOrEqual(t, took, linger)
	require.Len(t, c.Received(), 1, "both in one batch")
}

// The back-off doubles: a node that is full must not be asked at the same pace for ever.
func TestBackOffStartsWithTheIntervalAndDoubles(t *testing.T) {
	const first = 40 * time.Millisecond
	c := cluster(t, dataproxytest.WithNodes(1))
	full := dataproxytest.ErrorCode(114)
	c.Node(0).Fault(full, full, full)
	client := connect(t, c, dataproxy.WithRetryInitialInterval(first))
	least := time.Duration(0)
	for i := range 3 {
		least += first << i / 2 // jitter takes half of it at the most
	}
	inTime(t, 2*least, "four attempts", func() {
		start := time.Now()
		if err := client.Send(patient(t), message("x")); err != nil || c.Node(0).Frames() != 4 || time.Since(start) < least {
			t.Errorf("%v, %d attempts after %v", err, c.Node(0).Frames(), time.Since(start))
		}
	})
}

// Lanes lie evenly on the nodes from the start.
func TestLanesAreSpreadEvenly(t *testing.T) {
	for _, lanes := range []int{1, 3, 8, 10} {
		client := connect(t, cluster(t), dataproxy.WithWorkerNum(lanes))
		eventually(t, "all lanes are usable", func() bool { return usableLanes(client) == lanes })
		for _, n := range client.Stats().Nodes {
			require.InDelta(t, float64(lanes)/3, n.Lanes, 0.99, "%+v", n)
		}
	}
}
