package dataproxy

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A timer that is late may start a goroutine while a close waits for those of its kind: with a sync.WaitGroup that is a data
// race, and the wait may miss it.
func TestGoroutinesMayStartWhileTheirEndIsWaitedFor(t *testing.T) {
	var r running
	require.True(t, r.wait(t.Context(), time.Hour))
	for range 1000 {
		var all sync.WaitGroup
		all.Go(func() { r.Add(1); r.Done() })
		all.Go(func() { require.True(t, r.wait(t.Context(), time.Hour)) })
		all.Go(func() { r.Add(1); r.Done() })
		all.Wait()
	}
	r.Add(2)
	first, second := r.none(), r.none()
	r.Done()
	require.False(t, r.wait(t.Context(), time.Millisecond))
	select {
	case <-first:
		require.Fail(t, "one still runs")
	default:
	}
	r.Done()
	<-first
	<-second
}
