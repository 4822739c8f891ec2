package transport

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const never = time.Hour

// runner is one dial of a race: it reports its start, and ends when the test says so or its context ends.
type runner struct {
	started chan struct{}
	end     chan error
}

func runners(n int) []runner {
	all := make([]runner, n)
	for i := range all {
		all[i] = runner{make(chan struct{}), make(chan error, 1)}
	}
	return all
}

func (r runner) dial(ctx context.Context) error {
	close(r.started)
	select {
	case err := <-r.end:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func isStarted(r runner) bool {
	select {
	case <-r.started:
		return true
	default:
		return false
	}
}

func within(t *testing.T, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		require.Fail(t, what)
	}
}

// One that hangs must not use up the time of all: the next one starts beside it, and the first that succeeds ends the rest.
func TestFirstStartsTheNextOneBesideOneThatHangs(t *testing.T) {
	all := runners(3)
	all[1].end <- nil
	begun, ended := new(atomic.Int32), new(atomic.Int32)
	value, i, err := First(context.Background(), 3, time.Millisecond, func(ctx context.Context, i int) (string, error) {
		begun.Add(1)
		defer ended.Add(1)
		if i == 2 {
			<-ctx.Done() // started by a slow machine before the second one was seen to win
			return "", ctx.Err()
		}
		return fmt.Sprint("value ", i), all[i].dial(ctx)
	}, func(string) { t.Error("nothing is to be dropped") })
	require.NoError(t, err)
	require.Equal(t, "value 1", value)
	require.Equal(t, 1, i)
	require.Equal(t, begun.Load(), ended.Load(), "a dial is under way when First has returned")
}

// Refusals come at once: waiting for the stagger between them would add up.
func TestFirstStartsTheNextOneAtOnceAfterAFailure(t *testing.T) {
	start := time.Now()
	_, i, err := First(context.Background(), 10, never, func(_ context.Context, i int) (int, error) {
		if i < 9 {
			return 0, errors.New("refused")
		}
		return 0, nil
	}, func(int) {})
	require.NoError(t, err)
	require.Equal(t, 9, i)
	require.Less(t, time.Since(start), patience)
}

// Before the stagger is over a second dial would be load for nothing.
func TestFirstDoesNotStartTheNextOneEarly(t *testing.T) {
	all := runners(2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, i, err := First(context.Background(), 2, never, func(ctx context.Context, i int) (int, error) { return 0, all[i].dial(ctx) }, func(int) {})
		require.NoError(t, err)
		require.Zero(t, i)
	}()
	within(t, "the first one starts", all[0].started)
	all[0].end <- nil
	within(t, "First returns", done)
	require.False(t, isStarted(all[1]))
}

// A loser that succeeds all the same leaves a connection behind that nobody would close.
func TestFirstDropsWhatALoserOpened(t *testing.T) {
	second := make(chan struct{})
	var dropped []int
	value, i, err := First(context.Background(), 2, time.Millisecond, func(ctx context.Context, i int) (int, error) {
		if i == 0 {
			<-second
			<-ctx.Done() // the other one has won
			return 100, nil
		}
		close(second)
		return 200, nil
	}, func(v int) { dropped = append(dropped, v) })
	require.NoError(t, err)
	require.Equal(t, []int{200, 1}, []int{value, i})
	require.Equal(t, []int{100}, dropped)
}

// A close must not wait for a race, and the race must not continue after it.
func TestFirstEndsWithItsContext(t *testing.T) {
	all := runners(3)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-all[0].started
		cancel()
	}()
	_, i, err := First(ctx, 3, never, func(ctx context.Context, i int) (int, error) { return 0, all[i].dial(ctx) }, func(int) {})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, -1, i)
	require.False(t, isStarted(all[1]), "a dial began after the context had ended")
}

// The error must tell each cause, but a name may have hundreds of addresses.
func TestFirstTellsWhyAllFailed(t *testing.T) {
	fail := func(_ context.Context, i int) (int, error) { return 0, fmt.Errorf("cause %d", i) }
	for n, want := range map[int]string{
		0: "there is nothing to dial", 1: "cause 0", 2: "cause 0; cause 1", 4: "cause 0; cause 1; cause 2; cause 3",
		9: "cause 0; cause 1; cause 2; cause 3; and 5 more like these",
	} {
		_, _, err := First(context.Background(), n, never, fail, func(int) {})
		require.EqualError(t, err, want)
	}
}

// A panic on a goroutine that nobody guards would end the host's process.
func TestPanicOfADialComesOutOfFirst(t *testing.T) {
	dropped := new(atomic.Int32)
	require.PanicsWithValue(t, "boom", func() {
		defer func() {
			r := recover()
			require.Contains(t, r, "race_test.go", "where it happened")
			panic(r.(string)[:4])
		}()
		_, _, _ = First(context.Background(), 2, time.Millisecond, func(ctx context.Context, i int) (int, error) {
			if i == 0 {
				<-ctx.Done()
				panic("boom")
			}
			return 0, nil
		}, func(int) { dropped.Add(1) })
	})
	require.Equal(t, int32(1), dropped.Load(), "what the winner opened")
}
