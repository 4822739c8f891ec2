package dataproxy_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// What waits did so in TakeBack, alone of all hooks: a flush there may wait for the message whose sender it holds up.
func TestNothingWaitsInAnyHook(t *testing.T) {
	var client dataproxy.FullClient
	var mu sync.Mutex
	flushed := map[string]error{}
	flush := func(hook string) {
		err := client.Flush(context.Background())
		mu.Lock()
		defer mu.Unlock()
		flushed[hook] = err
	}
	client = connect(t, cluster(t), dataproxy.WithHooks(dataproxy.Hooks{
		Want:     func(context.Context) bool { flush("Want"); return true },
		Sending:  func(context.Context, *dataproxy.Message) any { flush("Sending"); return nil },
		TakeBack: func(any, *dataproxy.Message, *dataproxy.Error) { flush("TakeBack") },
		Accepted: func(any, *dataproxy.Message) { flush("Accepted") },
		Refused:  func(any, *dataproxy.Message, *dataproxy.Error) { flush("Refused") },
		Sealed:   func(dataproxy.BatchInfo) { flush("Sealed") },
		Written:  func(dataproxy.BatchAttempt) { flush("Written") },
		Answered: func(dataproxy.BatchAttempt, dataproxy.AttemptEnd) { flush("Answered") },
		Result:   func(dataproxy.MessageResults) { flush("Result") },
	}))
	require.NoError(t, client.Send(patient(t), message("x")))
	require.Error(t, client.Send(patient(t), message("")))
	client.Close()
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, flushed, 9, "%v", slices.Collect(maps.Keys(flushed)))
	for hook, err := range flushed {
		require.True(t, isCode(err, dataproxy.CodeWorkerBusy), "%s: %v", hook, err)
	}
}
