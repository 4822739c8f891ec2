package logsink_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/logsink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, c *dataproxytest.Cluster, opts ...dataproxy.Option) dataproxy.FullClient {
	t.Helper()
	client, err := dataproxy.NewClient(append([]dataproxy.Option{dataproxy.WithURL(c.URL()), dataproxy.WithGroupID("test_group"),
		dataproxy.WithLogger(dataproxy.NopLogger()), dataproxy.WithMetricsRegistry(prometheus.NewRegistry())}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func open(t *testing.T, client dataproxy.FullClient, opts ...logsink.Option) *logsink.Sink {
	t.Helper()
	sink, err := logsink.New(client, dataproxy.Message{StreamID: "logs"}, opts...)
	require.NoError(t, err)
	return sink
}

func arrived(c *dataproxytest.Cluster) (records []string) {
	for _, m := range c.Messages() {
		records = append(records, string(m))
	}
	return records
}

// A handler that breaks slog's rules loses groups, attributes or times of records.
func TestHandlerKeepsTheRulesOfSlog(t *testing.T) {
	c := dataproxytest.Start(t)
	client := start(t, c, dataproxy.WithOrdered(true))
	sink := open(t, client)
	err := slogtest.TestHandler(sink.Handler(nil), func() (records []map[string]any) {
		require.NoError(t, sink.Sync())
		for _, text := range arrived(c) {
			record := map[string]any{}
			require.NoError(t, json.Unmarshal([]byte(text), &record))
			records = append(records, record)
		}
		return records
	})
	require.NoError(t, err)
}

// Two records in one message, or a newline at its end, break the reader of the stream.
func TestEachRecordIsOneMessageWithoutItsNewline(t *testing.T) {
	c := dataproxytest.Start(t)
	sink := open(t, start(t, c, dataproxy.WithOrdered(true)))
	logger := log.New(sink, "", 0)
	logger.Print("one\ntwo")
	logger.Print("")
	slog.New(slog.NewTextHandler(sink, nil)).Debug("below the level")
	logger.Print("three")
	require.NoError(t, sink.Close())
	require.Equal(t, []string{"one\ntwo", "three"}, arrived(c))
	require.Equal(t, logsink.Stats{Records: 2, Acked: 2}, sink.Stats())
}

// A program that logs must not wait for a node, also where its client waits for room; and what it lost must be told.
func TestLoggingDoesNotWaitAndCountsWhatItDropped(t *testing.T) {
	c := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	c.Node(0).Standing(dataproxytest.Silence())
	client := start(t, c, dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithMaxPendingMessages(8), dataproxy.WithWorkerNum(1))
	var mu sync.Mutex
	var told []string
	var last error
	sink := open(t, client, logsink.WithOnFailure(func(record []byte, err error) {
		mu.Lock()
		defer mu.Unlock()
		told, last = append(told, string(record)), err
	}))
	record := []byte("record 00\n")
	began := time.Now()
	for i := range 50 {
		record = fmt.Appendf(record[:0], "record %02d\n", i) // a logger uses its buffer again
		n, err := sink.Write(record)
		require.NoError(t, err)
		require.Equal(t, len(record), n)
	}
	require.Less(t, time.Since(began), 20*time.Second, "the send timeout is 30 s")
	require.Equal(t, logsink.Stats{Records: 50, Dropped: 42}, sink.Stats())
	mu.Lock()
	require.ErrorIs(t, last, &dataproxy.Error{Code: dataproxy.CodeQueueFull})
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(told))), 42)
	mu.Unlock()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.Error(t, sink.Flush(ended))
	_, _ = client.Shutdown(ended)
	require.Eventually(t, func() bool { return sink.Stats().Dropped == 50 }, 20*time.Second, time.Millisecond)
}

// What is written after the close must be counted, and not hang.
func TestAClosedSinkDropsAndSaysSo(t *testing.T) {
	c := dataproxytest.Start(t)
	client := start(t, c)
	sink := open(t, client)
	require.NoError(t, sink.Close())
	_, err := sink.Write([]byte("late"))
	require.ErrorIs(t, err, logsink.ErrClosed)
	require.NoError(t, sink.Close())
	require.Equal(t, logsink.Stats{Records: 1, Dropped: 1}, sink.Stats())

	other := open(t, client)
	client.Close()
	_, err = other.Write([]byte("of a closed client"))
	require.NoError(t, err)
	require.EqualValues(t, 1, other.Stats().Dropped)
}

func TestFaultsOfANewSinkAreNamed(t *testing.T) {
	_, err := logsink.New(nil, dataproxy.Message{StreamID: "logs"})
	require.ErrorContains(t, err, "client is nil")
	c := dataproxytest.Start(t)
	_, err = logsink.New(start(t, c), dataproxy.Message{StreamID: "no stream"})
	require.ErrorContains(t, err, `"no stream"`)
}

// Many goroutines log through one sink while it is closed: each record has one place in the counts.
func TestEveryRecordIsCountedOnceUnderLoad(t *testing.T) {
	c := dataproxytest.Start(t)
	client := start(t, c, dataproxy.WithMaxPendingMessages(100), dataproxy.WithWorkerNum(2))
	sink := open(t, client)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			logger := slog.New(sink.Handler(nil))
			for i := range 500 {
				logger.Info("x", "i", i, "text", strings.Repeat("y", i%50))
				if i == 400 {
					err := sink.Close()
					if err != nil && !errors.Is(err, &dataproxy.Error{Code: dataproxy.CodeContextExpired}) {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	require.NoError(t, client.Flush(context.Background()))
	s := sink.Stats()
	require.EqualValues(t, 4000, s.Records)
	require.Equal(t, s.Records, s.Acked+s.Dropped)
	require.EqualValues(t, c.Count(), s.Acked)
}
