package dataproxy_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

func textAnswer(attr string) []byte {
	frame := []byte{0, 0, 0, 0, 5, 0, 0, 0, 1, '2'}
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(attr)))
	frame = append(frame, attr...)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}

// What a broken or hostile node may send. None of it may crash or hang the client, or pass for an ack: the batch must
// go to another node.
func brokenAnswers() map[string][]byte {
	return map[string][]byte{
		"length 0":                     {0, 0, 0, 0},
		"negative length":              {0xFF, 0xFF, 0xFF, 0xFF, 5},
		"2 GiB length":                 {0x7F, 0xFF, 0xFF, 0xFF, 5},
		"10 bytes":                     {0, 0, 0, 10, 5, 0, 0, 0, 1, '2', 0, 0, 0, 1},
		"unknown type":                 {0, 0, 0, 2, 99, 0},
		"type 0":                       {0, 0, 0, 1, 0},
		"body longer than the frame":   {0, 0, 0, 10, 5, 0, 0, 0, 200, '2', 0, 0, 0, 0},
		"negative body":                {0, 0, 0, 10, 5, 0xFF, 0, 0, 1, '2', 0, 0, 0, 0},
		"attributes longer":            {0, 0, 0, 11, 5, 0, 0, 0, 1, '2', 0, 0, 0, 50, 'a'},
		"negative attributes":          {0, 0, 0, 10, 5, 0, 0, 0, 1, '2', 0x80, 0, 0, 0},
		"errCode is a word":            textAnswer("dpIp=1.1.1.1&errCode=none&errMsg=x"),
		"errCode is empty":             textAnswer("dpIp=1.1.1.1&errCode="),
		"errCode is negative":          textAnswer("dpIp=1.1.1.1&errCode=-1"),
		"errCode is huge":              textAnswer("dpIp=1.1.1.1&errCode=99999999999999999999"),
		"binary, short":                {0, 0, 0, 3, 7, 0, 0},
		"binary, wrong magic":          {0, 0, 0, 9, 7, 0, 0, 0, 1, 0, 0, 0, 0},
		"binary, long attributes":      {0, 0, 0, 9, 7, 0, 0, 0, 1, 0xFF, 0xFF, 0xEE, 1},
		"binary answer for every uniq": binaryAnswers(),
		"success without a name":       textAnswer("dpIp=1.1.1.1&rt=1&rtms=1"),
		"success of another client":    othersAnswers(),
		"success of no batch of ours":  textAnswer("dpIp=1.1.1.1&mid=17"),
		"empty attributes":             textAnswer(""),
		"HTTP":                         []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"zeroes":                       make([]byte, 100),
	}
}

// othersAnswers claims success for the first 300 batches of another client.
func othersAnswers() (all []byte) {
	for seq := range 300 {
		all = append(all, textAnswer(fmt.Sprintf("dpIp=1.1.1.1&mid=0123456789abcdef-%x", seq))...)
	}
	return all
}

// binaryAnswers claims success for the first 300 batches that a client may send, in the other format.
func binaryAnswers() (all []byte) {
	for uniq := range uint32(300) {
		all = append(all, 0, 0, 0, 9, 7)
		all = binary.BigEndian.AppendUint32(all, uniq)
		all = append(all, 0, 0, 0xEE, 1)
	}
	return all
}

func TestD12_BrokenAnswersAreNoAcks(t *testing.T) {
	for name, raw := range brokenAnswers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cluster(t)
			client := connect(t, c, dataproxy.WithAckTimeout(200*time.Millisecond))
			require.NoError(t, client.Send(patient(t), message("warm")))
			first := c.Received()[0].Node
			// The fake keeps the frame; the client cannot know, so the batch must arrive once more on another node.
			c.Nodes()[first].Standing(dataproxytest.Malformed(raw))
			notes := newLedger()
			for i := range 100 {
				notes.send(context.Background(), client, message(fmt.Sprint("message ", i)))
			}
			require.NoError(t, client.Send(patient(t), message("x")))
			require.NoError(t, client.Flush(patient(t)))
			notes.balanced(t, c)
			require.Equal(t, 100, len(notes.acked()))
			elsewhere := make(map[string]bool)
			for _, r := range c.Received() {
				for _, item := range r.Items {
					elsewhere[string(item)] = elsewhere[string(item)] || r.Node != first
				}
			}
			require.True(t, elsewhere["x"])
			for _, payload := range notes.acked() {
				require.True(t, elsewhere[payload], "%q was called sent on a broken answer", payload)
			}
			settled(t, client)
		})
	}
}

// Answers do not come in whole packets: one split at any byte, or several in one packet, must read the same.
func TestD12_AnswersSplitAtEveryByteAndJoined(t *testing.T) {
	const n = 600
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithBatchingMaxMessages(1))
	var mu sync.Mutex
	var rest []byte
	frames, cuts := 0, make(map[int]bool)
	// Each frame brings the end of the answers before it and the beginning of its own, cut at a place that moves on.
	c.Nodes()[0].Handle(func(r dataproxytest.Record) dataproxytest.Fault {
		mu.Lock()
		defer mu.Unlock()
		frames++
		answers := append(rest, textAnswer("dpIp=127.0.0.1&rt=1&rtms=1&"+r.RawAttr)...)
		cut := len(answers)
		switch {
		case frames == n:
		case frames%50 < 5:
			cut = 0 // joined with the next ones
		default:
			cut = frames % len(answers)
		}
		cuts[cut] = true
		rest = answers[cut:]
		return dataproxytest.Malformed(answers[:cut])
	})
	notes := newLedger()
	for i := range n {
		notes.send(context.Background(), client, message(fmt.Sprint("message ", i)))
	}
	require.NoError(t, client.Flush(patient(t)))
	notes.balanced(t, c)
	require.Equal(t, n, len(notes.acked()))
	require.Equal(t, n, c.Count(), "no batch was sent again")
	require.Greater(t, len(cuts), 150)
}

// Doubled, lost and re-ordered answers: nothing may be called sent twice, nor an answer be given to another batch.
func TestD12_DoubledLostAndReorderedAnswers(t *testing.T) {
	for _, format := range []dataproxy.MessageFormat{dataproxy.Text, dataproxy.Binary} {
		c := cluster(t)
		client := connect(t, c, dataproxy.WithMessageFormat(format), dataproxy.WithBatchingMaxMessages(2),
			dataproxy.WithAckTimeout(300*time.Millisecond), dataproxy.WithMaxRetries(50))
		for _, n := range c.Nodes() {
			frames := 0
			n.Fault(dataproxytest.DropAnswer(), dataproxytest.DropAnswer())
			var mu sync.Mutex
			n.Handle(func(dataproxytest.Record) dataproxytest.Fault {
				mu.Lock()
				defer mu.Unlock()
				frames++
				switch {
				case frames%5 == 0:
					return dataproxytest.DuplicateAnswer()
				case frames%17 == 0:
					return dataproxytest.ReorderAnswers(4)
				}
				return dataproxytest.Fault{}
			})
		}
		notes := newLedger()
		for i := range 1000 {
			notes.send(context.Background(), client, streamMessage(fmt.Sprint("stream", i%10), "message %d", i))
		}
		require.NoError(t, client.Flush(patient(t)))
		notes.balanced(t, c)
		require.Equal(t, 1000, len(notes.acked()))
		settled(t, client)
	}
}
