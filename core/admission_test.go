package dataproxy

import (
	"container/list"
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.uber.org/multierr"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/cputime"
)

// crowd is a budget with streams of one share, and callers that wait in their lines.
type crowd struct {
	budget
	streams []*stream
	places  []*list.Element
}

func newCrowd(messages, common int64, streams int) *crowd {
	c := &crowd{budget: budget{maxMessages: messages, common: common, shares: make([]share, 1), crowded: make(map[*stream]struct{})}}
	for range streams {
		c.streams = append(c.streams, &stream{share: &c.shares[0]})
		c.shares[0].streams.Add(1)
	}
	return c
}

func (c *crowd) join(st *stream, bytes int64) *budgetWaiter {
	return c.joinFor(context.Background(), st, bytes)
}

func (c *crowd) joinFor(ctx context.Context, st *stream, bytes int64) *budgetWaiter {
	w := newWaiter(ctx, bytes)
	c.places = append(c.places, c.budget.join(st, w))
	return w
}

// Each caller that gave up, or had its room, walked through all that waited: one context that ended for 20,000 took seconds, and the
// last one came back long after its deadline.
func TestWaitingForRoomCostsTheSameHoweverManyWait(t *testing.T) {
	const callers = 100_000
	for _, what := range []string{"give up", "are served"} {
		t.Run(what, func(t *testing.T) {
			c := newCrowd(10, 1<<20, 3)
			for i := range 10 {
				require.Equal(t, noShortage, c.admit(c.streams[i%3], 1, 1))
			}
			start := cputime.Total()
			for i := range callers {
				c.join(c.streams[i%3], 1)
			}
			for i, place := range c.places {
				if st := c.streams[i%3]; what == "give up" {
					require.Equal(t, ErrClosed, c.giveUp(st, place, ErrClosed))
				} else {
					c.release(c.streams[i%3], 1, 1)
				}
			}
			require.Less(t, cputime.Total()-start, 5*time.Second, "half a minute where each looks at all")
			require.Zero(t, c.waiting.Load())
			m, n := c.pending()
			require.Equal(t, []int64{10, 10}, []int64{m, n})
			require.Zero(t, c.line.Len()+c.shares[0].line.Len()+len(c.crowded))
		})
	}
}

// 32,000 callers whose context ended together came back one lock after the other, the last one 160 ms late: who gives up takes those
// behind it along, and none of them locks again. One that may still wait, or has its room, is not taken.
func TestWhoGivesUpTakesThoseAlongWhoseContextHasEnded(t *testing.T) {
	c := newCrowd(1, 1<<20, 1)
	st := c.streams[0]
	require.Equal(t, noShortage, c.admit(st, 1, 1))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	other, cancelOther := context.WithCancel(ctx)
	cancelOther()
	served := c.joinFor(ctx, st, 1)
	c.release(st, 1, 1)
	var together []*budgetWaiter
	for range 1000 {
		together = append(together, c.joinFor(ctx, st, 1), c.joinFor(other, st, 1))
	}
	waits := c.join(st, 1)
	behind := c.joinFor(ctx, st, 1)
	cancel()
	reason := &Error{Code: CodeContextExpired}
	require.Nil(t, c.giveUp(st, c.places[0], reason), "it was served at the same moment")
	require.EqualValues(t, 2002, c.waiting.Load(), "none has left")
	require.Equal(t, reason, c.giveUp(st, c.places[1], reason))
	require.EqualValues(t, 2, c.waiting.Load(), "one gave up, and 1,999 went with it")
	c.mu.Lock() // who was taken along must not need it
	for i := range together[1:] {
		require.Equal(t, reason, c.giveUp(st, c.places[2+i], reason))
	}
	c.mu.Unlock()
	c.release(st, 1, 1)
	require.Equal(t, []int{1, 1, 0}, []int{len(served.woken), len(waits.woken), len(behind.woken)}, "the room went to who waits")
	require.Equal(t, reason, c.giveUp(st, c.places[len(c.places)-1], reason))
	require.Zero(t, c.waiting.Load()+st.waiters.Load())
}

// A close wakes all who wait, wherever: those of a stream that is at its own bound are in no share's line.
func TestCloseEndsEveryWait(t *testing.T) {
	c := newCrowd(80, 1<<20, 2)
	greedy, modest := c.streams[0], c.streams[1]
	for range 70 {
		require.Equal(t, noShortage, c.admit(greedy, 1, 1))
	}
	for range 10 {
		require.Equal(t, noShortage, c.admit(modest, 1, 1))
	}
	var all []*budgetWaiter
	for range 1000 {
		all = append(all, c.join(greedy, 1), c.join(modest, 1))
	}
	c.release(modest, 1, 1)
	require.True(t, all[1].served.Load())
	require.Nil(t, greedy.turn, "it is at its bound")
	c.stop(errClosed)
	for i, w := range all {
		require.Len(t, w.woken, 1)
		if i != 1 {
			require.Equal(t, errClosed, c.giveUp(c.streams[i%2], c.places[i], errClosed))
		}
	}
	require.Nil(t, c.giveUp(modest, c.places[1], errClosed), "it has its room")
	require.Equal(t, errClosed, c.wait(context.Background(), 1, modest, time.Hour, true), "who comes later does not wait")
	require.Zero(t, c.waiting.Load()+greedy.waiters.Load()+modest.waiters.Load())
	require.Zero(t, c.line.Len()+c.shares[0].line.Len()+len(c.crowded))
}

// What each of many callers costs that come back together decides how late the last one is.
func BenchmarkCallersWhoseContextEndsTogether(b *testing.B) {
	const callers = 32_000
	c := newCrowd(1, 1<<20, 1)
	st := c.streams[0]
	require.Equal(b, noShortage, c.admit(st, 1, 1))
	least := time.Hour
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		var ends sync.WaitGroup
		for range callers {
			ends.Go(func() { _ = c.wait(ctx, 1, st, time.Hour, true) })
		}
		for c.waiting.Load() < callers {
			time.Sleep(time.Millisecond)
		}
		before := cputime.Total()
		cancel()
		ends.Wait()
		least = min(least, cputime.Total()-before)
	}
	b.ReportMetric(float64(least.Nanoseconds())/callers, "cpu-ns/caller")
}

// The error of a wait asks the context why it ended when it is asked itself: each of thousands would wait for the context's lock.
func TestErrorOfAContextTellsWhyItEnded(t *testing.T) {
	why := errors.New("the user left")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	err := &Error{Code: CodeContextExpired, cause: whyEnded{ctx}}
	require.ErrorIs(t, err, why)
	require.Contains(t, err.Error(), "the user left")
	require.Equal(t, why, errors.Unwrap(err))
	outage := errors.New("no node takes messages")
	err = &Error{Code: CodeContextExpired, cause: multierr.Append(whyEnded{ctx}, outage)}
	require.ErrorIs(t, err, why)
	require.ErrorIs(t, err, outage)
	ctx, stop := context.WithTimeout(context.Background(), 0)
	defer stop()
	require.ErrorIs(t, &Error{Code: CodeContextExpired, cause: whyEnded{ctx}}, context.DeadlineExceeded)
}

// reused is the context of a library that uses it for the next request: it had ended, and has not any more.
type reused struct{ context.Context }

func (reused) Err() error { return nil }

// The text of an error, asked for after its context was used again, ended the program.
func TestErrorOfAContextThatIsUsedAgainHasAText(t *testing.T) {
	err := &Error{Code: CodeContextExpired, cause: multierr.Append(whyEnded{reused{context.Background()}}, errors.New("no node takes messages"))}
	require.Contains(t, err.Error(), "no node takes messages")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, &Error{Code: CodeContextExpired, cause: whyEnded{reused{context.Background()}}}, context.Canceled)
}

// While somebody waited, 100,000 streams were looked at each 10 ms, which took a whole processor.
func TestReliefOfManyStreamsPausesLonger(t *testing.T) {
	s := streams{all: make(map[streamKey]*stream)}
	require.Equal(t, mostWait, s.reliefPause())
	for i := range 100_000 {
		s.all[streamKey{stream: strconv.Itoa(i)}] = nil
	}
	require.Equal(t, 11*mostWait, s.reliefPause())
}

// Those who wait are served in turn, stream by stream; one that waits for more than there is holds up anyone who wants the same.
func TestRoomGoesToThoseWhoWaitInTurn(t *testing.T) {
	c := newCrowd(100, 100, 2)
	first, second := c.streams[0], c.streams[1]
	require.Equal(t, noShortage, c.admit(first, 1, 50))
	require.Equal(t, noShortage, c.admit(second, 1, 40))
	large, small := c.join(second, 45), c.join(first, 5)
	require.Zero(t, len(large.woken)+len(small.woken))
	require.NotEqual(t, noShortage, c.admit(first, 1, 1), "a newcomer stays behind those who wait")
	c.release(first, 0, 20)
	require.Zero(t, len(large.woken)+len(small.woken), "30 are free")
	c.release(first, 0, 20)
	require.Equal(t, []int{1, 1}, []int{len(large.woken), len(small.woken)}, "50 are free")
	require.Zero(t, c.waiting.Load())
	require.Zero(t, c.queued.Load()+c.shares[0].queued.Load())
}

// A stream at its bound waits for itself alone.
func TestStreamAtItsBoundHoldsUpNoOther(t *testing.T) {
	c := newCrowd(80, 1<<20, 2)
	greedy, modest := c.streams[0], c.streams[1]
	for range 70 {
		require.Equal(t, noShortage, c.admit(greedy, 1, 1))
	}
	w := c.join(greedy, 1)
	for range 10 {
		require.Equal(t, noShortage, c.admit(modest, 1, 1))
	}
	require.NotEqual(t, noShortage, c.admit(modest, 1, 1), "the share is full")
	other := c.join(modest, 1)
	c.release(greedy, 1, 1)
	require.Equal(t, []int{0, 1}, []int{len(w.woken), len(other.woken)}, "the share was full for both, the greedy one came after it")
	c.release(modest, 1, 1)
	require.Equal(t, 1, len(w.woken))
}

// A detail that grew would be counted for less than it is.
func TestDetailIsCountedForWhatItIs(t *testing.T) {
	require.EqualValues(t, unsafe.Sizeof(detail{}), detailSize)
	require.EqualValues(t, unsafe.Sizeof(ofItem{}), 16)
}
