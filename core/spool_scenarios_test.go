package dataproxy_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// S9: a stream that is gone is tried for ever, or holds up the others.
func TestAStoredStreamThatIsGoneHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	orderedOrNot(t, func(t *testing.T, ordered bool) {
		c := cluster(t, dataproxytest.WithNodes(1))
		dir := t.TempDir()
		store, err := spool.Open(dir, spool.Options{})
		require.NoError(t, err)
		const each = 20
		for i := range each {
			for _, stream := range []string{"gone", "there"} {
				put(t, store, uint64(i), stream, fmt.Sprint(stream, " ", i), time.Now())
			}
		}
		require.NoError(t, store.Close())
		c.Node(0).Handle(func(r dataproxytest.Record) dataproxytest.Fault {
			if r.Stream == "gone" {
				return dataproxytest.ErrorCode(115)
			}
			return dataproxytest.Fault{}
		})
		client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithOrdered(ordered), dataproxy.WithMaxRetries(0))
		require.NoError(t, c.WaitCount(patient(t), each))
		require.NoError(t, client.Send(patient(t), streamMessage("there", "new")))
		eventually(t, "the others are given up", func() bool { return client.Stats().Spool.GivenUp == each })
		onceEach(t, c, each+1)
		settled(t, client)
		client.Close()
		require.Empty(t, segmentFiles(t, dir))
	})
}

// S10: where the clock was set by a day between two runs, messages are lost, never end, or have an age that is none.
func TestAClockThatWasSetLosesNothing(t *testing.T) {
	t.Parallel()
	for name, age := range map[string]time.Duration{"no age": 0, "an hour": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cluster(t, dataproxytest.WithNodes(1))
			dir := t.TempDir()
			store, err := spool.Open(dir, spool.Options{})
			require.NoError(t, err)
			for i, at := range []time.Duration{24 * time.Hour, -24 * time.Hour, 0} {
				put(t, store, uint64(i), "s", fmt.Sprint(at), time.Now().Add(at))
			}
			require.NoError(t, store.Close())
			c.Node(0).Standing(dataproxytest.ErrorCode(114))
			client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolMaxAge(age))
			require.GreaterOrEqual(t, client.Stats().Spool.OldestAge, time.Duration(0))
			c.Node(0).ClearFaults()
			want := map[string]int{"24h0m0s": 1, "0s": 1}
			if age == 0 {
				want["-24h0m0s"] = 1
			}
			require.NoError(t, c.WaitCount(patient(t), len(want)))
			eventually(t, "nothing is left", func() bool { return client.Stats().Spool.Batches == 0 })
			require.Equal(t, want, arrived(c))
			require.EqualValues(t, 3-len(want), client.Stats().Spool.GivenUp, "what is a day old")
		})
	}
}

// S10: what a device has stored before it knew the time, in 1970, was given up at once by the next client, as older than spool_max_age; so was
// all where that client's own clock was decades ahead.
func TestAnAgeOfDecadesIsThatOfAWrongClock(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	dir := t.TempDir()
	store, err := spool.Open(dir, spool.Options{})
	require.NoError(t, err)
	put(t, store, 1, "s", "1970", time.Unix(3600, 0))
	put(t, store, 2, "s", "decades ago", time.Now().AddDate(-30, 0, 0))
	require.NoError(t, store.Close())
	c.Node(0).Standing(dataproxytest.ErrorCode(114))
	client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolMaxAge(time.Hour))
	require.Less(t, client.Stats().Spool.OldestAge, time.Hour)
	client.Close()
	require.Zero(t, client.Stats().Spool.GivenUp)

	client = connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolMaxAge(time.Second))
	eventually(t, "they have an age", func() bool { return client.Stats().Spool.GivenUp == 2 })
}

// put stores a batch of one message, as a client would have.
func put(t *testing.T, store *spool.Spool, number uint64, stream, payload string, at time.Time) {
	t.Helper()
	_, err := store.Append(nil, []spool.Record{{
		ID: wire.BatchID{Client: uint64(len(stream)), Seq: number}, Group: "test_group", Stream: stream, EventTime: at.UnixMilli(), Stored: at.UnixMilli(), Messages: 1,
		Body: append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...),
	}}, true)
	require.NoError(t, err)
}
