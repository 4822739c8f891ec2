package dataproxy

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// modelLink acks what it is given, one after the other at its rate and a round trip later.
type modelLink struct {
	w    *bulkWindow
	rate float64 // bytes a second
	trip time.Duration
	free time.Time // when it has sent all that it was given

	acked  atomic.Int64
	oldest atomic.Int64 // ns from acceptance to the ack, at most
}

func (l *modelLink) send(bytes int64) {
	l.w.charge(bytes)
	accepted := time.Now()
	if l.free.Before(accepted) {
		l.free = accepted
	}
	l.free = l.free.Add(time.Duration(float64(bytes) / l.rate * float64(time.Second)))
	time.AfterFunc(time.Until(l.free)+l.trip, func() {
		l.acked.Add(bytes)
		l.oldest.Store(max(l.oldest.Load(), int64(time.Since(accepted)))) // no two of these run at the same moment
		l.w.ack(bytes, func() time.Duration { return l.trip })
	})
}

// drive lets a sender that always has more send over l for d, in messages of one size.
func (l *modelLink) drive(d time.Duration, bytes int64) (acked int64) {
	before := l.acked.Load()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for l.w.hasRoom() {
			l.send(bytes)
		}
	}
	return l.acked.Load() - before
}

func newModelLink(rate float64, trip time.Duration) *modelLink {
	l := &modelLink{w: new(bulkWindow), rate: rate, trip: trip}
	l.w.init(&Options{SendTimeout: 30 * time.Second, AckTimeout: 10 * time.Second})
	return l
}

const batchBytes = 50 * kib

// A window that does not open would make a fast network slow, and the more so the farther the nodes are.
func TestBulkWindowFillsAnyLink(t *testing.T) {
	for _, trip := range []time.Duration{100 * time.Microsecond, 20 * time.Millisecond, 300 * time.Millisecond, time.Second} {
		for _, rate := range []float64{64 * kib, mib, 20 * mib, 200 * mib} {
			synctest.Test(t, func(t *testing.T) {
				l := newModelLink(rate, trip)
				l.drive(20*time.Second, batchBytes)
				acked := l.drive(10*time.Second, batchBytes)
				require.Greater(t, float64(acked), 0.9*10*rate-batchBytes, "round trip %v", trip)
				time.Sleep(time.Minute)
				require.Zero(t, l.w.inFlight.Load())
			})
		}
	}
}

// What is in flight when a fast link becomes a slow one has to arrive at the slow one's rate before its deadline; and so has all that
// is accepted after it.
func TestBulkWindowHoldsWhatASlowerLinkCanStillAck(t *testing.T) {
	for _, fast := range []float64{mib, 20 * mib, 200 * mib} {
		synctest.Test(t, func(t *testing.T) {
			l := newModelLink(fast, time.Millisecond)
			l.drive(30*time.Second, batchBytes)
			l.rate = mib
			l.drive(60*time.Second, batchBytes)
			time.Sleep(time.Minute)
			require.Less(t, time.Duration(l.oldest.Load()), 25*time.Second, "from %v bytes a second to %v", fast, l.rate)
		})
	}
}

// A link that is slower than the first guess must be found out before what is in flight runs into its deadline.
func TestBulkWindowShrinksToASlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newModelLink(64*kib, 50*time.Millisecond)
		l.drive(5*time.Minute, batchBytes)
		time.Sleep(time.Minute)
		require.Less(t, time.Duration(l.oldest.Load()), 25*time.Second)
		require.LessOrEqual(t, l.w.size.Load(), int64(6*64*kib))
	})
}

// A sender that brings little says nothing of the link: what it brings at once later must not be held up by it.
func TestBulkWindowDoesNotShrinkBehindASenderThatBringsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newModelLink(20*mib, 10*time.Millisecond)
		l.drive(5*time.Second, batchBytes)
		before := l.w.size.Load()
		for range 10_000 {
			l.send(100)
			time.Sleep(5 * time.Millisecond)
		}
		require.Equal(t, before, l.w.size.Load())
	})
}
