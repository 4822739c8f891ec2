//go:build unix

package oteldataproxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	oteldataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core/otel"
)

const serveVariable = "INLONG_TEST_SERVE"

// The cluster of a measurement is a process of its own: this one's CPU time is the clients'.
func TestMain(m *testing.M) {
	if os.Getenv(serveVariable) == "" {
		os.Exit(m.Run())
	}
	cluster, err := dataproxytest.NewCluster(dataproxytest.WithoutRecorder(), dataproxytest.WithTrustedBodies())
	if err != nil {
		panic(err)
	}
	fmt.Println(cluster.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// load says how a measured client sends.
type load int

const (
	inRequests load = iota // one of a hundred in a sampled request
	alone                  // without a request
	waiting                // inRequests, whose 32 goroutines wait for the result of each
)

// cpu is what one client uses for so many messages.
func cpu(t *testing.T, url string, messages, size int, load load, opts ...dataproxy.Option) time.Duration {
	client, err := dataproxy.NewClient(append([]dataproxy.Option{dataproxy.WithURL(url), dataproxy.WithGroupID("test_group"),
		dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithMessageFormat(dataproxy.Binary)}, opts...)...)
	require.NoError(t, err)
	defer client.Close()
	contexts := make([]context.Context, 100)
	sampled := make([]context.Context, 100) // each of another request
	for i := range contexts {
		contexts[i] = unsampled(context.Background())
		sampled[i] = trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1},
			SpanID: trace.SpanID{byte(i) + 1}, TraceFlags: trace.FlagsSampled}))
	}
	random := rand.New(rand.NewPCG(1, 2)) // lines that compress as those of a log do
	lines := make([]string, 4096)
	for i := range lines {
		for len(lines[i]) < size {
			lines[i] += fmt.Sprintf("%s=%d ", []string{"user", "latency_ms", "status", "bytes", "shard", "tenant"}[random.IntN(6)], random.IntN(100_000))
		}
	}
	payloads := make([][]byte, len(lines))
	for i, line := range lines {
		payloads[i] = []byte(line[:size])
	}
	var failed atomic.Int64
	note := func(err error) {
		if err != nil {
			failed.Add(1)
		}
	}
	of := func(i int) (context.Context, dataproxy.Message) {
		ctx := contexts[i%100]
		switch {
		case load == alone:
			ctx = context.Background()
		case i%100 == 0:
			ctx = sampled[i/100%100]
		}
		return ctx, dataproxy.Message{StreamID: "s", Payload: payloads[i%len(payloads)]}
	}
	send := func(n int) {
		const callers = 32
		var wg sync.WaitGroup
		if load == waiting {
			for c := range callers {
				wg.Go(func() {
					for i := c; i < n; i += callers {
						ctx, msg := of(i)
						note(client.Send(ctx, msg))
					}
				})
			}
			wg.Wait()
			return
		}
		for i := range n {
			ctx, msg := of(i)
			client.SendAsync(ctx, msg, func(_ dataproxy.Message, err error) { note(err) })
		}
		require.NoError(t, client.Flush(patient(t)))
	}
	send(messages / 10)
	before := used(t)
	send(messages)
	took := used(t) - before
	require.Zero(t, failed.Load())
	return took
}

func used(t *testing.T) time.Duration {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What tracing costs where one message of a hundred is sampled: INLONG_TEST_COST=1 go test -run TestWhatTracingCosts -v. Pairs of runs
// follow each other, since a machine's mood changes over seconds.
func TestWhatTracingCosts(t *testing.T) {
	if os.Getenv("INLONG_TEST_COST") == "" {
		t.Skip("INLONG_TEST_COST is not set: a measurement, which a busy machine spoils")
	}
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), serveVariable+"=1")
	in, err := server.StdinPipe()
	require.NoError(t, err)
	out, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	defer func() { _ = in.Close(); _ = server.Wait() }()
	url, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	url = strings.TrimSpace(url)

	const messages = 400_000
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(discard{}))
	tracer := provider.Tracer("bare") // the least that a span of each sampled message can cost: no attribute, and nothing carried
	bare := dataproxy.Hooks{
		Want:    func(ctx context.Context) bool { return trace.SpanContextFromContext(ctx).IsSampled() },
		Sending: func(ctx context.Context, _ *dataproxy.Message) any { _, span := tracer.Start(ctx, "send"); return span },
		Result: func(r dataproxy.MessageResults) {
			for _, span := range r.Tokens {
				span.(trace.Span).End()
			}
		},
	}
	token := dataproxy.Hooks{Sending: func(context.Context, *dataproxy.Message) any { return nil }}
	traced := func(opts ...oteldataproxy.Option) dataproxy.Option {
		return oteldataproxy.WithTracing(append(opts, oteldataproxy.WithTracerProvider(provider))...)
	}
	for name, option := range map[string]dataproxy.Option{
		"messages, each waited for": traced(),
		"messages":                  traced(),
		"messages of 1 KiB":         traced(),
		"messages, not carried":     traced(oteldataproxy.WithCarrier(oteldataproxy.Nothing)),
		"batches":                   traced(oteldataproxy.WithSpans(oteldataproxy.OfBatches)),
		"batches, not carried":      traced(oteldataproxy.WithSpans(oteldataproxy.OfBatches), oteldataproxy.WithCarrier(oteldataproxy.Nothing)),
		"batches as roots": oteldataproxy.WithTracing(oteldataproxy.WithSpans(oteldataproxy.OfBatches), oteldataproxy.WithRoots(),
			oteldataproxy.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.TraceIDRatioBased(0.01)), sdktrace.WithBatcher(discard{})))),
		"bare spans":             dataproxy.WithHooks(bare),
		"the sampler wants none": oteldataproxy.WithTracing(oteldataproxy.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())))),
		"a Sending hook":         dataproxy.WithHooks(token),
		"none wanted":            dataproxy.WithHooks(dataproxy.Hooks{Want: func(context.Context) bool { return false }, Sending: token.Sending}),
		"by stream":              dataproxy.WithMetricsStreams(10),
		"plain again":            nil,
	} {
		t.Run(name, func(t *testing.T) {
			var ratios []float64
			plain := time.Duration(0)
			for range 9 {
				opts := []dataproxy.Option{option}
				size, load := 100, inRequests
				switch name {
				case "batches as roots":
					load = alone
				case "messages, each waited for":
					load = waiting
				case "messages of 1 KiB":
					size = 1024
				}
				without := cpu(t, url, messages, size, load)
				plain += without / 9
				ratios = append(ratios, cpu(t, url, messages, size, load, opts...).Seconds()/without.Seconds())
			}
			slices.Sort(ratios)
			t.Logf("%-25s %.2f x plain (%.2f to %.2f), which takes %d ns a message", name, ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1], plain.Nanoseconds()/messages)
		})
	}
}

type discard struct{}

func (discard) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (discard) Shutdown(context.Context) error                             { return nil }
