package oteldataproxy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	oteldataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core/otel"
)

// Each message had a span of its own, which costs a fast sender more than the rest of tracing. Where batches alone have spans, each request
// must still be found from its batch, and the consumer must continue the request's trace.
func TestABatchLeadsToTheRequestsOfItsMessages(t *testing.T) {
	c := start(t, always, []oteldataproxy.Option{oteldataproxy.WithSpans(oteldataproxy.OfBatches)}, dataproxy.WithMessageFormat(dataproxy.Binary),
		dataproxy.WithBatchingMaxMessages(4), dataproxy.WithBatchingMaxPublishDelay(5*time.Second))
	first, requestOne := c.tracer.Start(patient(t), "request one")
	second, requestTwo := c.tracer.Start(patient(t), "request two")
	plain := make(chan error, 1)
	c.SendAsync(unsampled(patient(t)), message("not sampled"), func(_ dataproxy.Message, err error) { plain <- err })
	done := make(chan error, 4)
	for payload, ctx := range map[string]context.Context{"1a": first, "1b": first, "2a": second, "2b": second} {
		c.SendAsync(ctx, message(payload), func(_ dataproxy.Message, err error) { done <- err })
	}
	for range 4 {
		require.NoError(t, <-done)
	}
	require.NoError(t, c.Flush(patient(t)))
	require.NoError(t, <-plain)
	spans := c.ended("")
	require.Len(t, spans, 1, "messages have none, nor has a batch without traced ones")
	span := spans[0]
	require.Equal(t, "send test_group/s", span.Name())
	require.Equal(t, trace.SpanKindClient, span.SpanKind())
	require.EqualValues(t, 4, attributesOf(span)["messaging.batch.message_count"])
	requests := map[trace.SpanID]bool{requestOne.SpanContext().SpanID(): true, requestTwo.SpanContext().SpanID(): true}
	require.True(t, requests[span.Parent().SpanID()])
	delete(requests, span.Parent().SpanID())
	for _, link := range span.Links() {
		delete(requests, link.SpanContext.SpanID())
	}
	require.Empty(t, requests)
	arrived := c.arrived(t)
	for payload, request := range map[string]trace.Span{"1a": requestOne, "1b": requestOne, "2a": requestTwo, "2b": requestTwo} {
		got := trace.SpanContextFromContext(oteldataproxy.Extract(context.Background(), nil, arrived[payload]))
		require.Equal(t, request.SpanContext().SpanID(), got.SpanID())
	}
	require.Empty(t, arrived["not sampled"]["traceparent"])
}

// A thousand messages of one request made as many equal links, of which the SDK keeps 128 and drops the others' requests.
func TestMessagesOfOneRequestNeedNoLinks(t *testing.T) {
	c := start(t, always, []oteldataproxy.Option{oteldataproxy.WithSpans(oteldataproxy.OfBatches)}, dataproxy.WithMessageFormat(dataproxy.Binary))
	ctx, request := c.tracer.Start(patient(t), "request")
	require.Nil(t, c.SendBatch(ctx, []dataproxy.Message{message("a"), message("b"), message("c")}))
	require.Len(t, c.ended("send"), 1)
	require.Equal(t, request.SpanContext().SpanID(), c.ended("send")[0].Parent().SpanID())
	require.Empty(t, c.ended("send")[0].Links())
}

// What never was in a batch left no trace at all, and the sender's own span must stay open.
func TestARefusedMessageHasASpanWhereBatchesHaveThem(t *testing.T) {
	c := start(t, always, []oteldataproxy.Option{oteldataproxy.WithSpans(oteldataproxy.OfBatches)}, dataproxy.WithMessageFormat(dataproxy.Binary),
		dataproxy.WithMaxFrameSize(4096))
	ctx, request := c.tracer.Start(patient(t), "request")
	require.Error(t, c.Send(ctx, message(strings.Repeat("x", 5000))))
	c.cluster.Node(0).Standing(dataproxytest.ErrorCode(121))
	require.Error(t, c.Send(ctx, message("x")))
	c.Close()
	require.Error(t, c.Send(ctx, message("x")))
	require.Error(t, c.Send(unsampled(ctx), message("x")))
	spans := c.ended("")
	require.Len(t, spans, 3)
	for i, code := range []string{"10009", "10011", "10003"} {
		require.Equal(t, "send test_group/s", spans[i].Name())
		require.Equal(t, request.SpanContext().SpanID(), spans[i].Parent().SpanID())
		require.Equal(t, codes.Error, spans[i].Status().Code)
		require.Equal(t, code, attributesOf(spans[i])["error.type"])
	}
	require.Equal(t, true, attributesOf(spans[0])["messaging.inlong.context_left_out"])
	require.True(t, request.IsRecording())
}

// A program whose contexts have no spans saw nothing of its batches.
func TestABatchMayBeARoot(t *testing.T) {
	c := start(t, always, []oteldataproxy.Option{oteldataproxy.WithSpans(oteldataproxy.OfBatches), oteldataproxy.WithRoots()})
	require.NoError(t, c.Send(patient(t), message("x")))
	require.Len(t, c.ended("send"), 1)
	require.False(t, c.ended("send")[0].Parent().IsValid())
}
