package connections

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An item has one owner at a time: each attempt that was begun with Dispatch ends with one call of the owner's, whatever becomes of the
// connections. One that ended twice would be sent or acked twice, one that never ended is lost.
func TestEachAttemptEndsOnce(t *testing.T) {
	s, owner := harness(t)
	s.SetNodes(badNodes(t, 3))
	<-s.Start(true)
	const senders, each = 4, 250
	owner.acked.Add(senders * each)
	var seq atomic.Uint64
	for range senders {
		go func() {
			home := &Home[*parcel]{}
			for range each {
				owner.send(&parcel{seq: seq.Add(1), home: home})
			}
		}()
	}
	owner.acked.Wait()
	require.Zero(t, owner.doubly.Load())
	require.Eventually(t, func() bool { return s.Held() == Held{} }, patience, time.Millisecond, "a writer may be about to end")
}
