package dataproxy

import (
	"sync"
	"testing"
)

// A caller that gave up has its entry among the receivers written on its own goroutine. That of the batch's result, which counts those
// that nobody hears of, read the entry at the same time.
func TestUnheardIsCountedBesideACallerThatGivesUp(t *testing.T) {
	b := &batch{
		ends: []uint32{5, 10}, receivers: []receiver{&waiter{done: make(chan *Error, 1)}, nobody{}},
		details: []detail{{settled: true}, {}},
	}
	var both sync.WaitGroup
	both.Go(func() { (&completion{b: b, err: ErrContextExpired, indexes: []int32{0}}).answerCallers() })
	both.Go(func() {
		if n := (&completion{b: b, err: ErrServerError}).unheard(); n != 1 {
			t.Errorf("%d messages are unheard of, want the one without a callback", n)
		}
	})
	both.Wait()
}
