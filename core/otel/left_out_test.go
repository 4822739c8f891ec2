package oteldataproxy_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	oteldataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core/otel"
)

// leftOut is how many contexts were counted as left out.
func leftOut(t *testing.T, reader metric.Reader) (n int64) {
	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(context.Background(), &got))
	for _, scope := range got.ScopeMetrics {
		for _, m := range scope.Metrics {
			if data, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "messaging.inlong.contexts_left_out" {
				for _, p := range data.DataPoints {
					n += p.Value
				}
			}
		}
	}
	return n
}

// A message that just fits into a frame was refused as too long for being traced.
func TestAMessageThatJustFitsIsAcceptedWhenItIsTraced(t *testing.T) {
	for name, test := range map[string]struct {
		carrier oteldataproxy.Carrier
		format  dataproxy.MessageFormat
	}{
		"items":   {oteldataproxy.ItemAttributes, dataproxy.Binary},
		"batches": {oteldataproxy.BatchAttributes, dataproxy.Text},
	} {
		t.Run(name, func(t *testing.T) {
			reader := metric.NewManualReader()
			c := start(t, always, []oteldataproxy.Option{oteldataproxy.WithCarrier(test.carrier),
				oteldataproxy.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))},
				dataproxy.WithMessageFormat(test.format), dataproxy.WithMaxFrameSize(4096))
			longest := 4096
			for c.Send(patient(t), message(strings.Repeat("x", longest))) != nil {
				longest--
			}
			refused := c.Stats().Refused
			ctx, _ := c.tracer.Start(patient(t), "request")
			for _, less := range []int{0, 1, 20, 1000} {
				require.NoError(t, c.Send(ctx, message(strings.Repeat("x", longest-less))), "%d bytes of %d", longest-less, longest)
			}
			require.EqualValues(t, 3, leftOut(t, reader))
			spans := c.ended("send")
			require.Len(t, spans, 4)
			require.Equal(t, true, attributesOf(spans[0])["messaging.inlong.context_left_out"])
			require.NotContains(t, attributesOf(spans[3]), "messaging.inlong.context_left_out")
			require.Error(t, c.Send(ctx, message(strings.Repeat("x", longest+1))))
			require.EqualValues(t, refused+1, c.Stats().Refused)
		})
	}
}

// The newline that is trimmed counted: a message that fits with its context went without.
func TestATrimmedNewlineTakesNoRoomFromAContext(t *testing.T) {
	reader := metric.NewManualReader()
	c := start(t, always, []oteldataproxy.Option{oteldataproxy.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))},
		dataproxy.WithMessageFormat(dataproxy.Binary), dataproxy.WithMaxFrameSize(4096), dataproxy.WithTrimTrailingNewline(true))
	ctx, _ := c.tracer.Start(patient(t), "request")
	longest := 3000 // with its context
	for leftOut(t, reader) == 0 {
		longest++
		require.NoError(t, c.Send(ctx, message(strings.Repeat("x", longest))))
	}
	longest--
	require.NoError(t, c.Send(ctx, message(strings.Repeat("x", longest)+"\n")))
	require.EqualValues(t, 1, leftOut(t, reader))
}

// fields is a propagator that writes what attributes cannot have.
type fields map[string]string

func (f fields) Inject(_ context.Context, c propagation.TextMapCarrier) {
	for name, value := range f {
		c.Set(name, value)
	}
}
func (f fields) Extract(ctx context.Context, _ propagation.TextMapCarrier) context.Context {
	return ctx
}
func (f fields) Fields() []string { return nil }

// A propagator whose field has a name that no attribute can have made each traced message one that is refused. One whose baggage is too
// long took the trace with it.
func TestAFieldThatNoAttributeCanBeIsLeftOut(t *testing.T) {
	for name, wrong := range map[string]fields{
		"reserved": {"mid": "x"}, "not ASCII": {"tracé": "x"}, "a mark": {"a&b": "x", "c=d": "x"}, "none": {"": "x"}, "blanks": {" a ": "x"},
		"long": {"long": strings.Repeat("x", 5000)}, "of the whole batch": {"__addcol1__x": "x"}, "of the audit": {"auditVersion": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			reader := metric.NewManualReader()
			c := start(t, always, []oteldataproxy.Option{
				oteldataproxy.WithPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, wrong)),
				oteldataproxy.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))}, dataproxy.WithMessageFormat(dataproxy.Binary))
			ctx, _ := c.tracer.Start(patient(t), "request")
			msg := message("x")
			msg.ItemAttributes = map[string]string{"k": "v"}
			require.NoError(t, c.Send(ctx, msg))
			require.EqualValues(t, 1, leftOut(t, reader))
			got := c.arrived(t)["x"]
			require.Equal(t, "v", got["k"])
			if name != "of the whole batch" && name != "of the audit" {
				require.Contains(t, got, "traceparent", "the rest of the context")
			}
			for field := range wrong {
				require.NotContains(t, got, field)
			}
		})
	}
}
