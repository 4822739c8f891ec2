package dataproxy_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// printed stands in for package fmt in the snippets, so that the test sees what they print.
type printed struct {
	mu    sync.Mutex
	lines []string
}

func (p *printed) Println(args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, fmt.Sprintln(args...))
}

// Programs written for the existing Go SDK must keep working with nothing but the import path changed. These are the three
// samples of its manual, line by line.
func TestProgramsForTheExistingSDKCompileAndRun(t *testing.T) {
	t.Parallel() // the third one sleeps
	c := dataproxytest.Start(t, dataproxytest.WithTopics("test/test"))
	url := c.URL() + "/inlong/manager/openapi/dataproxy/getIpList"
	fmt := &printed{}

	client, err := dataproxy.NewClient(
		dataproxy.WithGroupID("test"),
		dataproxy.WithURL(url),
		dataproxy.WithMetricsName("test"),
	)

	if err != nil {
		fmt.Println(err)
		return
	}

	for i := 0; i < 1000; i++ {
		err := client.Send(context.Background(), dataproxy.Message{
			GroupID:  "test",
			StreamID: "test",
			Payload:  []byte("test|a|b|c"),
		})
		if err != nil {
			fmt.Println(err)
		}
	}

	require.Empty(t, fmt.lines)
	require.Equal(t, 1000, c.Count())

	var success atomic.Uint64
	var failed atomic.Uint64
	for i := 0; i < 1000; i++ {
		client.SendAsync(context.Background(),
			dataproxy.Message{
				GroupID:  "test",
				StreamID: "test",
				Payload:  []byte("test|a|b|c"),
			},
			func(msg dataproxy.Message, err error) {
				if err != nil {
					success.Add(1)
				} else {
					failed.Add(1)
				}
			})
	}

	// wait async send finish
	time.Sleep(3 * time.Second)
	fmt.Println("success:", success.Load())
	fmt.Println("failed:", failed.Load())

	client.Close()

	// The manual counts the wrong way round.
	require.Equal(t, []string{"success: 0\n", "failed: 1000\n"}, fmt.lines)
	require.Equal(t, 2000, c.Count())
}
