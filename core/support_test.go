package dataproxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// long reports whether the rounds that take minutes were asked for.
func long() bool { return os.Getenv("INLONG_TEST_LONG") != "" }

// rounds returns how often a test repeats itself.
func rounds(short, whole int) int {
	if long() {
		return whole
	}
	return short
}

// ledger notes the results of many messages: each must get exactly one.
type ledger struct {
	mu       sync.Mutex
	sent     int
	uncalled int64 // what a close in a hurry has in its report instead, see CloseReport.Uncalled
	results  map[string][]error
}

func newLedger() *ledger { return &ledger{results: make(map[string][]error)} }

// send gives the client one message whose payload no other one has.
func (l *ledger) send(ctx context.Context, client dataproxy.FullClient, msg dataproxy.Message) {
	l.mu.Lock()
	l.sent++
	l.mu.Unlock()
	client.SendAsync(ctx, msg, l.note)
}

func (l *ledger) note(msg dataproxy.Message, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.results[string(msg.Payload)] = append(l.results[string(msg.Payload)], err)
}

// acked returns the payloads that were reported as sent.
func (l *ledger) acked() (payloads []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for payload, errs := range l.results {
		if len(errs) == 1 && errs[0] == nil {
			payloads = append(payloads, payload)
		}
	}
	return payloads
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.results)
}

// balanced checks promises a and b: one result a message, and nothing called sent that no node has; and that an id names one frame.
func (l *ledger) balanced(t *testing.T, c *dataproxytest.Cluster) {
	t.Helper()
	l.mu.Lock()
	require.LessOrEqual(t, len(l.results), l.sent, "messages with a result")
	require.LessOrEqual(t, int64(l.sent-len(l.results)), l.uncalled, "messages without a result")
	for payload, errs := range l.results {
		require.Len(t, errs, 1, "results of %q", payload)
	}
	l.mu.Unlock()
	received := receivedPayloads(c)
	for _, payload := range l.acked() {
		require.Positive(t, received[payload], "%q was reported as sent", payload)
	}
	ids := make(frameItems)
	for _, r := range c.Received() {
		ids.add(t, r)
	}
}

// frameItems is what came under each batch id.
type frameItems map[string][][]byte

func (ids frameItems) add(t *testing.T, r dataproxytest.Record) {
	t.Helper()
	id := r.Attr["mid"]
	if items, again := ids[id]; again && !slices.EqualFunc(items, r.Items, bytes.Equal) {
		t.Errorf("%s came again with other messages: %.300q, then %.300q", id, items, r.Items)
	}
	ids[id] = r.Items
}

func receivedPayloads(c *dataproxytest.Cluster) map[string]int {
	received := make(map[string]int)
	for _, m := range c.Messages() {
		received[string(m)]++
	}
	return received
}

// settled waits until nothing of a message is left in the client.
func settled(t *testing.T, client dataproxy.FullClient) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for dataproxy.Leftovers(client) != "" && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	require.Empty(t, dataproxy.Leftovers(client))
}

// hurry makes the close at the end of the test not wait for nodes that never answer.
func hurry(t *testing.T, client dataproxy.FullClient) {
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, _ = client.Shutdown(ctx)
	})
}

// fault returns err as an *Error of the given code.
func fault(t *testing.T, err error, code dataproxy.Code) *dataproxy.Error {
	t.Helper()
	var e *dataproxy.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, int(code), int(e.Code), "%v", err)
	if can := persistedBy[code]; len(can) > 0 {
		require.Contains(t, can, e.Persisted(), "the table of codes says otherwise: %v", err)
	}
	return e
}

// persistedBy is what the table of codes tells of each.
var persistedBy = func() map[dataproxy.Code][]dataproxy.Persisted {
	by := map[dataproxy.Code][]dataproxy.Persisted{}
	for _, c := range dataproxy.Codes() {
		by[c.Code] = c.Persisted
	}
	return by
}()

// watch measures how late this machine wakes goroutines. The function it returns ends that, and gives what may be added to a
// promised time: little when nobody else uses the machine, more when a goroutine had to wait for its turn.
func watch() (slack func() time.Duration) {
	stop, worst := make(chan struct{}), make(chan time.Duration)
	go func() {
		const nap = 2 * time.Millisecond
		late := time.Duration(0)
		for {
			start := time.Now()
			select {
			case <-stop:
				worst <- late
				return
			case <-time.After(nap):
				late = max(late, time.Since(start)-nap)
			}
		}
	}()
	return func() time.Duration {
		close(stop)
		return 250*time.Millisecond + 10*<-worst
	}
}

// inTime fails the test when f takes longer than d, and some for a busy machine.
func inTime(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	slack, start := watch(), time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Errorf("%s hangs", what)
	}
	took := time.Since(start)
	require.Less(t, took, d+slack(), what)
}

// each runs f n times, each in its own goroutine, and waits for all.
func each(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

func streamMessage(stream, format string, args ...any) dataproxy.Message {
	return dataproxy.Message{StreamID: stream, Payload: fmt.Appendf(nil, format, args...)}
}

// standing puts a fault on every node.
func standing(c *dataproxytest.Cluster, f dataproxytest.Fault) {
	for _, n := range c.Nodes() {
		n.Standing(f)
	}
}

func nodeOf(c *dataproxytest.Cluster, addr string) *dataproxytest.Node {
	i := slices.IndexFunc(c.Nodes(), func(n *dataproxytest.Node) bool { return n.Addr() == addr })
	return c.Node(i)
}

func isCode(err error, code dataproxy.Code) bool { return errors.Is(err, &dataproxy.Error{Code: code}) }
