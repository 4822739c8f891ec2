package logsink_test

import (
	"fmt"
	"log"
	"log/slog"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/logsink"
)

// A program's records go to a stream, and what could not be sent is counted.
func ExampleSink_Handler() {
	cluster, err := dataproxytest.NewCluster()
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	client, err := dataproxy.NewClient(dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("my_group"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	sink, err := logsink.New(client, dataproxy.Message{StreamID: "logs"})
	if err != nil {
		log.Fatal(err)
	}
	logger := slog.New(sink.Handler(&slog.HandlerOptions{Level: slog.LevelInfo}))
	logger.Info("started", "port", 8080)
	logger.Debug("not sent")
	if err := sink.Close(); err != nil { // before the client: it waits for the results
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", sink.Stats())
	// Output: {Records:1 Acked:1 Stored:0 Dropped:0}
}
