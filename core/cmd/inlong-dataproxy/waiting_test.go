//go:build !windows

package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/tail"
)

// refusing is a client before nodes that refuse all lines but one.
type refusing struct{ cutOff }

func (c *refusing) SendBulk(_ context.Context, msg dataproxy.Message, done dataproxy.Callback) {
	if string(msg.Payload) == "good" {
		done(msg, nil)
		return
	}
	done(msg, &dataproxy.Error{Code: dataproxy.CodeServerError, ServerCode: topicUnknown})
}

// Lines that nodes refuse for good waited in memory, 64 MiB of each file, and short ones took some 30 times their length: with a few files
// -F took all of the machine's memory.
func TestLinesThatWaitToBeSentAgainTakeBoundedMemory(t *testing.T) {
	own := mostWaiting
	mostWaiting = 1 << 20
	t.Cleanup(func() { mostWaiting = own })
	log := slog.New(slog.DiscardHandler)
	s := &shipment{client: &refusing{}, stream: "s", format: format{name: "lines", encoding: "utf-8", longest: 1000}, follow: true, log: log}
	bad := writeFile(t, "bad.log", strings.Repeat("short\n", 500_000)) // 130 MB as lines that wait
	good := filepath.Join(filepath.Dir(bad), "good.log")
	s.files = tail.Open(tail.Config{Paths: []string{bad, good}, Follow: true, Rotated: true, MaxBehind: s.mayBeBehind, Log: log})
	defer s.files.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	stop := s.resend(ctx)
	go func() { ended <- s.run(ctx) }()
	const aChunk = readSize / 6 * 261
	for n := int64(1); n <= 3; n++ { // each but the first takes a look at all files
		appendTo(t, good, "good\n")
		eventually(t, "the file with good lines is read on", func() bool { return s.acked.Load() == n })
		require.LessOrEqual(t, s.again.bytes.Load(), mostWaiting+3*aChunk)
	}
	eventually(t, "the bound is reached", func() bool { return s.again.bytes.Load() > mostWaiting })
	cancel()
	require.NoError(t, <-ended)
	stop()
}

// All lines that nodes refuse were sent anew each 30 s: they took the network from the others.
func TestOfLinesThatNodesRefuseOneIsSentUntilItIsTaken(t *testing.T) {
	s := &shipment{log: slog.New(slog.DiscardHandler)}
	r := &resender{s: s, refused: map[string]bool{}}
	refused := &dataproxy.Error{Code: dataproxy.CodeServerError, ServerCode: topicUnknown}
	for _, line := range []string{"a1", "a2", "b1", "a3", "b2"} {
		r.later(dataproxy.Message{StreamID: line[:1], Payload: []byte(line), MetaData: &piped{}}, refused, true, "")
	}
	r.later(dataproxy.Message{StreamID: "a", Payload: []byte("late")}, refused, false, "")
	due := func() (lines []string) {
		for _, w := range r.due(time.Now().Add(time.Hour)) {
			lines = append(lines, string(w.msg.Payload))
		}
		return lines
	}
	require.Equal(t, []string{"a1", "b1", "late"}, due())
	require.Equal(t, []string{"a2", "b2"}, due(), "each has its turn")
	r.result(dataproxy.Message{StreamID: "a", MetaData: &piped{}}, nil)
	r.later(dataproxy.Message{StreamID: "b", Payload: []byte("b3")}, refused, true, "")
	r.later(dataproxy.Message{StreamID: "b", Payload: []byte("b4")}, refused, true, "")
	require.Equal(t, []string{"a3", "b3"}, due())
}
