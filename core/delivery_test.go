package dataproxy_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// An error answer taken for an ack is the worst of all faults: data is lost and called sent.
func TestD2_ErrorAnswersAreNeverSuccess(t *testing.T) {
	for _, format := range []dataproxy.MessageFormat{dataproxy.Text, dataproxy.Binary} {
		c := cluster(t)
		client := connect(t, c, dataproxy.WithMessageFormat(format))
		standing(c, dataproxytest.ErrorCode(109, "Parse attr (groupId=g&streamId=s&k=a=b) failure"))
		notes := newLedger()
		for i := range 500 {
			notes.send(context.Background(), client, message(fmt.Sprint("message ", i)))
		}
		require.NoError(t, client.Flush(patient(t)))
		notes.balanced(t, c)
		require.Empty(t, notes.acked())
		for _, errs := range notes.results {
			e := fault(t, errs[0], dataproxy.CodeServerError)
			require.Equal(t, 109, e.ServerCode)
			require.Equal(t, 109, dataproxy.GetServerErrorCode(errs[0]))
			require.Equal(t, "Parse attr (groupId=g&streamId=s&k=a=b) failure", e.ServerMessage)
			require.Equal(t, "test_group", e.GroupID)
			require.Equal(t, "test_stream", e.StreamID)
			require.NotNil(t, nodeOf(c, e.Node))
			require.NotEmpty(t, e.BatchID)
			require.Equal(t, 1, e.Attempts)
			require.Equal(t, dataproxy.NotWritten, e.Persisted(), "a node that refused a batch does not have it")
			require.False(t, e.Retriable())
		}
		one := fault(t, client.Send(patient(t), message("one")), dataproxy.CodeServerError)
		require.Contains(t, batchIDs(c), one.BatchID)
		errs := client.SendBatch(patient(t), []dataproxy.Message{message("a"), message("b")})
		require.Len(t, errs, 2)
		for _, err := range errs {
			fault(t, err, dataproxy.CodeServerError)
		}
		require.Zero(t, client.Stats().Acked)
		settled(t, client)
	}
}

// batchIDs lists the batches that arrived; a binary frame's uniq is the low half of its batch's number.
func batchIDs(c *dataproxytest.Cluster) (ids []string) {
	for _, r := range c.Received() {
		ids = append(ids, r.Attr["mid"])
	}
	return ids
}

// A code that another node cures must be tried there; one that the batch itself causes must not cost three nodes the work.
func TestD3_EveryCodeIsRetriedAsTheProtocolSays(t *testing.T) {
	elsewhere := map[int]bool{1: true, 2: true, 114: true, 115: true, 116: true, 117: true, 118: true, 119: true}
	codes := []int{3, 94, 95, 96, 99, 100, 104, 105, 106, 107, 109, 112, 120, 121, 122, 123, 150, 151, 999}
	for code := range elsewhere {
		codes = append(codes, code)
	}
	never := func(code int) bool {
		return code == 3 || code >= 94 && code <= 112 || code >= 121 && code <= 123 || code == 150 || code == 151
	}
	for _, retryAll := range []bool{false, true} {
		t.Run(fmt.Sprintf("retry on server error %v", retryAll), func(t *testing.T) {
			for _, code := range codes {
				t.Run(fmt.Sprint("code ", code), func(t *testing.T) {
					t.Parallel()
					oneCode(t, code, elsewhere[code] || retryAll && !never(code), retryAll, elsewhere[code])
				})
			}
		})
	}
}

func oneCode(t *testing.T, code int, retried, retryAll, retriable bool) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithRetryOnServerError(retryAll), dataproxy.WithRetryInitialInterval(time.Millisecond),
		dataproxy.WithWorkerNum(3), dataproxy.WithSendTimeout(10*time.Second))
	eventually(t, "a lane on each node", func() bool { return usableLanes(client) == 3 })
	var once atomic.Bool
	for _, n := range c.Nodes() { // wherever it goes first, the second attempt is good
		n.Handle(func(dataproxytest.Record) dataproxytest.Fault {
			if once.CompareAndSwap(false, true) {
				return dataproxytest.ErrorCode(code)
			}
			return dataproxytest.Fault{}
		})
	}
	err := client.Send(patient(t), message("x"))
	frames := c.Received()
	if !retried {
		e := fault(t, err, dataproxy.CodeServerError)
		require.Equal(t, code, e.ServerCode)
		require.Equal(t, retriable, e.Retriable())
		require.Equal(t, 1, e.Attempts)
		require.Len(t, frames, 1)
		return
	}
	require.NoError(t, err)
	require.Len(t, frames, 2)
	require.NotEqual(t, frames[0].Node, frames[1].Node, "the second attempt goes to another node")
	require.Equal(t, frames[0].Attr["mid"], frames[1].Attr["mid"], "the batch keeps its id")
	require.Equal(t, frames[0].Attr["sid"], frames[1].Attr["sid"])
	require.EqualValues(t, 1, client.Stats().Retries)
}

// An attempt was counted before its frame was written, also where its connection was gone: "batches written again" told of writes that
// never were.
func TestAttemptThatWasNotBegunIsNoRetry(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	node := c.Node(0)
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithRetryOnServerError(true), dataproxy.WithRetryInitialInterval(time.Minute))
	node.Fault(dataproxytest.ErrorCode(777))
	var again dataproxy.Result
	sent := make(chan error, 2)
	go func() {
		var err error
		msg := streamMessage("again", "x")
		again, err = client.(dataproxy.Embedder).SendResult(patient(t), &msg)
		sent <- err
	}()
	eventually(t, "it is refused", func() bool { return client.Stats().Nodes[0].Errors == 1 })
	answer := make(chan struct{})
	node.Handle(func(dataproxytest.Record) dataproxytest.Fault { <-answer; return dataproxytest.Fault{} })
	go func() { sent <- client.Send(patient(t), streamMessage("holds_up", "x")) }()
	eventually(t, "it is in flight", func() bool { return client.Stats().Lanes[0].InFlight == 1 })
	letGo := dataproxy.LoseConnections(client, func() { close(answer) },
		func() bool { return client.Stats().Lanes[0].InFlight == 0 })
	dataproxy.EndBackOff(client)
	eventually(t, "the lane takes what it cannot write", func() bool { return dataproxy.Parked(client) == 1 })
	letGo()
	require.NoError(t, <-sent)
	require.NoError(t, <-sent)
	require.Equal(t, 2, again.Attempts)
	require.EqualValues(t, 1, client.Stats().Retries)
}

// With fewer lanes than nodes each retry used to go to the same nodes: one whose channels were full failed every message, beside others
// that had room.
func TestD3_LaneGoesToANodeThatHasNone(t *testing.T) {
	for lanes := 1; lanes <= 2; lanes++ {
		t.Run(fmt.Sprint("lanes ", lanes), func(t *testing.T) {
			c := cluster(t)
			client := connect(t, c, dataproxy.WithWorkerNum(lanes))
			eventually(t, "the lanes stand", func() bool { return usableLanes(client) == lanes })
			for _, n := range c.Nodes() {
				if live, _ := n.Connections(); live > 0 {
					n.Standing(dataproxytest.ErrorCode(114))
				}
			}
			for range 3 {
				require.NoError(t, client.Send(patient(t), message("x")))
			}
			standing(c, dataproxytest.ErrorCode(114))
			soon, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
			defer cancel()
			require.Equal(t, 114, fault(t, client.Send(soon, message("x")), dataproxy.CodeContextExpired).ServerCode)
			require.True(t, slices.ContainsFunc(client.Stats().Nodes, func(n dataproxy.NodeStats) bool { return !n.Suspect }),
				"a batch that all refuse is no reason to suspect all")
		})
	}
}

// A node that dies with batches in its hands must not cost them, nor make the others wait for a time-out.
func TestD4_BatchGoesToAnotherNodeWhenItsConnectionCloses(t *testing.T) {
	for name, f := range map[string]dataproxytest.Fault{
		"close": dataproxytest.CloseAfterRead(), "reset": dataproxytest.ResetAfterRead(), "mid frame": dataproxytest.ResetMidFrame(30),
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			client := connect(t, c)
			require.NoError(t, client.Send(patient(t), message("warm")))
			first := c.Received()[0].Node
			c.Nodes()[first].Standing(f)
			start := time.Now()
			require.NoError(t, client.Send(patient(t), message("x")))
			require.Less(t, time.Since(start), time.Second)
			frames := c.Received()
			require.NotEqual(t, first, frames[len(frames)-1].Node)
			if name != "mid frame" {
				require.Equal(t, frames[len(frames)-1].Attr["mid"], frames[1].Attr["mid"])
			}
		})
	}
}

// A silent node must be found out before the messages on it are lost to their deadline.
func TestD5_SilentNodeIsReplacedAndTheMessageGoesElsewhere(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithAckTimeout(100*time.Millisecond), dataproxy.WithSendTimeout(5*time.Second))
	require.NoError(t, client.Send(patient(t), message("warm")))
	first := c.Received()[0].Node
	c.Nodes()[first].Fault(dataproxytest.Silence())
	start := time.Now()
	require.NoError(t, client.Send(patient(t), message("x")))
	require.Less(t, time.Since(start), time.Second)
	frames := c.Received()
	require.NotEqual(t, first, frames[2].Node)
}

// With all nodes silent a message must fail at its own deadline, not at attempts times time-out.
func TestD5_AllNodesSilentMeansFailureAtTheDeadline(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithAckTimeout(100*time.Millisecond), dataproxy.WithSendTimeout(500*time.Millisecond),
		dataproxy.WithMaxRetries(100), dataproxy.WithRetryInitialInterval(10*time.Millisecond))
	standing(c, dataproxytest.Silence())
	slack, start := watch(), time.Now()
	e := fault(t, client.Send(patient(t), message("x")), dataproxy.CodeSendTimeout)
	late := time.Since(start) - 500*time.Millisecond
	require.Positive(t, late)
	require.Less(t, late, 50*time.Millisecond+slack())
	require.Equal(t, dataproxy.MaybeWritten, e.Persisted())
	require.True(t, e.Retriable())
	require.Greater(t, e.Attempts, 1, "the connection was declared dead before")
	standing(c, dataproxytest.Fault{})
	require.NoError(t, client.Send(patient(t), message("y")))
	settled(t, client)
}

// A frame that carries another stream's name delivers data to the wrong table, and nobody notices.
func TestD6_EachFrameCarriesItsOwnGroupAndStream(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	each(8, func(sender int) {
		for i := range 400 {
			// In runs: what the client remembers of the last message's stream is right for some, and nearly right for others.
			group, stream := fmt.Sprint("group_", i/5%2), fmt.Sprint("stream_", (i/2+sender)%30)
			client.SendAsync(context.Background(), dataproxy.Message{GroupID: group, StreamID: stream,
				Payload: fmt.Appendf(nil, "%s/%s/%d/%d", group, stream, sender, i)}, nil)
		}
	})
	require.NoError(t, client.Flush(patient(t)))
	for _, r := range c.Received() {
		for _, item := range r.Items {
			require.Contains(t, string(item), r.Group+"/"+r.Stream+"/")
		}
		require.Equal(t, fmt.Sprint(len(r.Items)), r.Attr["cnt"])
	}
	require.Len(t, receivedPayloads(c), 3200)
	require.Equal(t, 3200, c.Count())
}

// "No retries" must mean one attempt, also after a lost connection: a user who asks for it does not want doubles.
func TestD9_NoRetriesMeansOneAttempt(t *testing.T) {
	for name, f := range map[string]dataproxytest.Fault{
		"error answer": dataproxytest.ErrorCode(115), "close": dataproxytest.CloseAfterRead(), "silence": dataproxytest.Silence(),
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			client := connect(t, c, dataproxy.WithMaxRetries(0), dataproxy.WithAckTimeout(100*time.Millisecond))
			standing(c, f)
			var e *dataproxy.Error
			require.ErrorAs(t, client.Send(patient(t), message("x")), &e)
			require.Equal(t, 1, e.Attempts)
			require.Len(t, c.Received(), 1)
		})
	}
}

// A message may be written 1 + MaxRetries times and not more. (With one lane: to move from one connection to the next of a node that ends
// costs nothing.)
func TestRetriesEndAtTheirNumber(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithMaxRetries(4), dataproxy.WithWorkerNum(1), dataproxy.WithRetryInitialInterval(time.Millisecond))
	standing(c, dataproxytest.CloseAfterRead())
	e := fault(t, client.Send(patient(t), message("x")), dataproxy.CodeConnClosedByPeer)
	require.Equal(t, 5, e.Attempts)
	require.Len(t, c.Received(), 5)
	require.Equal(t, dataproxy.MaybeWritten, e.Persisted())
	require.True(t, e.Retriable())
}

// A bare error answer names no batch: the order of answers alone says which one failed. The wrong batch called failed is
// sent twice, and the right one is lost.
func TestD11_ErrorWithoutNameFailsTheRightBatch(t *testing.T) {
	const n = 300
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithBatchingMaxMessages(1))
	var mu sync.Mutex
	var frames int
	refused := make(map[string]bool)
	c.Nodes()[0].Handle(func(r dataproxytest.Record) dataproxytest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if frames++; frames%7 == 0 {
			refused[string(r.Items[0])] = true
			return dataproxytest.ErrorCode(105)
		}
		return dataproxytest.Fault{}
	})
	notes := newLedger()
	for i := range n {
		notes.send(context.Background(), client, message(fmt.Sprint("message ", i)))
	}
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	for payload, errs := range notes.results {
		if refused[payload] {
			require.Equal(t, 105, dataproxy.GetServerErrorCode(errs[0]), payload)
		} else {
			require.NoError(t, errs[0], payload)
		}
	}
	require.NotEmpty(t, refused)
}

// SendBatch answers by position: a caller that resends the wrong message loses one and doubles another.
func TestSendBatchGivesOneResultAMessageInOrder(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithBatchingMaxMessages(3))
	require.Nil(t, client.SendBatch(patient(t), nil))
	var msgs []dataproxy.Message
	for i := range 20 {
		msgs = append(msgs, streamMessage(fmt.Sprint("stream", i%3), "message %d", i))
	}
	require.Nil(t, client.SendBatch(patient(t), msgs))
	msgs[4].Payload = nil
	msgs[9].StreamID = "no blanks allowed"
	for _, n := range c.Nodes() {
		n.Handle(func(r dataproxytest.Record) dataproxytest.Fault {
			if r.Stream == "stream2" {
				return dataproxytest.ErrorCode(123)
			}
			return dataproxytest.Fault{}
		})
	}
	errs := client.SendBatch(patient(t), msgs)
	require.Len(t, errs, 20)
	for i, err := range errs {
		switch {
		case i == 4 || i == 9:
			fault(t, err, dataproxy.CodeLogInvalid)
		case i%3 == 2:
			require.Equal(t, 123, dataproxy.GetServerErrorCode(err))
		default:
			require.NoError(t, err)
		}
	}
	settled(t, client)
}
