package dataproxy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// capture is something that a real DataProxy 2.4.0 was sent, with what it answered.
type capture struct {
	Name, Request, Input string
	Answer               string // "" when there was none
	AnswerAttr           string `json:"answer_attr"`
}

func captures(t *testing.T, file, field string) (list []capture) {
	t.Helper()
	raw, err := os.ReadFile("internal/wire/testdata/" + file)
	require.NoError(t, err)
	var all map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &all))
	require.NoError(t, json.Unmarshal(all[field], &list))
	return list
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	require.NoError(t, err)
	return b
}

// answerTo turns one captured answer into the answer to our frame: it names our batch where it named the captured one, and
// stays what it was elsewhere.
func answerTo(answer []byte, r dataproxytest.Record) []byte {
	answer = bytes.Clone(answer)
	if answer[4] == 7 {
		binary.BigEndian.PutUint32(answer[5:], r.Uniq)
		return answer
	}
	attr := string(answer[14:])
	if _, after, named := strings.Cut(attr, "&mid="); named {
		mid, _, _ := strings.Cut(after, "&")
		mid, _, _ = strings.Cut(mid, ")") // errMsg quotes the attributes
		attr = strings.ReplaceAll(attr, "&mid="+mid, "&mid="+r.Attr["mid"])
	}
	answer = append(answer[:14], attr...)
	binary.BigEndian.PutUint32(answer[10:], uint32(len(attr)))
	binary.BigEndian.PutUint32(answer, uint32(len(answer)-4))
	return answer
}

func cutFrames(stream []byte) (frames [][]byte) {
	for len(stream) > 0 {
		n := 4 + int(binary.BigEndian.Uint32(stream))
		frames, stream = append(frames, stream[:n]), stream[n:]
	}
	return frames
}

// capturedCodes are the answers of dataproxy.json that are errors.
var capturedCodes = map[string]int{
	"type5_first_item_empty": 123, "type5_body_empty": 105, "type7_body_empty": 105, "type5_no_group": 100, "type7_no_group": 100,
	"type5_duplicate_key": 109, "type5_two_equals": 109, "type7_two_equals": 109, "type5_unknown_topic": 115, "type7_unknown_topic": 115,
	"type5_bad_snappy": 96, "type5_wrong_total_length": 104, "type7_bad_magic": 94, "type7_num_ids": 3, "type7_index_message": 112,
	"type5_sync_and_noack": 150, "type7_proxy_and_noack": 151, "type5_service_stopped": 2, "type7_service_stopped": 2,
}

// A captured answer that gives a batch another result than the real server meant, or the result to another batch, is data
// lost or doubled on a real cluster. Each answer comes to the middle one of three batches in flight.
func TestCapturedAnswersGiveTheBatchItsResult(t *testing.T) {
	answered := 0
	for _, v := range captures(t, "dataproxy.json", "vectors") {
		if v.Answer == "" || strings.HasPrefix(v.Name, "heartbeat") || v.Name == "pipelined_burst" {
			continue
		}
		answered++
		code, isError := capturedCodes[v.Name]
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			answer, format := unhex(t, v.Answer), dataproxy.Text
			if answer[4] == 7 {
				format = dataproxy.Binary
			}
			c := cluster(t, dataproxytest.WithNodes(1))
			client := connect(t, c, dataproxy.WithMessageFormat(format), dataproxy.WithWorkerNum(1), dataproxy.WithMaxRetries(0),
				dataproxy.WithBatchingMaxMessages(1), dataproxy.WithAckTimeout(500*time.Millisecond))
			c.Node(0).Handle(func(r dataproxytest.Record) dataproxytest.Fault {
				if string(r.Items[0]) == "2" {
					return dataproxytest.Malformed(answerTo(answer, r))
				}
				return dataproxytest.Fault{}
			})
			ctx := context.Background()
			if code == 2 {
				soon, cancel := context.WithTimeout(ctx, 3*time.Second)
				defer cancel()
				ctx = soon
			}
			results := sendEach(ctx, t, client, "1", "2", "3")
			require.NoError(t, results["1"])
			if v.Name == "type5_no_mid_cnt_dt" { // a success that names no batch is believed of none
				require.Error(t, results["2"])
				return
			}
			require.NoError(t, results["3"])
			if !isError {
				require.NoError(t, results["2"])
				return
			}
			if code == 2 { // "not now": the message waits for its deadline
				require.Equal(t, code, fault(t, results["2"], dataproxy.CodeContextExpired).ServerCode)
				return
			}
			e := fault(t, results["2"], dataproxy.CodeServerError)
			require.Equal(t, code, e.ServerCode)
			require.Equal(t, 1, e.Attempts)
			_, text, told := strings.Cut(v.AnswerAttr, "&errMsg=") // what follows it, the wire's tests tell from it
			_, mid, _ := strings.Cut(v.AnswerAttr, "&mid=")
			mid, _, _ = strings.Cut(strings.ReplaceAll(mid, ")", "&"), "&")
			require.Equal(t, told, e.ServerMessage != "")
			require.True(t, strings.HasPrefix(text, strings.ReplaceAll(e.ServerMessage, e.BatchID, mid)), e.ServerMessage)
		})
	}
	require.Equal(t, 34, answered)
}

// sendEach sends the payloads one after the other, without waiting, and returns their results.
func sendEach(ctx context.Context, t *testing.T, client dataproxy.FullClient, payloads ...string) map[string]error {
	t.Helper()
	var mu sync.Mutex
	results := make(map[string]error)
	for _, p := range payloads {
		client.SendAsync(ctx, message(p), func(m dataproxy.Message, err error) {
			mu.Lock()
			defer mu.Unlock()
			results[string(m.Payload)] = err
		})
	}
	require.NoError(t, client.Flush(patient(t)))
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, results, len(payloads))
	return results
}

// The captured burst in one packet: answers of one kind of frame, with an error that names nothing and a heartbeat's answer
// between them, must each find their batch.
func TestCapturedBurstIsMatched(t *testing.T) {
	for format, kind := range map[dataproxy.MessageFormat]byte{dataproxy.Text: 5, dataproxy.Binary: 7} {
		t.Run(fmt.Sprint(format), func(t *testing.T) {
			var burst [][]byte
			for _, v := range captures(t, "dataproxy.json", "vectors") {
				if v.Name == "pipelined_burst" {
					burst = cutFrames(unhex(t, v.Answer))
				}
			}
			require.Len(t, burst, 8)
			var answers [][]byte
			var bad int // which batch the error means
			batches := 0
			for _, answer := range burst {
				if answer[4] != kind && answer[4] != 1 {
					continue
				}
				answers = append(answers, answer)
				if answer[4] == kind {
					if batches++; strings.Contains(string(answer), "errCode=105") {
						bad = batches
					}
				}
			}
			c := cluster(t, dataproxytest.WithNodes(1))
			client := connect(t, c, dataproxy.WithMessageFormat(format), dataproxy.WithWorkerNum(1), dataproxy.WithMaxRetries(0),
				dataproxy.WithBatchingMaxMessages(1))
			var came []dataproxytest.Record // by the one connection's goroutine only
			c.Node(0).Handle(func(r dataproxytest.Record) dataproxytest.Fault {
				if came = append(came, r); len(came) < batches {
					return dataproxytest.Malformed(nil) // nothing yet
				}
				var packet []byte
				for _, answer := range answers {
					if answer[4] == kind {
						answer = answerTo(answer, came[0])
						came = came[1:]
					}
					packet = append(packet, answer...)
				}
				return dataproxytest.Malformed(packet)
			})
			payloads := []string{"1", "2", "3", "4"}[:batches]
			results := sendEach(context.Background(), t, client, payloads...)
			for i, p := range payloads {
				if i+1 == bad {
					require.Equal(t, 105, fault(t, results[p], dataproxy.CodeServerError).ServerCode)
				} else {
					require.NoError(t, results[p], p)
				}
			}
			require.Equal(t, map[dataproxy.MessageFormat]int{dataproxy.Text: 2, dataproxy.Binary: 0}[format], bad)
		})
	}
}
