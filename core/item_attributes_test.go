package dataproxy_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/inlongmsg"
)

func traced(payload string, attributes ...string) dataproxy.Message {
	own := map[string]string{}
	for _, a := range attributes {
		key, value, _ := strings.Cut(a, "=")
		own[key] = value
	}
	return dataproxy.Message{StreamID: "s", Payload: []byte(payload), ItemAttributes: own}
}

// itemsOf returns each message that arrived with its own attributes.
func itemsOf(t *testing.T, c *dataproxytest.Cluster) map[string]string {
	t.Helper()
	items := map[string]string{}
	for _, r := range c.Received() {
		require.True(t, r.Whole, "a consumer can read the frame")
		for i, item := range r.Items {
			own := ""
			if r.ItemAttrs != nil {
				own = joined(inlongmsg.Attributes(r.ItemAttrs[i]))
			}
			items[string(item)] = own
		}
	}
	return items
}

func joined(attributes map[string]string) string {
	var all []string
	for _, key := range []string{"trace", "span", "host"} {
		if value, there := attributes[key]; there {
			all = append(all, key+"="+value)
		}
	}
	return strings.Join(all, "&")
}

// 20,000 messages with a trace id each made 20,000 frames.
func TestItemAttributesDoNotDivideBatches(t *testing.T) {
	for name, compression := range map[string]dataproxy.Compression{"plain": dataproxy.None, "compressed": dataproxy.Snappy} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			client := connect(t, c, dataproxy.WithMessageFormat(dataproxy.Binary), dataproxy.WithCompression(compression),
				dataproxy.WithBatchingMaxPublishDelay(time.Second))
			notes := newLedger()
			const messages = 20_000
			for i := range messages {
				notes.send(context.Background(), client, traced(fmt.Sprint("payload ", i), fmt.Sprintf("trace=%032x", i), fmt.Sprint("span=", i%7)))
			}
			settled(t, client)
			notes.balanced(t, c)
			items := itemsOf(t, c)
			for i := range messages {
				require.Equal(t, fmt.Sprintf("trace=%032x&span=%d", i, i%7), items[fmt.Sprint("payload ", i)])
			}
			require.LessOrEqual(t, len(c.Received()), 20_000/50+20, "frames")
		})
	}
}

// One item without attributes among others with some makes the whole record unreadable.
func TestItemsWithAndWithoutAttributesTravelApart(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithMessageFormat(dataproxy.Binary))
	notes := newLedger()
	for i := range 300 {
		msg := traced(fmt.Sprint("m", i), fmt.Sprint("trace=", i))
		if i%3 == 0 {
			msg.ItemAttributes = nil
		}
		notes.send(context.Background(), client, msg)
	}
	batch := []dataproxy.Message{traced("b1", "trace=x"), {StreamID: "s", Payload: []byte("b2")}, traced("b3", "host=")}
	require.Nil(t, client.SendBatch(patient(t), batch))
	require.NoError(t, client.Send(patient(t), traced("sync", "span=1")))
	settled(t, client)
	items := itemsOf(t, c)
	for i := range 300 {
		want := fmt.Sprint("trace=", i)
		if i%3 == 0 {
			want = ""
		}
		require.Equal(t, want, items[fmt.Sprint("m", i)])
	}
	require.Equal(t, []string{"trace=x", "", "host=", "span=1"}, []string{items["b1"], items["b2"], items["b3"], items["sync"]})
	require.Equal(t, 304, c.Count())
}

// One traced message of a hundred closed the batch of the others, and its own after it: three frames instead of one.
func TestFewItemsWithAttributesDivideNoBatches(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithMessageFormat(dataproxy.Binary), dataproxy.WithBatchingMaxPublishDelay(time.Minute))
	notes := newLedger()
	for i := range 1000 {
		msg := traced(fmt.Sprint("m", i), fmt.Sprint("trace=", i))
		if i%20 != 0 {
			msg.ItemAttributes = nil
		}
		notes.send(context.Background(), client, msg)
	}
	require.NoError(t, client.Flush(patient(t)))
	settled(t, client)
	notes.balanced(t, c)
	require.Len(t, c.Received(), 950/50+1)
}

// What a node acks and no consumer can read is lost with a success.
func TestItemAttributesAreCheckedBeforeTheMessageIsAccepted(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithMessageFormat(dataproxy.Binary), dataproxy.WithAddColumns(map[string]string{"host": "h"}))
	for fault, own := range map[string]map[string]string{
		"has an empty name":                  {"": "x"},
		`"k&"`:                               {"k&": "x"},
		`value "a=b"`:                        {"k": "a=b"},
		`value "a&b"`:                        {"k": "a&b"},
		`value " a"`:                         {"k": " a"},
		`value "é"`:                          {"k": "é"},
		`"mid" is reserved`:                  {"mid": "x"},
		`"t" is reserved`:                    {"t": "x"},
		`"mine" belongs to the whole batch`:  {"mine": "x"},
		`"__addcol1__host" belongs to the`:   {"__addcol1__host": "x"},
		`"auditVersion" is read from the ba`: {"auditVersion": "7"},
		"bytes together":                     {"k": strings.Repeat("x", 40_000)},
	} {
		err := client.Send(patient(t), dataproxy.Message{StreamID: "s", Payload: []byte("x"), Attributes: map[string]string{"mine": "y"}, ItemAttributes: own})
		require.ErrorIs(t, err, dataproxy.ErrLogInvalid, fault)
		require.ErrorContains(t, err, "item attributes: ")
		require.ErrorContains(t, err, fault)
	}
	require.NoError(t, client.Send(patient(t), dataproxy.Message{StreamID: "s", Payload: []byte("x"), ItemAttributes: map[string]string{}}))
	text := connect(t, c)
	require.ErrorContains(t, text.Send(patient(t), traced("x", "k=v")), "message_format=binary")
	require.Equal(t, 1, c.Count())
}

// A callback that gets other attributes than were sent cannot send them again.
func TestItemAttributesComeBackInTheCallback(t *testing.T) {
	c := cluster(t)
	for _, n := range c.Nodes() {
		n.Standing(dataproxytest.ErrorCode(100))
	}
	client := connect(t, c, dataproxy.WithMessageFormat(dataproxy.Binary))
	results := make(chan dataproxy.Message, 2)
	sent := []dataproxy.Message{traced("one", "trace=1"), traced("three", "trace=3", "span=4")}
	for _, msg := range sent {
		client.SendAsync(context.Background(), msg, func(msg dataproxy.Message, _ error) { results <- msg })
	}
	for _, want := range sent {
		got := <-results
		require.Equal(t, string(want.Payload), string(got.Payload))
		require.True(t, maps.Equal(want.ItemAttributes, got.ItemAttributes))
	}
}

// Callbacks and callers that wait share a batch: each callback gets what its own message had.
func TestItemAttributesComeBackBesideCallersThatWait(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithMessageFormat(dataproxy.Binary), dataproxy.WithOrdered(true), dataproxy.WithBatchingMaxPublishDelay(time.Minute))
	for _, n := range c.Nodes() {
		n.Standing(dataproxytest.Delay(300 * time.Millisecond)) // a Send after the first one waits with its batch
	}
	first := make(chan error, 1)
	go func() { first <- client.Send(patient(t), traced("first", "trace=0")) }()
	require.Eventually(t, func() bool { return client.Stats().PendingMessages == 1 }, 10*time.Second, time.Millisecond)
	waiting := make(chan error, 1)
	go func() { waiting <- client.Send(patient(t), traced("waits", "trace=1")) }()
	require.Eventually(t, func() bool { return client.Stats().PendingMessages == 2 }, 10*time.Second, time.Millisecond)
	results := make(chan dataproxy.Message, 1)
	client.SendAsync(context.Background(), traced("called back", "trace=2"), func(msg dataproxy.Message, _ error) { results <- msg })
	require.NoError(t, client.Flush(patient(t)))
	got := <-results
	require.Equal(t, "called back", string(got.Payload))
	require.Equal(t, map[string]string{"trace": "2"}, got.ItemAttributes)
	require.NoError(t, <-first)
	require.NoError(t, <-waiting)
	require.Equal(t, map[string]string{"first": "trace=0", "waits": "trace=1", "called back": "trace=2"}, itemsOf(t, c))
	require.Len(t, c.Received(), 2)
}

// A frame that has become too long is cut between items, not between an item and its attributes.
func TestItemsKeepTheirAttributesWhenABatchIsSplit(t *testing.T) {
	c := shrinking(t)
	c.Manager().Fault(dataproxytest.Delay(300 * time.Millisecond))
	client := connect(t, c, dataproxy.WithMessageFormat(dataproxy.Binary), dataproxy.WithLazyStart(true), dataproxy.WithCompression(dataproxy.None),
		dataproxy.WithMaxRetries(0))
	notes := newLedger()
	for i := range 100 {
		notes.send(context.Background(), client, traced(fmt.Sprintf("%d %0*d", i, 10+i*17%1500, 0), fmt.Sprint("trace=", i), "host="+strings.Repeat("h", i)))
	}
	settled(t, client)
	notes.balanced(t, c)
	for payload, own := range itemsOf(t, c) {
		number, _, _ := strings.Cut(payload, " ")
		require.True(t, strings.HasPrefix(own, "trace="+number+"&"), "%.20s has %.20s", payload, own)
	}
	// Its length counts too.
	long := traced(strings.Repeat("x", 2000), "host="+strings.Repeat("h", 2200))
	require.ErrorIs(t, client.Send(patient(t), long), dataproxy.ErrLogTooLong)
}
