package dataproxy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

func (l *memoLog) with(part string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, part) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Without a callback nobody hears of a failure, unless the log tells of it: why, where and how many.
func TestFailuresOfMessagesWithoutACallbackAreLogged(t *testing.T) {
	const n = 120
	c := cluster(t)
	standing(c, dataproxytest.ErrorCode(109))
	log := newMemoLog()
	client := connect(t, c, dataproxy.WithLogger(log))
	heard := 0
	for i := range n {
		client.SendAsync(context.Background(), message(fmt.Sprint(i)), nil)
		client.SendAsync(context.Background(), message(fmt.Sprint(i)), func(dataproxy.Message, error) { heard++ })
	}
	require.Error(t, client.Send(patient(t), message("sync")))
	require.Len(t, client.SendBatch(patient(t), []dataproxy.Message{message("a"), message("b")}), 2)
	require.NoError(t, client.Flush(patient(t)))
	client.SendAsync(context.Background(), dataproxy.Message{StreamID: "test_stream"}, nil) // refused at once
	client.Close()
	require.Equal(t, n, heard)

	told := map[string]int{}
	for _, line := range log.with("without a callback") {
		var messages int
		var code string
		_, err := fmt.Sscanf(line, "%d messages without a callback failed with code %s", &messages, &code)
		require.NoError(t, err)
		told[strings.TrimSuffix(code, ",")] += messages
		require.Contains(t, line, "group test_group, stream test_stream")
	}
	require.Equal(t, map[string]int{"10011": n, "10010": 1}, told)
	require.LessOrEqual(t, len(log.with("10011")), 2, "at once, and the rest when the client is closed: %q", log.lines)
	require.Contains(t, log.with("10011")[0], "server code 109")
}

// Nothing is to be told of messages that were acked.
func TestSuccessWithoutACallbackIsSilent(t *testing.T) {
	log := newMemoLog()
	client := connect(t, cluster(t), dataproxy.WithLogger(log))
	for range 100 {
		client.SendAsync(context.Background(), message("x"), nil)
	}
	client.Close()
	require.Empty(t, log.lines)
}

// Three nodes that die one after the other are three names, not one and "lines like this"; and the last one is not avoided,
// since there is no other.
func TestEachNodeThatDiesIsNamed(t *testing.T) {
	c := cluster(t)
	log := newMemoLog()
	client := connect(t, c, dataproxy.WithLogger(log))
	eventually(t, "8 lanes", func() bool { return even(client, 3) })
	for i, n := range c.Nodes() {
		n.Kill()
		what := "is avoided for 30s"
		if i == 2 {
			what = "failed and is tried again soon, since no other is better"
		}
		eventually(t, "it is named", func() bool { return log.count(fmt.Sprintf("node %s %s", n.Addr(), what)) == 1 })
	}

	single := newMemoLog()
	c = cluster(t, dataproxytest.WithNodes(1))
	client = connect(t, c, dataproxy.WithLogger(single))
	c.Node(0).Kill()
	eventually(t, "it is named", func() bool { return single.count("node "+c.Node(0).Addr()+" failed and is tried again soon") == 1 })
	c.Node(0).Revive()
	require.NoError(t, client.Send(patient(t), message("x")))
	require.Zero(t, single.count("avoided"))
}
