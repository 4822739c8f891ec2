package dataproxy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// With a send timeout below the ack time-out a silent connection used to outlive its messages: they failed without a second try.
func TestAckTimeoutUnlessSetLeavesTimeForAnotherAttempt(t *testing.T) {
	for name, given := range map[string]struct {
		opts []dataproxy.Option
		want time.Duration
	}{
		"default":                {nil, 10 * time.Second},
		"short send timeout":     {[]dataproxy.Option{dataproxy.WithSendTimeout(3 * time.Second)}, time.Second},
		"very short":             {[]dataproxy.Option{dataproxy.WithSendTimeout(time.Millisecond)}, 10 * time.Millisecond},
		"set":                    {[]dataproxy.Option{dataproxy.WithSendTimeout(3 * time.Second), dataproxy.WithAckTimeout(7 * time.Second)}, 7 * time.Second},
		"longer than an attempt": {[]dataproxy.Option{dataproxy.WithSendTimeout(time.Minute)}, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			o := dataproxy.Options{GroupID: "test_group", URL: "http://manager:8083"}
			for _, opt := range given.opts {
				opt(&o)
			}
			require.NoError(t, o.ValidateAndSetDefault())
			require.Equal(t, given.want, o.AckTimeout)
		})
	}
}
