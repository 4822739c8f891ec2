package fifo

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A queue that is never empty used to keep the room of everything that went through it.
func TestFifoKeepsOrderAndDoesNotGrowWhileInUse(t *testing.T) {
	var q Queue[int]
	in, out := 0, 0
	for range 10000 {
		for range 3 {
			q.Push(in)
			in++
		}
		for q.Len() > 2 {
			got, ok := q.Pop()
			require.True(t, ok)
			require.Equal(t, out, got)
			out++
		}
	}
	require.LessOrEqual(t, len(q.ring), 8)
	for range 20 {
		q.Push(in)
		in++
	}
	for i, got := range q.TakeAll() {
		require.Equal(t, out+i, got)
	}
	_, ok := q.Pop()
	require.False(t, ok)
}

// A ring as long as the worst jam stayed for the client's life: 13 MiB in an idle client after one burst.
func TestFifoKeepsNoLongRingWhenItIsEmpty(t *testing.T) {
	var q Queue[int]
	for i := range 100 * keptRing {
		q.Push(i)
	}
	for want := range 100 * keptRing {
		got, ok := q.Pop()
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	require.LessOrEqual(t, len(q.ring), keptRing)
	q.Push(1)
	got, ok := q.Pop()
	require.True(t, ok)
	require.Equal(t, 1, got)
}

// A sender swept the short queue of its spool at every 64th batch, and waited there for batches that other cores worked on.
func TestMortalLooksAtNoQueueThatIsShorterThanItsLeast(t *testing.T) {
	q, looked := Mortal[int]{Least: 100}, 0
	dead := func(int) bool { looked++; return true }
	for i := range 100 {
		require.Zero(t, q.Push(i, dead))
	}
	require.Zero(t, looked)
	require.Equal(t, 100, q.Push(100, dead))
	require.Equal(t, 1, q.Len())
}
