package dataproxy

import (
	"container/list"
	"context"
	"errors"
	"strconv"
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
	c := &crowd{budget: budget{maxMessages: messages, common: common, shares: make([]share, 1)}}
	for range streams {
		c.streams = append(c.streams, &stream{share: &c.shares[0]})
		c.shares[0].streams.Add(1)
	}
	return c
}

// join puts a caller behind the others of its stream, as wait does.
func (c *crowd) join(st *stream, bytes int64) *budgetWaiter {
	return c.joinFor(context.Background(), st, bytes)
}

func (c *crowd) joinFor(ctx context.Context, st *stream, bytes int64) *budgetWaiter {
	w := &budgetWaiter{bytes: bytes, ready: make(chan struct{}, 1), ended: ctx.Done()}
	c.places = append(c.places, st.line.PushBack(w))
	c.waiting.Add(1)
	st.waiters.Add(1)
	if st.turn == nil {
		st.turn = st.share.line.PushBack(st)
	}
	c.serve(st.share)
	return w
}

// Each caller that gave up, or had its room, walked through all that waited: one context that ended for 20,000 took seconds, and the
// last one came back long behind its deadline.
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
			require.Zero(t, c.line.Len()+c.shares[0].line.Len())
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
	require.Equal(t, []int{1, 1, 0}, []int{len(served.ready), len(waits.ready), len(behind.ready)}, "the room went to who waits")
	require.Equal(t, reason, c.giveUp(st, c.places[len(c.places)-1], reason))
	require.Zero(t, c.waiting.Load()+st.waiters.Load())
}

// So did those whose client was closed.
func TestWhoGivesUpAtACloseTakesAllAlong(t *testing.T) {
	c := newCrowd(1, 1<<20, 1)
	c.stopping = make(chan struct{})
	st := c.streams[0]
	require.Equal(t, noShortage, c.admit(st, 1, 1))
	for range 1000 {
		c.join(st, 1)
	}
	c.stop(errClosed)
	require.Equal(t, errClosed, c.giveUp(st, c.places[500], errClosed))
	require.EqualValues(t, 500, c.waiting.Load(), "those behind it went with it")
	require.Equal(t, errClosed, c.giveUp(st, c.places[0], errClosed))
	require.Zero(t, c.waiting.Load()+st.waiters.Load())
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
	require.Zero(t, len(large.ready)+len(small.ready))
	require.NotEqual(t, noShortage, c.admit(first, 1, 1), "a newcomer stays behind those who wait")
	c.release(first, 0, 20)
	require.Zero(t, len(large.ready)+len(small.ready), "30 are free")
	c.release(first, 0, 20)
	require.Equal(t, []int{1, 1}, []int{len(large.ready), len(small.ready)}, "50 are free")
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
	require.Equal(t, []int{0, 1}, []int{len(w.ready), len(other.ready)}, "the share was full for both, the greedy one came behind")
	c.release(modest, 1, 1)
	require.Equal(t, 1, len(w.ready))
}

// A detail that grew would be counted for less than it is.
func TestDetailIsCountedForWhatItIs(t *testing.T) {
	require.EqualValues(t, unsafe.Sizeof(detail{}), detailSize)
	require.EqualValues(t, unsafe.Sizeof(ofItem{}), 16)
}
