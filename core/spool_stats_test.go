package dataproxy_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// An operator cannot see that messages pile up on the disk, nor that they are delivered.
func TestStatsTellWhatIsInTheSpool(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(2))
	require.Equal(t, dataproxy.SpoolStats{State: dataproxy.SpoolOff}, connect(t, c).Stats().Spool)
	dir := t.TempDir()
	client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSendTimeout(200*time.Millisecond))
	require.Equal(t, dataproxy.SpoolStats{State: dataproxy.SpoolOK}, client.Stats().Spool)
	down(t, c, client)
	var results spoolResults
	for i := range 100 {
		client.SendAsync(context.Background(), streamMessage("s", "%d", i), results.callback)
	}
	eventually(t, "results", func() bool { return results.count() == 100 })
	st := client.Stats().Spool
	require.Equal(t, dataproxy.SpoolOK, st.State)
	require.EqualValues(t, 100, st.Messages)
	require.Positive(t, st.Batches)
	require.Positive(t, st.Bytes)
	require.Zero(t, st.Replayed)
	eventually(t, "the oldest gets older", func() bool { return client.Stats().Spool.OldestAge >= 150*time.Millisecond })
	require.Less(t, client.Stats().Spool.OldestAge, time.Hour)
	up(c)
	eventually(t, "all are replayed", func() bool { return client.Stats().Spool.Replayed == 100 })
	eventually(t, "nothing is left", func() bool { return client.Stats().Spool.Batches == 0 })
	st = client.Stats().Spool
	require.Zero(t, st.Messages+int64(st.OldestAge)+st.GivenUp+st.Errors)

	text, err := json.Marshal(st)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(text, &fields))
	require.Equal(t, "ok", fields["state"])
	require.EqualValues(t, 100, fields["replayed"])
}

// A spool that is full, or whose disk fails, looks as one that stores.
func TestStatsTellThatASpoolDoesNotStore(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	log := newMemoLog()
	full := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithSpoolMaxBytes(1<<20), dataproxy.WithCompression(dataproxy.None), dataproxy.WithLogger(log))
	down(t, c, full)
	eventually(t, "it is full", func() bool {
		for range 20 {
			full.SendAsync(context.Background(), streamMessage("s", "%s", strings.Repeat("x", 1000)), nil)
		}
		return full.Stats().Spool.State == dataproxy.SpoolFull
	})
	eventually(t, "the log names what to raise", func() bool { return log.count("spool_max_bytes") > 0 })
	up(c)
	require.NoError(t, full.Flush(patient(t)))
	eventually(t, "it stores again", func() bool {
		_ = full.Send(patient(t), message("x"))
		return full.Stats().Spool.State == dataproxy.SpoolOK
	})

	dir := filepath.Join(t.TempDir(), "spool")
	failed := connect(t, c, dataproxy.WithSpoolDir(dir))
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	eventually(t, "it has failed", func() bool {
		require.NoError(t, failed.Send(patient(t), message("x")))
		return failed.Stats().Spool.State == dataproxy.SpoolFailed
	})
	require.Positive(t, failed.Stats().Spool.Errors)
}

// Messages of the spool that are given up are counted nowhere.
func TestStatsCountWhatTheSpoolGivesUp(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	dir := t.TempDir()
	leave(t, c, dir, numbered(30, " text"))
	c.Node(0).Standing(dataproxytest.ErrorCode(121))
	client := connect(t, c, dataproxy.WithSpoolDir(dir))
	eventually(t, "all are given up", func() bool { return client.Stats().Spool.GivenUp == 30 })
	require.Zero(t, client.Stats().Spool.Replayed)
	eventually(t, "nothing is left", func() bool { return client.Stats().Spool.Batches == 0 })
}

// S10, within a run: a clock that was set while the process ran made what was just stored an hour old.
func TestOldestAgeDoesNotFollowAClockThatIsSet(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()))
	hurry(t, client)
	dataproxy.StepClock(client, time.Hour)
	down(t, c, client)
	client.SendAsync(context.Background(), message("x"), nil)
	stored(t, client, 1)
	require.Less(t, client.Stats().Spool.OldestAge, time.Minute)
}
