package dataproxy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Of a batch that was read back and is cut, messages that a node refused, or that fit into no frame, were counted as delivered where its
// last frame was acked. No line told of them.
func TestWhatIsGivenUpOfACutBatchIsCounted(t *testing.T) {
	t.Parallel()
	orderedOrNot(t, func(t *testing.T, ordered bool) {
		c := cluster(t, dataproxytest.WithNodes(1))
		dir, log := t.TempDir(), newMemoLog()
		payloads := numbered(30, strings.Repeat(" some text", 50))
		payloads[3] = strings.Repeat("x", 6000)
		leave(t, c, dir, payloads)
		c.Node(0).Handle(func(r dataproxytest.Record) dataproxytest.Fault {
			for _, item := range r.Items {
				if bytes.HasPrefix(item, []byte("9 ")) {
					return dataproxytest.ErrorCode(121)
				}
			}
			return dataproxytest.Fault{}
		})
		client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithMaxFrameSize(4<<10), dataproxy.WithOrdered(ordered), dataproxy.WithLogger(log))
		eventually(t, "nothing is left", func() bool { return client.Stats().Spool.Batches == 0 })
		there, st := len(arrived(c)), client.Stats().Spool
		require.EqualValues(t, there, st.Replayed)
		require.EqualValues(t, len(payloads)-there, st.GivenUp)
		require.Less(t, there, len(payloads)-1, "those in one frame with the one that is refused")
		client.Close()
		require.Len(t, log.with("messages of the spool are given up"), 2, "%q", log.lines)
	})
}

// A stored message that fits into no frame of the next client was read back and left again, for ever.
func TestAStoredMessageThatFitsIntoNoFrameIsGivenUp(t *testing.T) {
	t.Parallel()
	orderedOrNot(t, func(t *testing.T, ordered bool) {
		c := cluster(t, dataproxytest.WithNodes(1))
		dir := t.TempDir()
		leave(t, c, dir, []string{strings.Repeat("x", 6000)})
		client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithMaxFrameSize(4<<10), dataproxy.WithOrdered(ordered))
		eventually(t, "it is given up", func() bool { return client.Stats().Spool.GivenUp == 1 })
		require.NoError(t, client.Send(patient(t), message("another")))
		eventually(t, "nothing is left", func() bool { return client.Stats().Spool.Batches == 0 })
		require.Equal(t, map[string]int{"another": 1}, arrived(c))
		settled(t, client)
	})
}

// held has a client store one batch of sixty messages, of which a node takes none until the Manager allows frames for some twelve of them.
// The first ones have callers who give up when told to.
func held(t *testing.T, c *dataproxytest.Cluster, callers int, part func(), opts ...dataproxy.Option) (client dataproxy.FullClient, giveUp func(), results *spoolResults) {
	t.Helper()
	const all = 60
	came, first := make(chan struct{}, 100), make(chan struct{})
	c.Node(0).Handle(func(r dataproxytest.Record) dataproxytest.Fault {
		switch len(r.Items) {
		case 1: // keeps what is sent after it in one batch
			came <- struct{}{}
			<-first
		case all:
			return dataproxytest.ErrorCode(114)
		default:
			part()
		}
		return dataproxytest.Fault{}
	})
	client = connect(t, c, append(opts, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithUpdateInterval(10*time.Millisecond), dataproxy.WithRetryInitialInterval(20*time.Millisecond),
		dataproxy.WithCompression(dataproxy.None), dataproxy.WithBatchingMaxMessages(all), dataproxy.WithBatchingMaxPublishDelay(10*time.Second))...)
	hurry(t, client)
	ctx, giveUp := context.WithCancel(context.Background())
	t.Cleanup(giveUp)
	results = new(spoolResults)
	send := func(ctx context.Context, payload string) {
		results.callback(message(payload), client.Send(ctx, message(payload)))
	}
	go send(context.Background(), "first")
	<-came
	payloads := numbered(all, strings.Repeat(" some text", 30))
	for _, payload := range payloads[:callers] {
		go send(ctx, payload)
	}
	eventually(t, "they wait", func() bool { return client.Stats().PendingMessages == int64(1+callers) })
	for _, payload := range payloads[callers:] {
		client.SendAsync(context.Background(), message(payload), results.callback)
	}
	stored(t, client, 1+all)
	close(first)
	return client, giveUp, results
}

// A stored batch whose first messages had the result "stored" was cut, and the first frame was sent again and again: each of its messages a
// thousand times in a second, and those after it never.
func TestAStoredMessageOfACutBatchIsSentOnce(t *testing.T) {
	t.Parallel()
	orderedOrNot(t, func(t *testing.T, ordered bool) {
		c := cluster(t, dataproxytest.WithNodes(1))
		client, giveUp, results := held(t, c, 20, func() {}, dataproxy.WithOrdered(ordered))
		giveUp()
		eventually(t, "their callers have the result", func() bool { return results.count() == 21 })
		c.Manager().Standing(dataproxytest.HTTPBody(listWith(c, 4096)))
		eventually(t, "the others are acked", func() bool { return results.count() == 61 })
		acked, stored, _ := results.counts()
		require.Equal(t, []int{41, 20}, []int{acked, stored})
		eventually(t, "nothing is left", func() bool { return client.Stats().Spool.Batches == 0 })
		onceEach(t, c, 61)
	})
}

// All callers of a stored batch that was cut had the result "stored" while its first frame was on its way. Its ack was taken for that of the
// batch: what had not been sent was lost.
func TestWhatIsBehindAFrameThatIsAckedLateIsSentToo(t *testing.T) {
	t.Parallel()
	orderedOrNot(t, func(t *testing.T, ordered bool) {
		c := cluster(t, dataproxytest.WithNodes(1))
		written, answer := make(chan struct{}, 100), make(chan struct{})
		client, giveUp, results := held(t, c, 60, func() {
			written <- struct{}{}
			<-answer
		}, dataproxy.WithOrdered(ordered))
		c.Manager().Standing(dataproxytest.HTTPBody(listWith(c, 4096)))
		<-written
		giveUp()
		eventually(t, "their callers have the result", func() bool { return results.count() == 61 })
		close(answer)
		eventually(t, "nothing is left", func() bool { return client.Stats().Spool.Batches == 0 })
		require.Len(t, arrived(c), 61)
	})
}

// What no client can read was removed, and counted nowhere.
func TestARecordThatCannotBeReadIsCountedAsGivenUp(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	dir, log := t.TempDir(), newMemoLog()
	store, err := spool.Open(dir, spool.Options{})
	require.NoError(t, err)
	sound := append(binary.BigEndian.AppendUint32(nil, 2), "ok"...)
	for i, r := range []spool.Record{{Body: []byte("nothing")}, {Flags: 2, Body: []byte("no block")}, {Group: "no group!", Body: sound}, {Body: nil}, {Body: append(sound, sound...)}} {
		if r.ID, r.Stream, r.Messages = (wire.BatchID{Client: 7, Seq: uint64(i)}), fmt.Sprint("s", i), 3; r.Group == "" {
			r.Group = "test_group"
		}
		_, err := store.Append(nil, []spool.Record{r}, true)
		require.NoError(t, err)
	}
	put(t, store, 9, "s", "sound", time.Now())
	require.NoError(t, store.Close())
	client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithLogger(log))
	eventually(t, "nothing is left", func() bool { return client.Stats().Spool.Batches == 0 })
	st := client.Stats().Spool
	require.EqualValues(t, 15, st.GivenUp)
	require.EqualValues(t, 1, st.Replayed)
	require.Equal(t, map[string]int{"sound": 1}, arrived(c))
	eventually(t, "a line names the first one", func() bool {
		return log.count(`with 3 messages of group "test_group" and stream "s0" is given up`) == 1
	})
}
