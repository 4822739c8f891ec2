// Package oteldataproxy traces what a client sends, with OpenTelemetry. It is a module of its own: a program that does not import it gets
// nothing of OpenTelemetry.
//
//	client, err := dataproxy.NewClient(..., oteldataproxy.WithTracing())
//
// A message whose context has a sampled span gets a span of its own, "send GROUP/STREAM", a child of that one, from the send call to the
// message's result, with node, attempts and error. The sampler of the TracerProvider is asked for it. A message whose context has no
// sampled span has none: that is one look at its context, and nothing is allocated. [WithSpans] makes spans of batches in place of those of
// messages, or both.
//
// The span's context goes to the consumer with the message, see [Carrier]; [Extract] reads it there.
package oteldataproxy

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

const scope = "github.com/inlong-dataproxy/inlong-dataproxy/core/otel"

// What OpenTelemetry's conventions have no name for.
const (
	attemptsKey = attribute.Key("messaging.inlong.attempts")
	batchIDKey  = attribute.Key("messaging.inlong.batch_id")
	storedKey   = attribute.Key("messaging.inlong.stored")
	leftOutKey  = attribute.Key("messaging.inlong.context_left_out")
)

// Option sets something other than its default.
type Option func(*tracing)

// WithTracerProvider sets who makes the spans. Default, also for nil: otel.GetTracerProvider, when the client is made.
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(t *tracing) { t.tracers = p }
}

// WithMeterProvider counts results in messaging.client.sent.messages, and the time from a batch's opening to its result in
// messaging.client.operation.duration, and contexts that a message had no room for in messaging.inlong.contexts_left_out. Default, also for nil: nothing is counted.
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(t *tracing) { t.meters = p }
}

// WithPropagator sets how a span's context is written. Default, also for nil: propagation.TraceContext, which is W3C's.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return func(t *tracing) {
		if p != nil {
			t.propagator = p
		}
	}
}

// WithCarrier sets what takes a span's context to the consumer. Default: [ItemAttributes].
func WithCarrier(c Carrier) Option { return func(t *tracing) { t.carrier = c } }

// WithRoots asks the sampler for messages, too, whose contexts have no span at all. Its answer costs each of them several times what the
// rest of a send does. Where batches have spans, it is asked for those without a traced message, too. Default: they have none.
func WithRoots() Option { return func(t *tracing) { t.roots = true } }

// Spans says what has a span.
type Spans int

const (
	// OfMessages: each message whose context has a sampled span.
	OfMessages Spans = iota
	// OfBatches: each batch with such messages, from its sealing to its result. Its span "send GROUP/STREAM" is a child of the span in the
	// context of the first of them, with links to those of the others. What goes to the consumer is the span in the message's context.
	// That costs about half as much as spans of messages do with ItemAttributes, which gather the traced messages in few batches; and little
	// less than they do otherwise.
	OfBatches
	// OfBoth: each such message, "create GROUP/STREAM", and each batch with them, as a child of the first one's span, with links to the others'.
	OfBoth
)

// WithSpans sets what has a span. Default: [OfMessages].
func WithSpans(s Spans) Option { return func(t *tracing) { t.spans = s } }

type tracing struct {
	client     *dataproxy.Options // as the client has it: what other options set later is there, too
	tracers    trace.TracerProvider
	meters     metric.MeterProvider
	propagator propagation.TextMapPropagator
	carrier    Carrier
	roots      bool
	spans      Spans

	tracer trace.Tracer
	last   atomic.Pointer[destination]
	figures
}

// WithTracing traces what the client sends. It may stand anywhere among the client's options, beside hooks of the program's own. The
// functions that it adds never block, apart from what the providers do.
func WithTracing(opts ...Option) dataproxy.Option {
	return func(o *dataproxy.Options) {
		t := &tracing{client: o, propagator: propagation.TraceContext{}}
		for _, opt := range opts {
			if opt != nil {
				opt(t)
			}
		}
		if t.tracers == nil {
			t.tracers = otel.GetTracerProvider()
		}
		t.tracer = t.tracers.Tracer(scope, trace.WithInstrumentationVersion(dataproxy.Version), trace.WithSchemaURL(semconv.SchemaURL))
		t.figures.init(t.meters)
		o.Hooks = append(o.Hooks, dataproxy.Hooks{Want: t.wants, Sending: t.sending, TakeBack: t.takeBack, Refused: t.refused, Result: t.result})
	}
}

// noSpan is what a context without a span answers.
var noSpan = trace.SpanFromContext(context.Background())

// wants is asked for each message. Most of its time would go to the copies of a span's context, so it asks a context without a span for none.
func (t *tracing) wants(ctx context.Context) bool {
	asksRoots := t.roots && t.spans != OfBatches
	span := trace.SpanFromContext(ctx)
	if span == noSpan {
		return asksRoots
	}
	parent := span.SpanContext()
	return parent.IsSampled() || asksRoots && !parent.IsValid()
}

func (t *tracing) sending(ctx context.Context, msg *dataproxy.Message) (token any) {
	s := &traced{bytes: len(msg.Payload)}
	if t.spans != OfBatches {
		d := t.to(cmp.Or(msg.GroupID, t.client.GroupID), msg.StreamID)
		if ctx, s.own = t.tracer.Start(ctx, d.message, d.start...); !s.own.IsRecording() {
			return nil
		}
	}
	s.at = trace.SpanContextFromContext(ctx)
	whole := true
	if s.added, whole = t.inject(ctx, msg); !whole {
		t.leaveOut(s, msg)
	}
	return s
}

// traced is a message that is traced.
type traced struct {
	own     trace.Span        // nil where only batches have spans
	at      trace.SpanContext // of own, else of the span in the message's context
	added   carrier           // to its attributes
	bytes   int               // of the payload
	leftOut bool              // of its context, some
}

// end ends the message's own span with a result. It has most of its attributes at once, and only now: each call makes room for more. way has
// room for two.
func (s *traced) end(way []attribute.KeyValue, err *dataproxy.Error) {
	way = append(way, semconv.MessagingMessageBodySize(s.bytes))
	if s.leftOut {
		way = append(way, leftOutKey.Bool(true))
	}
	s.own.SetAttributes(way...)
	end(s.own, err)
}

// takeBack: a message must not be refused for being traced. It goes without the span's context.
func (t *tracing) takeBack(token any, msg *dataproxy.Message, _ *dataproxy.Error) {
	s, ok := token.(*traced)
	if !ok || len(s.added) == 0 {
		return
	}
	attributes := t.place(msg)
	left := maps.Clone(*attributes)
	for name := range s.added {
		delete(left, name)
	}
	*attributes, s.added = left, nil
	t.leaveOut(s, msg)
}

func (t *tracing) leaveOut(s *traced, msg *dataproxy.Message) {
	s.leftOut = true
	t.figures.leaveOut(t.to(cmp.Or(msg.GroupID, t.client.GroupID), msg.StreamID))
}

// refused: where only batches have spans, what never was in one has its own all the same.
func (t *tracing) refused(token any, msg *dataproxy.Message, err *dataproxy.Error) {
	s, ok := token.(*traced)
	if !ok {
		return
	}
	if s.own == nil {
		d := t.to(cmp.Or(msg.GroupID, t.client.GroupID), msg.StreamID)
		_, s.own = t.tracer.Start(trace.ContextWithSpanContext(context.Background(), s.at), d.message, d.start...)
	}
	s.end(nil, err)
}

func (t *tracing) result(r dataproxy.MessageResults) {
	if t.figures.messages != nil {
		t.figures.add(t.to(r.Batch.GroupID, r.Batch.StreamID), &r)
	}
	w := way{r: &r}
	if t.spans != OfMessages && (len(r.Tokens) > 0 || t.roots) {
		t.batch(&r, &w)
	}
	if t.spans == OfBatches {
		return
	}
	for _, token := range r.Tokens {
		if s, ok := token.(*traced); ok {
			s.end(w.attributes(), r.Err)
		}
	}
}

// way is what the spans of a batch and of its messages have in common. It is made for the first one that is recorded.
type way struct {
	r   *dataproxy.MessageResults
	all []attribute.KeyValue
}

func (w *way) attributes() []attribute.KeyValue {
	if w.all == nil && w.r.Attempts > 0 {
		w.all = append(make([]attribute.KeyValue, 0, 6), attemptsKey.Int(w.r.Attempts), batchIDKey.String(w.r.BatchID()))
		w.all = appendServer(w.all, w.r.Node)
	}
	return w.all
}

// batch makes the span of a batch afterwards, when it is known which of its messages are traced.
func (t *tracing) batch(r *dataproxy.MessageResults, w *way) {
	ctx := context.Background()
	var links []trace.Link
	var last trace.SpanContext
	leftOut := false
	for i, token := range r.Tokens {
		s, ok := token.(*traced)
		if !ok {
			continue
		}
		leftOut = leftOut || s.leftOut && s.own == nil
		switch {
		case i == 0:
			ctx = trace.ContextWithSpanContext(ctx, s.at)
		case !s.at.Equal(last): // one caller's messages follow each other, and need no link each
			links = append(links, trace.Link{SpanContext: s.at})
		}
		last = s.at
	}
	d := t.to(r.Batch.GroupID, r.Batch.StreamID)
	start := append(make([]trace.SpanStartOption, 0, 3), ofClient, trace.WithTimestamp(r.Batch.Sealed))
	if len(links) > 0 {
		start = append(start, trace.WithLinks(links...))
	}
	_, span := t.tracer.Start(ctx, d.batch, start...)
	if span.IsRecording() {
		way := append(slices.Clip(w.attributes()), system, semconv.MessagingOperationName("send"), semconv.MessagingOperationTypeSend,
			d.attribute(), semconv.MessagingBatchMessageCount(r.Messages))
		if leftOut {
			way = append(way, leftOutKey.Bool(true))
		}
		span.SetAttributes(way...)
	}
	end(span, r.Err)
}

// end ends a span with a result. What is stored is no failure: it will be delivered.
func end(span trace.Span, err *dataproxy.Error) {
	switch {
	case err == nil:
	case err.Code == dataproxy.CodeStored:
		span.SetAttributes(storedKey.Bool(true))
	default:
		span.SetAttributes(errorType(err))
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

var (
	ofClient = trace.WithSpanKind(trace.SpanKindClient)
	system   = semconv.MessagingSystemKey.String("inlong")
)

// destination is what the spans of one stream have in common.
type destination struct {
	group, stream, name string
	message, batch      string // names of spans
	start               []trace.SpanStartOption
}

// to returns that of a stream. The last one is kept: most programs send much to few streams.
func (t *tracing) to(group, stream string) *destination {
	if d := t.last.Load(); d != nil && d.group == group && d.stream == stream {
		return d
	}
	name, operation, kind := group+"/"+stream, "send", semconv.MessagingOperationTypeSend
	if t.spans == OfBoth {
		operation, kind = "create", semconv.MessagingOperationTypeCreate
	}
	d := &destination{group: name[:len(group)], stream: name[len(group)+1:], name: name, message: operation + " " + name, batch: "send " + name}
	d.start = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(system, semconv.MessagingOperationName(operation), kind, d.attribute())}
	t.last.Store(d)
	return d
}

func (d *destination) attribute() attribute.KeyValue { return semconv.MessagingDestinationName(d.name) }

func errorType(err *dataproxy.Error) attribute.KeyValue {
	return semconv.ErrorTypeKey.String(strconv.Itoa(int(err.Code)))
}

func appendServer(to []attribute.KeyValue, node string) []attribute.KeyValue {
	host, port, err := net.SplitHostPort(node)
	if err != nil {
		return to
	}
	number, _ := strconv.Atoi(port)
	return append(to, semconv.ServerAddress(host), semconv.ServerPort(number))
}

// figures are the metrics of the conventions, nil without a MeterProvider.
type figures struct {
	messages metric.Int64Counter
	duration metric.Float64Histogram
	leftOut  metric.Int64Counter
}

// init never fails: what a meter answers beside an error may be used, and counts nothing.
func (f *figures) init(meters metric.MeterProvider) {
	if meters == nil {
		return
	}
	meter := meters.Meter(scope, metric.WithInstrumentationVersion(dataproxy.Version), metric.WithSchemaURL(semconv.SchemaURL))
	f.messages, _ = meter.Int64Counter("messaging.client.sent.messages", metric.WithUnit("{message}"),
		metric.WithDescription("Messages that have their result."))
	f.leftOut, _ = meter.Int64Counter("messaging.inlong.contexts_left_out", metric.WithUnit("{message}"),
		metric.WithDescription("Traced messages that went without their context, or a part of it, since they would have been refused with it."))
	f.duration, _ = meter.Float64Histogram("messaging.client.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("From a batch's opening to its result."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))
}

func (f *figures) leaveOut(d *destination) {
	if f.leftOut != nil {
		f.leftOut.Add(context.Background(), 1, metric.WithAttributes(system, d.attribute()))
	}
}

func (f *figures) add(d *destination, r *dataproxy.MessageResults) {
	with := []attribute.KeyValue{system, semconv.MessagingOperationName("send"), d.attribute()}
	if r.Err != nil && r.Err.Code != dataproxy.CodeStored {
		with = append(with, errorType(r.Err))
	}
	set := metric.WithAttributeSet(attribute.NewSet(with...))
	f.messages.Add(context.Background(), int64(r.Messages), set)
	f.duration.Record(context.Background(), time.Since(r.Batch.Opened).Seconds(), set)
}
