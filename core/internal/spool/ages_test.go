package spool

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The age of a backlog was that of the first record of its oldest segment, acked or not: beside a healthy cluster it grew until the segment was
// full, which takes days where little is sent.
func TestTheOldestIsTheOldestThatIsNotAcked(t *testing.T) {
	fs := newMemFS(testDir)
	open := func() *Spool {
		s, err := openSlot(testDir, Options{FS: fs, Warn: t.Logf}, nil)
		require.NoError(t, err)
		return s
	}
	s := open()
	var refs []Ref
	for i := range 5 {
		r := batchOf(i)
		r.Stored = int64(1000 + 10_000*i)
		var err error
		refs, err = s.Append(refs, []Record{r}, true)
		require.NoError(t, err)
	}
	oldest := func(want int64) {
		t.Helper()
		require.Equal(t, want, s.Stats().Oldest.UnixMilli())
	}
	oldest(1000)
	s.Ack(refs[0])
	oldest(11_000)
	s.Ack(refs[2])
	oldest(11_000)
	s.Ack(refs[1])
	oldest(31_000)
	require.NoError(t, s.FlushAcks(false))
	require.NoError(t, s.Close())

	s = open() // as the next owner finds it
	oldest(31_000)
	s.Ack(refs[3])
	oldest(41_000)
	require.NoError(t, s.Close())
}

// What is known of ages has a bound, and is no younger than it was.
func TestAgesTakeLittleMemory(t *testing.T) {
	var a ages
	require.Zero(t, a.of(7))
	const records = 1 << 17
	for i := range uint32(records) {
		a.note(i, int64(i)*2000)
	}
	require.LessOrEqual(t, len(a.marks), mostMarks)
	for i := uint32(0); i < records; i += 97 {
		age := int64(i)*2000 - a.of(i)
		require.GreaterOrEqual(t, age, int64(0))
		require.LessOrEqual(t, age, 2*a.every+2000)
	}
	a.note(3, 9)
	require.LessOrEqual(t, a.of(3), int64(6000), "one that was passed before")
}
