package dataproxy_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A caller that gives up while its message lies in an open batch must not take the batch's memory away from the others in it.
func TestMessageWithdrawnFromAnOpenBatchLeavesTheOthersWhole(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithBatchingMaxPublishDelay(5*time.Second))
	release := make(chan struct{})
	c.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault { <-release; return dataproxytest.Fault{} })
	notes := newLedger()
	pending := func(n int64) {
		eventually(t, "messages are pending", func() bool { return client.Stats().PendingMessages == n })
	}
	go func() { _ = client.Send(context.Background(), message("keeps the lane busy")) }()
	pending(1)
	notes.send(context.Background(), client, message("first"))
	ctx, giveUp := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- client.Send(ctx, message("withdrawn")) }()
	pending(3)
	notes.send(context.Background(), client, message("last"))
	giveUp()
	require.Equal(t, dataproxy.NotWritten, fault(t, <-result, dataproxy.CodeContextExpired).Persisted())
	close(release)
	require.NoError(t, client.Flush(patient(t)))
	require.ElementsMatch(t, []string{"first", "last"}, notes.acked())
	require.Equal(t, 3, c.Count())
	settled(t, client)
}

// Messages that expire in a batch while others are added to it: a result must not be delivered out of memory that a sender
// is writing to.
func TestResultsOfAnOpenBatchDoNotRaceWithSenders(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(50*time.Millisecond), dataproxy.WithBatchingMaxMessages(5000))
	notes := newLedger()
	var number atomic.Int64
	end := time.Now().Add(500 * time.Millisecond)
	each(4, func(i int) {
		for time.Now().Before(end) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*time.Millisecond)
			if i == 0 {
				ctx = context.Background()
			}
			notes.send(ctx, client, message(fmt.Sprintf("message %d", number.Add(1))))
			if i == 3 {
				_ = client.Send(ctx, message("sync"))
			}
			cancel()
			time.Sleep(100 * time.Microsecond)
		}
	})
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	settled(t, client)
}

// A message without an event time must not get that of the message that happened to open its batch.
func TestEventTimeOfOneMessageIsNotGivenToTheNext(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithBatchingMaxPublishDelay(time.Second))
	timed := message("timed")
	timed.Time = time.UnixMilli(1234567890123)
	before := time.Now().UnixMilli()
	client.SendAsync(context.Background(), timed, nil)
	client.SendAsync(context.Background(), message("untimed"), nil)
	client.SendAsync(context.Background(), timed, nil)
	client.SendAsync(context.Background(), timed, nil)
	require.NoError(t, client.Flush(patient(t)))
	for _, r := range c.Received() {
		for _, item := range r.Items {
			if string(item) == "timed" {
				require.Equal(t, "1234567890123", r.Attr["dt"])
				continue
			}
			require.GreaterOrEqual(t, r.Attr["dt"], fmt.Sprint(before))
		}
	}
	require.Len(t, c.Received(), 3, "batches")
}

// Two attribute sets that read alike once joined must not be taken for each other: the second one skipped the check, and its
// value injected an attribute.
func TestAttributeValueCannotInjectAnotherAttribute(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	good := message("good")
	good.Attributes = map[string]string{"a": "1", "b": "2"}
	require.NoError(t, client.Send(patient(t), good))
	for _, attributes := range []map[string]string{{"a": "1&b=2"}, {"a": "1", "b": "2&c=3"}, {"a=1&b": "2"}} {
		bad := message("bad")
		bad.Attributes = attributes
		e := fault(t, client.Send(patient(t), bad), dataproxy.CodeLogInvalid)
		require.Contains(t, e.Message, "attribute")
	}
	require.Equal(t, 1, c.Count())
}
