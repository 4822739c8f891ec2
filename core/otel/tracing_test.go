package oteldataproxy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/inlongmsg"
	oteldataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core/otel"
)

// traced is a client whose spans are kept.
type traced struct {
	dataproxy.FullClient
	cluster *dataproxytest.Cluster
	spans   *tracetest.SpanRecorder
	tracer  trace.Tracer
}

func start(t *testing.T, sampler sdktrace.Sampler, with []oteldataproxy.Option, opts ...dataproxy.Option) *traced {
	t.Helper()
	c := &traced{cluster: dataproxytest.Start(t, dataproxytest.WithNodes(1)), spans: tracetest.NewSpanRecorder()}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(c.spans))
	c.tracer = provider.Tracer("test")
	with = append([]oteldataproxy.Option{oteldataproxy.WithTracerProvider(provider)}, with...)
	client, err := dataproxy.NewClient(append([]dataproxy.Option{dataproxy.WithURL(c.cluster.URL()), dataproxy.WithGroupID("test_group"),
		dataproxy.WithLogger(dataproxy.NopLogger()), oteldataproxy.WithTracing(with...)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	c.FullClient = client
	return c
}

var always = sdktrace.ParentBased(sdktrace.AlwaysSample())

// ended returns the spans of that name, or beginning.
func (c *traced) ended(name string) (spans []sdktrace.ReadOnlySpan) {
	for _, s := range c.spans.Ended() {
		if strings.HasPrefix(s.Name(), name) {
			spans = append(spans, s)
		}
	}
	return spans
}

func attributesOf(s sdktrace.ReadOnlySpan) map[attribute.Key]any {
	all := map[attribute.Key]any{}
	for _, a := range s.Attributes() {
		all[a.Key] = a.Value.AsInterface()
	}
	return all
}

func message(payload string) dataproxy.Message {
	return dataproxy.Message{StreamID: "s", Payload: []byte(payload)}
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// unsampled returns a context as that of a request which the sampler did not choose.
func unsampled(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}}))
}

// A trace that ends at the send call tells nothing of what became of its message.
func TestASampledMessageIsTracedToItsResult(t *testing.T) {
	c := start(t, always, []oteldataproxy.Option{oteldataproxy.WithSpans(oteldataproxy.OfBoth)}, dataproxy.WithMessageFormat(dataproxy.Binary))
	first, requestOne := c.tracer.Start(patient(t), "request one")
	second, requestTwo := c.tracer.Start(patient(t), "request two")
	done := make(chan error, 3)
	for _, ctx := range []context.Context{first, second, first} {
		c.SendAsync(ctx, message("seven b"), func(_ dataproxy.Message, err error) { done <- err })
	}
	require.NoError(t, c.Flush(patient(t)))
	for range 3 {
		require.NoError(t, <-done)
	}
	creates, sends := c.ended("create test_group/s"), c.ended("send test_group/s")
	require.Len(t, creates, 3)
	parents := map[trace.SpanID]int{}
	for _, s := range creates {
		parents[s.Parent().SpanID()]++
		require.Equal(t, trace.SpanKindProducer, s.SpanKind())
		require.Equal(t, codes.Unset, s.Status().Code)
		a := attributesOf(s)
		require.Equal(t, c.cluster.Node(0).Addr(), fmt.Sprint(a["server.address"], ":", a["server.port"]))
		for key, want := range map[attribute.Key]any{"messaging.system": "inlong", "messaging.operation.name": "create",
			"messaging.operation.type": "create", "messaging.destination.name": "test_group/s", "messaging.message.body.size": int64(7),
			"messaging.inlong.attempts": int64(1)} {
			require.Equal(t, want, a[key], key)
		}
	}
	require.Equal(t, map[trace.SpanID]int{requestOne.SpanContext().SpanID(): 2, requestTwo.SpanContext().SpanID(): 1}, parents)

	linked := map[trace.SpanID]bool{}
	messages := int64(0)
	for _, s := range sends { // one, unless the linger was over between two messages
		require.Equal(t, trace.SpanKindClient, s.SpanKind())
		linked[s.Parent().SpanID()] = true
		for _, l := range s.Links() {
			linked[l.SpanContext.SpanID()] = true
		}
		a := attributesOf(s)
		messages += a["messaging.batch.message_count"].(int64)
		require.Equal(t, c.cluster.Node(0).Addr(), fmt.Sprint(a["server.address"], ":", a["server.port"]))
		require.Equal(t, int64(1), a["messaging.inlong.attempts"])
		require.NotEmpty(t, a["messaging.inlong.batch_id"])
		require.False(t, s.EndTime().Before(s.StartTime()))
	}
	require.EqualValues(t, 3, messages)
	for _, s := range creates {
		require.True(t, linked[s.SpanContext().SpanID()], "each message leads to its batch")
	}
}

// A failure without its code, or a refusal whose span never ends, is what nobody finds.
func TestFailuresAndRefusalsAreErrors(t *testing.T) {
	c := start(t, always, nil)
	ctx, _ := c.tracer.Start(patient(t), "request")
	require.Error(t, c.Send(ctx, message("")))
	for _, s := range c.ended("") {
		require.Equal(t, codes.Error, s.Status().Code)
		require.Equal(t, "10010", attributesOf(s)["error.type"])
	}
	require.Len(t, c.spans.Ended(), 1)
	c.cluster.Node(0).Standing(dataproxytest.ErrorCode(121))
	require.Error(t, c.Send(ctx, message("x")))
	require.Len(t, c.spans.Ended(), 2)
	for _, s := range c.spans.Ended()[1:] {
		require.Equal(t, codes.Error, s.Status().Code)
		require.Equal(t, "10011", attributesOf(s)["error.type"])
		require.Contains(t, s.Status().Description, "121")
	}
}

// Each has its span from the sampler, and none from another one's.
func TestTheSamplerIsAskedForWhatHasNoParent(t *testing.T) {
	c := start(t, always, []oteldataproxy.Option{oteldataproxy.WithRoots()})
	require.NoError(t, c.Send(patient(t), message("a root")))
	require.NoError(t, c.Send(unsampled(patient(t)), message("not sampled")))
	require.Len(t, c.ended("send"), 1)
	require.False(t, c.ended("send")[0].Parent().IsValid())

	c = start(t, always, nil)
	require.NoError(t, c.Send(patient(t), message("no span in its context")))
	require.NoError(t, c.Send(unsampled(patient(t)), message("not sampled")))
	require.Empty(t, c.spans.Ended())

	c = start(t, sdktrace.NeverSample(), []oteldataproxy.Option{oteldataproxy.WithRoots(), oteldataproxy.WithSpans(oteldataproxy.OfBoth)})
	ctx := trace.ContextWithSpanContext(patient(t), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1},
		TraceFlags: trace.FlagsSampled}))
	require.NoError(t, c.Send(ctx, message("the sampler does not want it")))
	require.NoError(t, c.Send(patient(t), message("nor this one")))
	require.Empty(t, c.spans.Ended())

	c = start(t, always, []oteldataproxy.Option{oteldataproxy.WithSpans(oteldataproxy.OfBoth)})
	require.NoError(t, c.Send(patient(t), message("x")))
	require.Empty(t, c.spans.Ended())
}

// arrived returns the attributes of each message that arrived, as a consumer gets them.
func (c *traced) arrived(t *testing.T) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for _, r := range c.cluster.Received() {
		require.True(t, r.Whole)
		for i, item := range r.Items {
			all[string(item)] = r.Attr
			if r.ItemAttrs != nil {
				all[string(item)] = inlongmsg.Attributes(r.ItemAttrs[i])
			}
		}
	}
	return all
}

// The consumer's spans must be children of the message's, whatever the trace's state has in it; and no message may be refused or changed
// otherwise for being traced.
func TestTheSpansContextArrives(t *testing.T) {
	for name, test := range map[string]struct {
		with   []oteldataproxy.Option
		format dataproxy.MessageFormat
		there  bool
	}{
		"items":            {nil, dataproxy.Binary, true},
		"items, in text":   {nil, dataproxy.Text, false},
		"batches, in text": {[]oteldataproxy.Option{oteldataproxy.WithCarrier(oteldataproxy.BatchAttributes)}, dataproxy.Text, true},
		"nothing":          {[]oteldataproxy.Option{oteldataproxy.WithCarrier(oteldataproxy.Nothing)}, dataproxy.Binary, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, always, test.with, dataproxy.WithMessageFormat(test.format))
			state, err := trace.ParseTraceState("vendor=a b&50%,other=1")
			require.NoError(t, err)
			ctx := trace.ContextWithSpanContext(patient(t), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{7}, SpanID: trace.SpanID{8},
				TraceFlags: trace.FlagsSampled, TraceState: state}))
			msg := message("x")
			require.NoError(t, c.Send(ctx, msg))
			require.Nil(t, msg.ItemAttributes)
			got := trace.SpanContextFromContext(oteldataproxy.Extract(context.Background(), nil, c.arrived(t)["x"]))
			require.Equal(t, test.there, got.IsValid())
			if test.there {
				require.Equal(t, c.ended("send")[0].SpanContext().SpanID(), got.SpanID())
				require.Equal(t, trace.TraceID{7}, got.TraceID())
				require.True(t, got.IsSampled())
				require.Equal(t, state.String(), got.TraceState().String())
			}
		})
	}
}

// An attribute that the program has set itself, one of the whole batch, and many of them: each would be a message that is refused.
func TestNoMessageIsRefusedForBeingTraced(t *testing.T) {
	c := start(t, always, []oteldataproxy.Option{oteldataproxy.WithPropagator(propagation.TraceContext{})}, dataproxy.WithMessageFormat(dataproxy.Binary),
		dataproxy.WithAddColumns(map[string]string{"tracestate": "x"}))
	ctx, _ := c.tracer.Start(patient(t), "request")
	mine := map[string]string{"traceparent": "mine"}
	for payload, msg := range map[string]dataproxy.Message{
		"own":   {ItemAttributes: mine},
		"batch": {Attributes: mine},
		"many":  {ItemAttributes: map[string]string{"k": strings.Repeat("v", 4080)}},
		"some":  {ItemAttributes: map[string]string{"k": "v"}},
	} {
		msg.StreamID, msg.Payload = "s", []byte(payload)
		require.NoError(t, c.Send(ctx, msg), payload)
	}
	got := c.arrived(t)
	require.Equal(t, mine, got["own"])
	require.Len(t, got["many"], 1)
	require.Len(t, got["some"], 2)
	require.Equal(t, map[string]string{"traceparent": "mine"}, mine)
	require.Equal(t, "mine", got["batch"]["traceparent"])
}

// A result that is not counted makes a rate of failures that nobody can trust.
func TestResultsAreCounted(t *testing.T) {
	reader := metric.NewManualReader()
	c := start(t, always, []oteldataproxy.Option{oteldataproxy.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))})
	for range 3 {
		require.NoError(t, c.Send(patient(t), message("x")))
	}
	c.cluster.Node(0).Standing(dataproxytest.ErrorCode(121))
	require.Error(t, c.Send(patient(t), message("x")))
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(context.Background(), &got))
	sent, took := map[string]int64{}, map[string]uint64{}
	for _, m := range got.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			require.Equal(t, "messaging.client.sent.messages", m.Name)
			for _, p := range data.DataPoints {
				failure, _ := p.Attributes.Value("error.type")
				sent[failure.String()] += p.Value
			}
		case metricdata.Histogram[float64]:
			require.Equal(t, "messaging.client.operation.duration", m.Name)
			for _, p := range data.DataPoints {
				failure, _ := p.Attributes.Value("error.type")
				took[failure.String()] += p.Count
			}
		}
	}
	require.Equal(t, int64(1), sent["10011"])
	require.Equal(t, uint64(1), took["10011"])
	require.Len(t, sent, 2)
	for failure, n := range sent {
		if failure != "10011" {
			require.Equal(t, int64(3), n)
			require.Equal(t, uint64(3), took[failure])
		}
	}
}
