//go:build !windows

package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A state had lines as acked that a killed node had in its memory and never forwarded: 7,400 of 300,000 on real servers.
func TestLinesThatALostNodeHadAckedAreSentAgain(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(2))
	cluster.Node(1).Kill()
	log := writeFile(t, "a.log", strings.Repeat("line\n", 2000))
	state := filepath.Join(t.TempDir(), "state")
	c := startChild(t, sendArgs(cluster, "--stream", "s", "-F", "--state", state, "--resend-window", "1h", "--progress", log)...)
	// Not only that the node has them: an ack that is on its way when the node ends never comes.
	eventually(t, "the node has acked all lines", func() bool { return strings.Contains(c.said(), " 2000 acked, 0 failed") })
	cluster.Node(1).Revive()
	cluster.Node(0).Kill()
	eventually(t, "the other node has them, too", func() bool { return cluster.Node(1).Count() == 2000 })
	require.Zero(t, stateOf(t, state, log).Offset, "the state has not passed what may be sent again")
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait(), "%s", c.stderr)
	require.Contains(t, c.said(), "2000 lines: 2000 acked, 0 failed;")
	require.Contains(t, c.said(), "2000 lines may arrive twice")
	require.EqualValues(t, 10_000, stateOf(t, state, log).Offset)
}

// A run that ended with its last ack would never send again what the node that is lost then had acked.
func TestARunEndsWhenItsWindowDoes(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	began := time.Now()
	status, _, stderr := program("a\nb\n", sendArgs(cluster, "--stream", "s", "--resend-window", "600ms")...)
	require.Zero(t, status, stderr)
	require.GreaterOrEqual(t, time.Since(began), 600*time.Millisecond)
	require.Contains(t, stderr, "2 lines: 2 acked, 0 failed;")
	require.Equal(t, []string{"a", "b"}, received(cluster))

	status, _, stderr = program("", sendArgs(cluster, "--stream", "s", "--resend-window", "-1s")...)
	require.Equal(t, exitUsage, status)
	require.Contains(t, stderr, "--resend-window -1s: must be 0 or more")
}

func TestAWindowKnowsWhoseLinesToSendAgain(t *testing.T) {
	s := &shipment{log: slog.New(slog.DiscardHandler)}
	w := &window{s: s, length: time.Minute, lost: map[string]time.Time{}}
	s.window = w
	hooks := w.hooks()
	hold := func(line, node string) {
		h := &heldLine{origin: &piped{}}
		hooks.Result(dataproxy.MessageResults{Node: node, Tokens: []any{hooks.Sending(t.Context(), &dataproxy.Message{MetaData: h})}})
		require.True(t, w.holds(dataproxy.Message{Payload: []byte(line), MetaData: h}))
	}
	look := func(now time.Time, nodes ...dataproxy.NodeStats) (lines []string) {
		for _, h := range w.look(now, nodes) {
			lines = append(lines, string(h.msg.Payload))
		}
		return lines
	}
	now := time.Now()
	for i := range 2 {
		hold(fmt.Sprint("a", i), "a")
		hold(fmt.Sprint("b", i), "b")
	}
	require.Empty(t, look(now, dataproxy.NodeStats{Addr: "a", Suspect: true, Lanes: 1}, dataproxy.NodeStats{Addr: "b"}))
	hooks.Answered(dataproxy.BatchAttempt{Node: "a"}, dataproxy.AttemptEnd{ServerCode: 5})
	require.Empty(t, look(now), "an answer is no loss")
	hooks.Answered(dataproxy.BatchAttempt{Node: "a"}, dataproxy.AttemptEnd{Cause: syscall.ECONNRESET})
	require.Equal(t, []string{"a0", "a1"}, look(now))
	hold("a2", "a")
	require.Equal(t, []string{"a2"}, look(now), "its ack had come before")
	require.Empty(t, look(now.Add(time.Minute/2)))
	hold("a3", "a")
	require.Empty(t, look(now.Add(time.Minute/2)), "the node is back")
	require.Equal(t, []string{"b0", "b1"}, look(now.Add(time.Minute/2), dataproxy.NodeStats{Addr: "b", Suspect: true}))
	hooks.Answered(dataproxy.BatchAttempt{Node: "c"}, dataproxy.AttemptEnd{Cause: syscall.ECONNRESET})
	require.Empty(t, look(now, dataproxy.NodeStats{Addr: "c", Suspect: true}))
	hold("c0", "c")
	require.Equal(t, []string{"c0"}, look(now), "that it is suspect ends no time for late acks")
	require.Empty(t, look(now.Add(2*time.Minute)))
	require.Empty(t, w.held[0])
	require.Zero(t, w.bytes)
}

func TestAWindowTakesBoundedMemory(t *testing.T) {
	own := mostWaiting
	mostWaiting = 1000
	t.Cleanup(func() { mostWaiting = own })
	s := &shipment{log: slog.New(slog.DiscardHandler)}
	w := &window{s: s, length: time.Hour}
	for range 100 {
		require.True(t, w.holds(dataproxy.Message{Payload: make([]byte, 100), MetaData: &heldLine{origin: &piped{size: 100}}}))
		require.LessOrEqual(t, w.bytes, mostHeld())
	}
	require.Len(t, w.held[0], 1)
	require.EqualValues(t, 99*100, s.doneBytes.Load())
}

// What lack of memory ended first were the lines behind those that were sent again: the state waited for the latter, and reading for the state.
func TestLackOfMemoryEndsFirstTheWindowOfWhatWasSentAgain(t *testing.T) {
	own := mostWaiting
	mostWaiting = 2000
	t.Cleanup(func() { mostWaiting = own })
	s := &shipment{log: slog.New(slog.DiscardHandler)}
	w := &window{s: s, length: time.Hour}
	for i, list := range []int{0, 1, 0, 0} {
		require.True(t, w.holds(dataproxy.Message{MetaData: &heldLine{origin: &piped{size: int64(i)}, list: list}}))
	}
	require.EqualValues(t, 1, s.doneBytes.Load())
}

// Reading stopped until the time of the window was over: an hour after 64 MiB in lines of 300 KB.
func TestAWindowHoldsUpNoFile(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	log := writeFile(t, "a.log", strings.Repeat(strings.Repeat("x", 300_000)+"\n", 250))
	c := startChild(t, sendArgs(cluster, "--stream", "s", "-F", "--resend-window", "1h", log)...)
	eventually(t, "all of the file is sent", func() bool { return cluster.Node(0).Count() == 250 })
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait(), "%s", c.stderr)
	require.Contains(t, c.said(), "250 lines: 250 acked, 0 failed;")
}
