package oteldataproxy_test

import (
	"context"
	"fmt"
	"log"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	oteldataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core/otel"
)

// A message is in its request's trace.
func ExampleWithTracing() {
	cluster, err := dataproxytest.NewCluster()
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	exporter := tracetest.NewInMemoryExporter() // a program has one for OTLP here
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())))

	client, err := dataproxy.NewClient(dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("my_group"),
		dataproxy.WithMessageFormat(dataproxy.Binary), // carries the span's context to the consumer
		oteldataproxy.WithTracing(oteldataproxy.WithTracerProvider(provider)))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	ctx, request := provider.Tracer("shop").Start(context.Background(), "order")
	err = client.Send(ctx, dataproxy.Message{StreamID: "orders", Payload: []byte("two apples")})
	request.End()
	for _, span := range exporter.GetSpans() {
		fmt.Println(span.Name, span.SpanKind)
	}
	fmt.Println(err)
	// Output:
	// send my_group/orders producer
	// order internal
	// <nil>
}
