package dataproxy_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// hookNotes keeps what hooks are told.
type hookNotes struct {
	mu       sync.Mutex
	tokens   int
	state    map[int]string // of a message: "sending", "accepted", "refused"
	results  map[int][]dataproxy.MessageResults
	batches  map[uint64][]string // what became of each
	replayed []string
	refused  []*dataproxy.Error
}

func (n *hookNotes) hooks() dataproxy.Hooks {
	n.state, n.results, n.batches = map[int]string{}, map[int][]dataproxy.MessageResults{}, map[uint64][]string{}
	return dataproxy.Hooks{
		Sending: func(_ context.Context, _ *dataproxy.Message) any {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.tokens++
			n.state[n.tokens] = "sending"
			return n.tokens
		},
		Accepted: func(token any, _ *dataproxy.Message) { n.moves(token, "accepted") },
		Refused: func(token any, _ *dataproxy.Message, err *dataproxy.Error) {
			n.moves(token, "refused")
			n.mu.Lock()
			defer n.mu.Unlock()
			n.refused = append(n.refused, err)
		},
		Sealed: func(b dataproxy.BatchInfo) { n.batch(b, "sealed") },
		Written: func(a dataproxy.BatchAttempt) {
			n.batch(a.Batch, fmt.Sprintf("written %d", a.Attempt))
		},
		Answered: func(a dataproxy.BatchAttempt, end dataproxy.AttemptEnd) {
			n.batch(a.Batch, fmt.Sprintf("answered %d %s %d", a.Attempt, end.Persisted, end.ServerCode))
		},
		Result: func(r dataproxy.MessageResults) {
			code := dataproxy.CodeOK
			if r.Err != nil {
				code = r.Err.Code
			}
			n.batch(r.Batch, fmt.Sprintf("result %d %d", r.Messages, code))
			n.mu.Lock()
			defer n.mu.Unlock()
			for _, token := range r.Tokens {
				n.results[token.(int)] = append(n.results[token.(int)], r)
			}
		},
	}
}

func (n *hookNotes) moves(token any, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state[token.(int)] += " " + to
}

func (n *hookNotes) batch(b dataproxy.BatchInfo, what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if b.Replayed {
		n.replayed = append(n.replayed, what)
		return
	}
	n.batches[b.Number] = append(n.batches[b.Number], what)
}

// only returns what became of the one batch there was.
func (n *hookNotes) only(t *testing.T) []string {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	require.Len(t, n.batches, 1)
	for _, told := range n.batches {
		return slices.Clone(told)
	}
	return nil
}

// complete checks that each message has one end, and each attempt a beginning and an end.
func (n *hookNotes) complete(t *testing.T) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for token, state := range n.state {
		switch state {
		case "sending refused":
			require.Empty(t, n.results[token])
		case "sending accepted":
			require.Len(t, n.results[token], 1)
		default:
			t.Errorf("message %d: %s", token, state)
		}
	}
	for batch, told := range n.batches {
		require.Equal(t, "sealed", told[0], "batch %d", batch)
		begun := map[string]int{}
		for _, what := range told[1:] {
			attempt := ""
			switch _, err := fmt.Sscanf(what, "written %s", &attempt); {
			case err == nil:
				begun[attempt]++
			case strings.HasPrefix(what, "answered "):
				_, _ = fmt.Sscanf(what, "answered %s", &attempt)
				begun[attempt]--
				require.Zero(t, begun[attempt], "%v", told)
			default:
				require.True(t, strings.HasPrefix(what, "result "), what)
			}
		}
		for attempt, open := range begun {
			require.Zero(t, open, "attempt %s of %v", attempt, told)
		}
	}
}

// One that misses an event, or has it twice, leaves a trace that never ends.
func TestHooksTellTheWayOfABatch(t *testing.T) {
	for name, test := range map[string]struct {
		fault dataproxytest.Fault
		want  []string
		fails bool
	}{
		"acked":       {want: []string{"sealed", "written 1", "answered 1 acked 0", "result 3 0"}},
		"not now":     {fault: dataproxytest.ErrorCode(114), want: []string{"sealed", "written 1", "answered 1 not_written 114", "written 2", "answered 2 acked 0", "result 3 0"}},
		"connection":  {fault: dataproxytest.CloseAfterRead(), want: []string{"sealed", "written 1", "answered 1 maybe_written 0", "written 2", "answered 2 acked 0", "result 3 0"}},
		"never cured": {fault: dataproxytest.ErrorCode(121), fails: true, want: []string{"sealed", "written 1", "answered 1 not_written 121", fmt.Sprintf("result 3 %d", dataproxy.CodeServerError)}},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, dataproxytest.WithNodes(2))
			var notes hookNotes
			client := connect(t, c, dataproxy.WithHooks(notes.hooks()), dataproxy.WithWorkerNum(1))
			if test.fault.Kind != "" {
				for _, node := range c.Nodes() {
					node.Fault(test.fault)
				}
			}
			errs := client.SendBatch(context.Background(), []dataproxy.Message{message("a"), message("b"), message("c")})
			require.Equal(t, test.fails, len(errs) > 0, "%v", errs)
			told := notes.only(t)
			if name == "not now" || name == "connection" { // the other node has the fault, too
				require.GreaterOrEqual(t, len(told), len(test.want))
				require.Equal(t, test.want[:3], told[:3])
				require.Equal(t, "result 3 0", told[len(told)-1])
			} else {
				require.Equal(t, test.want, told)
			}
			notes.complete(t)
		})
	}
}

// A message that is refused has no result, and one that was given up has one: a token of either that is not told stays for ever.
func TestHooksTellRefusalsExpiryAndClose(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	var notes hookNotes
	client := connect(t, c, dataproxy.WithHooks(notes.hooks()), dataproxy.WithMaxPendingMessages(4), dataproxy.WithBatchingMaxMessages(2), dataproxy.WithWorkerNum(1))
	require.Error(t, client.Send(context.Background(), message("")), "it is empty")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.Error(t, client.Send(ended, message("x")))
	c.Node(0).Standing(dataproxytest.Silence())
	short, cancelShort := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancelShort()
	require.Error(t, client.Send(short, message("expires")))
	for i := range 10 {
		client.SendAsync(context.Background(), streamMessage("s", "%d", i), nil)
	}
	notes.mu.Lock()
	require.Greater(t, len(notes.refused), 2)
	require.Equal(t, int(dataproxy.CodeQueueFull), int(notes.refused[len(notes.refused)-1].Code))
	require.Len(t, notes.state, 13)
	notes.mu.Unlock()
	_, err := client.Shutdown(ended)
	require.Error(t, err)
	settled(t, client)
	require.Error(t, client.Send(context.Background(), message("after the end")))
	notes.mu.Lock()
	defer notes.mu.Unlock()
	for token, state := range notes.state {
		if state == "sending accepted" && len(notes.results[token]) != 1 && client.Stats().Failed == 0 {
			t.Errorf("message %d has %d results", token, len(notes.results[token]))
		}
	}
}

// Under fail-over, retries and expiry at once, by each way to send.
func TestHooksTellEachMessageOnceUnderLoad(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(3))
	var notes, beside hookNotes
	client := connect(t, c, dataproxy.WithHooks(notes.hooks()), dataproxy.WithHooks(dataproxy.Hooks{}), dataproxy.WithHooks(beside.hooks()),
		dataproxy.WithUpdateInterval(20*time.Millisecond))
	sent := newLedger()
	stop := load(t, client, sent)
	embedder := client.(dataproxy.Embedder)
	for round := range rounds(6, 60) {
		node := c.Nodes()[round%3]
		node.Kill()
		payloads, tags := [][]byte{[]byte("m1"), []byte("m2"), []byte("m3")}, make([]dataproxy.Tag, 3)
		_, err := embedder.SubmitMany(context.Background(), &dataproxy.Message{StreamID: "many"}, payloads, tags, false)
		require.NoError(t, err)
		embedder.SubmitTaken(&dataproxy.Message{StreamID: "taken"}, payloads, tags, time.Now(), false)
		node.Revive()
		c.Nodes()[(round+1)%3].Fault(dataproxytest.ErrorCode(115))
		c.Nodes()[(round+2)%3].Fault(dataproxytest.ResetAfterRead())
	}
	stop()
	sent.balanced(t, c)
	client.Close()
	notes.complete(t)
	beside.complete(t)
	require.Equal(t, notes.tokens, beside.tokens)
	require.Greater(t, notes.tokens, sent.sent)
}

// What was stored and is read back is told as such: figures would count its messages twice.
func TestHooksTellWhatIsReadBack(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	dir := t.TempDir()
	var before, behind hookNotes
	leave(t, c, dir, numbered(100, " stored"), dataproxy.WithHooks(before.hooks()))
	before.complete(t)
	for _, told := range before.batches {
		require.Len(t, told, 2, "never written: %v", told)
		require.Contains(t, told[1], fmt.Sprint(int(dataproxy.CodeStored)))
	}
	client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithHooks(behind.hooks()))
	require.NoError(t, c.WaitCount(patient(t), 100))
	client.Close()
	behind.mu.Lock()
	defer behind.mu.Unlock()
	require.Empty(t, behind.batches)
	times := map[string]int{}
	for _, told := range behind.replayed {
		times[told]++
	}
	require.Equal(t, map[string]int{"written 1": 2, "answered 1 acked 0": 2, "result 50 0": 2}, times)
}

// A message that the hook adds an attribute to arrives with it, and the sender's maps are as they were.
func TestSendingMayAddItemAttributes(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithMessageFormat(dataproxy.Binary), dataproxy.WithHooks(dataproxy.Hooks{
		Sending: func(_ context.Context, msg *dataproxy.Message) any {
			msg.ItemAttributes = map[string]string{"trace": "7"}
			return nil
		},
	}))
	msg := message("x")
	require.NoError(t, client.Send(context.Background(), msg))
	require.Nil(t, msg.ItemAttributes)
	require.Equal(t, map[string]string{"x": "trace=7"}, itemsOf(t, c))
}

// Tracing wants one message of a hundred: the others must be none of its business, however they are sent, and tokens must not slip to them.
func TestHooksAreToldOfMessagesThatTheyWant(t *testing.T) {
	c := cluster(t)
	type wantKey struct{}
	wanted := context.WithValue(context.Background(), wantKey{}, true)
	var all hookNotes
	var mu sync.Mutex
	got := map[string][]string{}
	note := func(what string, name any) {
		mu.Lock()
		defer mu.Unlock()
		got[what] = append(got[what], name.(string))
	}
	some := dataproxy.Hooks{
		Want:     func(ctx context.Context) bool { return ctx.Value(wantKey{}) != nil },
		Sending:  func(_ context.Context, msg *dataproxy.Message) any { return string(msg.Payload) },
		Accepted: func(token any, _ *dataproxy.Message) { note("accepted", token) },
		Refused:  func(token any, _ *dataproxy.Message, _ *dataproxy.Error) { note("refused", token) },
		Result: func(r dataproxy.MessageResults) {
			for _, token := range r.Tokens {
				note("result", token)
			}
		},
	}
	client := connect(t, c, dataproxy.WithHooks(all.hooks()), dataproxy.WithHooks(some))
	only := connect(t, c, dataproxy.WithHooks(some), dataproxy.WithHooks(dataproxy.Hooks{Want: some.Want}))
	var want []string
	for i := range 120 {
		ctx, by := context.Background(), client
		if i%2 == 0 {
			by = only
		}
		if i%7 < 2 {
			ctx = wanted
			want = append(want, fmt.Sprint(i))
		}
		by.SendAsync(ctx, streamMessage("s", "%d", i), nil)
	}
	payloads, tags := [][]byte{[]byte("m1"), []byte("m2"), []byte("m3")}, make([]dataproxy.Tag, 3)
	for _, ctx := range []context.Context{context.Background(), wanted} {
		_, err := only.(dataproxy.Embedder).SubmitMany(ctx, &dataproxy.Message{StreamID: "many"}, payloads, tags, false)
		require.NoError(t, err)
	}
	want = append(want, "m1", "m2", "m3")
	require.Error(t, only.Send(wanted, dataproxy.Message{StreamID: "no stream", Payload: []byte("r")}))
	require.Error(t, only.Send(context.Background(), message("")))
	settled(t, client)
	settled(t, only)
	client.Close()
	only.Close()
	slices.Sort(want)
	for _, what := range []string{"accepted", "result"} {
		slices.Sort(got[what])
		require.Equal(t, want, got[what], what)
	}
	require.Equal(t, []string{"r"}, got["refused"])
	all.complete(t)
	require.Equal(t, 60, all.tokens)
}

// A hook that panics, ends its goroutine, or sends must not take the client or its program down.
func TestHooksThatMisbehave(t *testing.T) {
	bad := func(what string) { panic("bad " + what) }
	var looked sync.Once
	panics := dataproxy.Hooks{
		Want:     func(context.Context) bool { looked.Do(func() { bad("want") }); return true },
		Sending:  func(context.Context, *dataproxy.Message) any { bad("sending"); return nil },
		Accepted: func(any, *dataproxy.Message) { bad("accepted") },
		Refused:  func(any, *dataproxy.Message, *dataproxy.Error) { bad("refused") },
		Sealed:   func(dataproxy.BatchInfo) { bad("sealed") },
		Written:  func(dataproxy.BatchAttempt) { bad("written") },
		Answered: func(dataproxy.BatchAttempt, dataproxy.AttemptEnd) { bad("answered") },
		Result:   func(dataproxy.MessageResults) { bad("result") },
	}
	t.Run("panics", func(t *testing.T) {
		c := cluster(t)
		log := newMemoLog()
		client := connect(t, c, dataproxy.WithHooks(panics), dataproxy.WithLogger(log))
		for i := range 20 {
			require.NoError(t, client.Send(context.Background(), streamMessage("s", "%d", i)))
		}
		require.Error(t, client.Send(context.Background(), message("")))
		client.Close()
		require.Equal(t, 1, log.count("a hook panicked"))
		require.Equal(t, 1, log.count("bad want"))
	})
	t.Run("ends its goroutine", func(t *testing.T) {
		c := cluster(t)
		client := connect(t, c, dataproxy.WithHooks(dataproxy.Hooks{Answered: func(dataproxy.BatchAttempt, dataproxy.AttemptEnd) { runtime.Goexit() }}))
		inTime(t, time.Second, "the result", func() {
			require.True(t, isCode(client.Send(context.Background(), message("x")), dataproxy.CodeServerPanic))
		})
	})
	t.Run("sends and waits", func(t *testing.T) {
		c := cluster(t)
		var client dataproxy.FullClient
		var once sync.Once
		var inside error
		done := make(chan struct{})
		ready := make(chan struct{})
		client = connect(t, c, dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithMaxPendingMessages(1), dataproxy.WithWorkerNum(1),
			dataproxy.WithHooks(dataproxy.Hooks{Written: func(dataproxy.BatchAttempt) {
				<-ready
				once.Do(func() {
					_, _ = client.Shutdown(context.Background())
					client.SendAsync(context.Background(), message("inside"), func(_ dataproxy.Message, err error) { inside = err })
					close(done)
				})
			}}))
		close(ready)
		inTime(t, time.Second, "the send", func() { _ = client.Send(context.Background(), message("x")) })
		<-done
		require.True(t, errors.Is(inside, &dataproxy.Error{Code: dataproxy.CodeClosed}) || isCode(inside, dataproxy.CodeQueueFull), "%v", inside)
	})
}
