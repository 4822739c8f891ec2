package dataproxy_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// pack lays payloads one after the other.
func pack(payloads []string) (data []byte, lengths []uint32) {
	for _, p := range payloads {
		data = append(data, p...)
		lengths = append(lengths, uint32(len(p)))
	}
	return data, lengths
}

func packed(client dataproxy.Embedder, msg dataproxy.Message, payloads []string, first uintptr) (int, error) {
	data, lengths := pack(payloads)
	return client.SubmitPacked(context.Background(), &msg, data, lengths, dataproxy.Tag{B: first}, true)
}

// The messages of a run are put into their batch together: they must arrive as those of Submit do, in batches of the same
// bounds, with the tag of each.
func TestPackedMessagesArriveLikeOthers(t *testing.T) {
	var payloads []string
	for i := range 3000 {
		payloads = append(payloads, fmt.Sprintf("%d %s", i, strings.Repeat("x", i*7%900)))
	}
	for name, opts := range map[string][]dataproxy.Option{
		"defaults":        nil,
		"bound by bytes":  {dataproxy.WithBatchingMaxSize(2000)},
		"bound by frames": {dataproxy.WithMaxFrameSize(2000)},
		"no batching":     {dataproxy.WithBatchingMaxMessages(1)},
		"no linger":       {dataproxy.WithBatchingMaxPublishDelay(0)},
		"trimmed":         {dataproxy.WithTrimTrailingNewline(true)},
		"ordered":         {dataproxy.WithOrdered(true)},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			client, l := embedder(t, c, opts...)
			msg := dataproxy.Message{StreamID: "s", Time: time.UnixMilli(1_700_000_000_123), Attributes: map[string]string{"k": "v"}}
			n, err := packed(client, msg, payloads, 0)
			require.NoError(t, err)
			require.Equal(t, len(payloads), n)
			require.NoError(t, client.Flush(patient(t)))
			require.Len(t, l.results, len(payloads))
			for i := range payloads {
				require.Equal(t, []error{nil}, l.results[dataproxy.Tag{B: uintptr(i)}])
			}
			received := receivedPayloads(c)
			for _, p := range payloads {
				require.Equal(t, 1, received[p])
			}
			for _, f := range c.Received() {
				require.Equal(t, "1700000000123", f.Attr["dt"])
				require.Equal(t, "v", f.Attr["k"])
				require.LessOrEqual(t, len(f.Items), 50)
				if name == "bound by bytes" || name == "bound by frames" {
					require.LessOrEqual(t, len(bytes.Join(f.Items, nil)), 2000)
				}
			}
			settled(t, client)
		})
	}
}

// A message that is refused ends the run there: those before it were accepted, none after it.
func TestPackedMessagesStopAtTheFirstThatIsRefused(t *testing.T) {
	c := cluster(t)
	client, l := embedder(t, c, dataproxy.WithMaxFrameSize(1024))
	payloads := make([]string, 120)
	for i := range payloads {
		payloads[i] = fmt.Sprint("payload ", i)
	}
	for _, bad := range []int{0, 1, 17, 49, 50, 51, 119} {
		for payload, code := range map[string]dataproxy.Code{"": dataproxy.CodeLogInvalid, strings.Repeat("x", 1024): dataproxy.CodeLogTooLong} {
			broken := append([]string(nil), payloads...)
			broken[bad] = payload
			clear(l.results)
			n, err := packed(client, dataproxy.Message{StreamID: "s"}, broken, 0)
			fault(t, err, code)
			require.Equal(t, bad, n)
			require.NoError(t, client.Flush(patient(t)))
			require.Len(t, l.results, bad)
		}
	}
	settled(t, client)
}

// Room is taken for a run at once: the bound must hold to the message, and room must be used to the message.
func TestPackedMessagesFillTheQueueExactly(t *testing.T) {
	c := cluster(t)
	standing(c, dataproxytest.Silence())
	client, l := embedder(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(77))
	n, err := packed(client, dataproxy.Message{StreamID: "s"}, make120("x"), 0)
	fault(t, err, dataproxy.CodeQueueFull)
	require.Equal(t, 77, n)
	require.EqualValues(t, 77, client.Stats().PendingMessages)
	ctx, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	_, _ = client.Shutdown(ctx)
	require.Len(t, l.results, 77)
}

func make120(payload string) []string {
	payloads := make([]string, 120)
	for i := range payloads {
		payloads[i] = payload
	}
	return payloads
}
