package dataproxy_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A client that cuts, recodes or splits a payload corrupts data in silence.
func TestD7_PayloadBytesArriveUntouched(t *testing.T) {
	random := make([]byte, 30000)
	source := rand.NewChaCha8([32]byte{7})
	_, _ = source.Read(random)
	payloads := [][]byte{
		[]byte("\n"), []byte("ends in newline\n"), []byte("\r\n"), {0}, []byte("a\x00b\x00"), []byte("x"), random, []byte("é日本語🙂"),
		bytes.Repeat([]byte("compressible "), 3000), []byte("a&b=c&mid=1"), []byte("\x00\x00\x00\x05hello"), {0xEE, 0x01},
	}
	for i := range 200 { // lengths around which a length word or a compressor may go wrong
		payloads = append(payloads, bytes.Repeat([]byte{byte(i)}, 200+i))
	}
	for _, format := range []dataproxy.MessageFormat{dataproxy.Text, dataproxy.Binary} {
		for _, compression := range []dataproxy.Compression{dataproxy.None, dataproxy.Snappy} {
			t.Run(fmt.Sprint(format, " ", compression), func(t *testing.T) {
				c := cluster(t)
				client := connect(t, c, dataproxy.WithMessageFormat(format), dataproxy.WithCompression(compression))
				notes := newLedger()
				for _, p := range payloads {
					scratch := bytes.Clone(p)
					notes.send(context.Background(), client, dataproxy.Message{StreamID: "test_stream", Payload: scratch})
					clear(scratch) // the caller may use its memory again at once
				}
				require.NoError(t, client.Flush(patient(t)))
				require.Equal(t, len(payloads), len(notes.acked()), "the callbacks saw the payloads that were sent")
				received := receivedPayloads(c)
				require.Len(t, received, len(payloads))
				for _, p := range payloads {
					require.Equal(t, 1, received[string(p)], "%.20q", p)
				}
				compressed := 0
				for _, r := range c.Received() {
					require.True(t, r.Whole)
					require.Equal(t, map[dataproxy.MessageFormat]byte{dataproxy.Text: 5, dataproxy.Binary: 7}[format], r.Type)
					if r.Compressed {
						compressed++
					}
				}
				require.Equal(t, compression == dataproxy.Snappy, compressed > 0)
			})
		}
	}
}

// A payload of exactly the limit fits; one byte more must be refused here: the node would close the connection, and with it
// throw out the batches of others.
func TestD7_LimitOfAPayload(t *testing.T) {
	limit := regexp.MustCompile(`must have (\d+) `)
	for _, format := range []dataproxy.MessageFormat{dataproxy.Text, dataproxy.Binary} {
		c := cluster(t, dataproxytest.WithMaxMessageLength(100000))
		client := connect(t, c, dataproxy.WithMessageFormat(format), dataproxy.WithCompression(dataproxy.None),
			dataproxy.WithAddColumns(map[string]string{"__addcol1__x": strings.Repeat("y", 500)}))
		e := fault(t, client.Send(patient(t), message(strings.Repeat("a", 100000))), dataproxy.CodeLogTooLong)
		found := limit.FindStringSubmatch(e.Message)
		require.Len(t, found, 2, e.Message)
		longest, _ := strconv.Atoi(found[1])
		require.Greater(t, longest, 99000)
		msg := message(strings.Repeat("a", longest))
		require.NoError(t, client.Send(patient(t), msg))
		require.NoError(t, client.Send(patient(t), msg))
		client.SendAsync(context.Background(), message("before it in the batch"), nil)
		require.NoError(t, client.Send(patient(t), msg))
		msg.Payload = append(msg.Payload, 'a')
		e = fault(t, client.Send(patient(t), msg), dataproxy.CodeLogTooLong)
		require.Equal(t, dataproxy.NotWritten, e.Persisted())
		require.False(t, e.Retriable())
		fault(t, client.Send(patient(t), message("")), dataproxy.CodeLogInvalid)
		require.Equal(t, 4, c.Count())
		settled(t, client)
	}
}

// Attributes and event times belong to a message: one that travels in the batch of another must not get its.
func TestAttributesAndEventTimesReachTheWire(t *testing.T) {
	for _, format := range []dataproxy.MessageFormat{dataproxy.Text, dataproxy.Binary} {
		c := cluster(t)
		client := connect(t, c, dataproxy.WithMessageFormat(format),
			dataproxy.WithAddColumns(map[string]string{"__addcol1__worldid": "7", "__addcol2__ip": "{{ip}}"}))
		for i := range 300 {
			msg := dataproxy.Message{StreamID: "test_stream", Payload: fmt.Appendf(nil, "%d/%d", i%3, i%4)}
			if i%3 > 0 {
				msg.Attributes = map[string]string{"k": fmt.Sprint(i % 3), "other": ""}
			}
			if i%4 > 0 {
				msg.Time = time.Unix(1600000000+int64(i%4), 0)
			}
			client.SendAsync(context.Background(), msg, nil)
		}
		require.NoError(t, client.Flush(patient(t)))
		require.Equal(t, 300, c.Count())
		for _, r := range c.Received() {
			for _, item := range r.Items {
				var attribute, at int
				_, err := fmt.Sscanf(string(item), "%d/%d", &attribute, &at)
				require.NoError(t, err)
				value, has := r.Attr["k"]
				require.Equal(t, attribute > 0, has)
				if has {
					require.Equal(t, fmt.Sprint(attribute), value)
				}
				if at > 0 {
					require.Equal(t, fmt.Sprint(1600000000000+at*1000), r.Attr["dt"])
				} else {
					require.Greater(t, r.Attr["dt"], "1700000000000")
				}
			}
			require.Equal(t, "7", r.Attr["__addcol1__worldid"])
			require.Regexp(t, `^\d+\.\d+\.\d+\.\d+$`, r.Attr["__addcol2__ip"])
			for _, key := range []string{"groupId", "streamId", "dt", "mid", "cnt"} {
				require.Equal(t, 1, strings.Count("&"+r.RawAttr, "&"+key+"="), r.RawAttr)
			}
		}
	}
}

// The existing Go SDK cuts a newline off the end; who relies on it asks for it.
func TestTrailingNewlineIsCutOnlyWhenAskedFor(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithTrimTrailingNewline(true))
	require.NoError(t, client.Send(patient(t), message("line\n")))
	require.NoError(t, client.Send(patient(t), message("line\n\n")))
	fault(t, client.Send(patient(t), message("\n")), dataproxy.CodeLogInvalid)
	require.Equal(t, map[string]int{"line": 1, "line\n": 1}, receivedPayloads(c))
}

type countingBuffers struct {
	dataproxy.BufferPool
	lent, back atomic.Int64
}

func (p *countingBuffers) Get() *bytes.Buffer  { p.lent.Add(1); return p.BufferPool.Get() }
func (p *countingBuffers) Put(b *bytes.Buffer) { p.back.Add(1); p.BufferPool.Put(b) }

type countingBytes struct {
	dataproxy.BytePool
	lent, back atomic.Int64
}

func (p *countingBytes) Get() []byte  { p.lent.Add(1); return p.BytePool.Get() }
func (p *countingBytes) Put(b []byte) { p.back.Add(1); p.BytePool.Put(b) }

// A pool that the user gives and the client ignores makes the user's memory bound a fiction.
func TestPoolsOfTheUserAreUsed(t *testing.T) {
	c := cluster(t)
	buffers := &countingBuffers{BufferPool: dataproxy.NewBufferPool(100)}
	slices := &countingBytes{BytePool: dataproxy.NewBytePool(100, 1024)}
	client := connect(t, c, dataproxy.WithBufferPool(buffers), dataproxy.WithBytePool(slices))
	notes := newLedger()
	for i := range 5000 {
		notes.send(context.Background(), client, message(fmt.Sprintf("message %04d", i)))
	}
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	require.Equal(t, 5000, len(notes.acked()))
	client.Close()
	require.Greater(t, buffers.lent.Load(), int64(100), "one a batch")
	eventually(t, "all buffers are back", func() bool { return buffers.back.Load() == buffers.lent.Load() })
	require.Positive(t, slices.lent.Load())
	require.Equal(t, slices.lent.Load(), slices.back.Load())
}

type emptyPool struct{ back atomic.Int64 }

func (*emptyPool) Get() *bytes.Buffer  { return nil }
func (p *emptyPool) Put(*bytes.Buffer) { p.back.Add(1) }

// A pool that has nothing to lend, as a sync.Pool without New, must not bring the sender down.
func TestPoolThatIsEmptyIsFilled(t *testing.T) {
	buffers := new(emptyPool)
	client := connect(t, cluster(t), dataproxy.WithBufferPool(buffers))
	require.NoError(t, client.Send(patient(t), message("x")))
	client.Close()
	require.Positive(t, buffers.back.Load())
}
