package dataproxy_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// "Not written" tells a caller that sending again cannot duplicate a message. A batch that is framed at the very moment at which
// its messages are given up must not be called so.
func TestNotWrittenIsNeverWrong(t *testing.T) {
	c := cluster(t)
	var all []*ledger
	for round := range rounds(40, 1000) {
		client, err := dataproxy.NewClient(append(basics(c), dataproxy.WithBatchingMaxMessages(1+round%7),
			dataproxy.WithBatchingMaxPublishDelay(time.Duration(round%3)*time.Millisecond), dataproxy.WithOrdered(round%4 == 0))...)
		require.NoError(t, err)
		notes := newLedger()
		all = append(all, notes)
		for i := range 1000 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i*7%3000)*time.Microsecond)
			defer cancel()
			if i%3 == 0 {
				ctx = context.Background()
			}
			notes.send(ctx, client, streamMessage(fmt.Sprint("stream", i%10), "%d/%d", round, i))
		}
		if round%5 == 0 {
			c.Nodes()[round%3].ResetConnections()
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(round%10)*300*time.Microsecond)
		report, _ := client.Shutdown(ctx)
		cancel()
		notes.uncalled = report.Uncalled
		settled(t, client)
	}
	eventually(t, "the nodes have read to the end", func() bool {
		for _, n := range c.Nodes() {
			if live, _ := n.Connections(); live > 0 {
				return false
			}
		}
		return true
	})
	received := receivedPayloads(c)
	notWritten := 0
	for _, notes := range all {
		notes.balanced(t, c)
		for payload, errs := range notes.results {
			var e *dataproxy.Error
			if errors.As(errs[0], &e) && e.Persisted() == dataproxy.NotWritten {
				notWritten++
				require.Zero(t, received[payload], "%q: %v", payload, e)
			}
		}
	}
	require.Positive(t, notWritten)
	t.Logf("%d of %d messages were not written", notWritten, len(all)*1000)
}

// What a close has given up must not be written after it: the caller may be sending it elsewhere already.
func TestCloseWritesNothingThatItHasGivenUp(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithOrdered(true), dataproxy.WithBatchingMaxPublishDelay(0))
	node := c.Nodes()[0]
	node.Standing(dataproxytest.DropAnswer())
	notes := newLedger()
	for i := range 50 {
		notes.send(context.Background(), client, message(fmt.Sprintf("message %02d", i)))
	}
	eventually(t, "the first one is at the node", func() bool { return node.Frames() == 1 })
	ended, end := context.WithCancel(context.Background())
	end()
	report, err := client.Shutdown(ended)
	require.Error(t, err)
	require.EqualValues(t, 50, report.Unsent)
	eventually(t, "the node has read to the end", func() bool {
		live, _ := node.Connections()
		return live == 0
	})
	require.Equal(t, 1, node.Frames())
	notes.balanced(t, c)
	for payload, errs := range notes.results {
		want := dataproxy.NotWritten
		if payload == "message 00" {
			want = dataproxy.MaybeWritten
		}
		require.Equal(t, want, fault(t, errs[0], dataproxy.CodeClosed).Persisted(), payload)
	}
}

// After an internal fault a message that lay at a node was called "not written", and its error named neither node nor batch.
func TestInternalFaultTellsWhatMayBeWritten(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	log := newMemoLog()
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(time.Second), dataproxy.WithLogger(log))
	c.Node(0).Standing(dataproxytest.DropAnswer())
	errs := make(chan error, 2)
	note := func(_ dataproxy.Message, err error) { errs <- err }
	client.SendAsync(context.Background(), streamMessage("written", "x"), note)
	soon, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	require.Error(t, client.Flush(soon))
	eventually(t, "it lies at the node", func() bool { return c.Node(0).Frames() == 1 })
	client.SendAsync(context.Background(), streamMessage("open", "x"), note)
	dataproxy.InternalFault(client)
	for range 2 {
		e := fault(t, <-errs, dataproxy.CodeServerPanic)
		require.NotEmpty(t, e.BatchID)
		if e.StreamID == "open" && e.Attempts == 0 { // the close seals it, and a lane may have been quicker than the end
			require.Equal(t, dataproxy.NotWritten, e.Persisted())
			continue
		}
		require.Equal(t, dataproxy.MaybeWritten, e.Persisted())
		require.Equal(t, c.Node(0).Addr(), e.Node)
		require.Equal(t, 1, e.Attempts)
	}
	fault(t, client.Send(patient(t), message("x")), dataproxy.CodeClosed)
	require.Equal(t, 1, log.count("internal fault, the client is closed: the test says so"))
	settled(t, client)
}

// An answer is lost, and the next one is an error that names nothing. It was taken for sure to mean the batch of the lost one, which the
// node has: "not written".
func TestBareErrorBehindALostAnswerLeavesItOpenWhatIsWritten(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithAckTimeout(time.Second), dataproxy.WithBatchingMaxMessages(1))
	both := make(chan struct{})
	var frames atomic.Int64
	c.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault {
		switch frames.Add(1) {
		case 1:
			<-both // are in flight before the second is answered
			return dataproxytest.DropAnswer()
		case 2:
			return dataproxytest.ErrorCode(105)
		}
		return dataproxytest.Fault{}
	})
	var stored, bad error
	client.SendAsync(context.Background(), message("stored"), func(_ dataproxy.Message, err error) { stored = err })
	eventually(t, "it is read", func() bool { return frames.Load() == 1 })
	client.SendAsync(context.Background(), message("bad"), func(_ dataproxy.Message, err error) { bad = err })
	eventually(t, "both are in flight", func() bool { return client.Stats().Lanes[0].InFlight == 2 })
	close(both)
	require.NoError(t, client.Flush(patient(t)))
	require.Equal(t, dataproxy.MaybeWritten, fault(t, stored, dataproxy.CodeServerError).Persisted())
	require.NoError(t, bad, "it is sent again when its own answer does not come")
}
