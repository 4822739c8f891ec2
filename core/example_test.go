package dataproxy_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync/atomic"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// fake is a cluster of this machine in place of a real one.
func fake() *dataproxytest.Cluster {
	cluster, err := dataproxytest.NewCluster()
	if err != nil {
		log.Fatal(err)
	}
	return cluster
}

// A message, and its ack.
func Example() {
	cluster := fake()
	defer cluster.Close()

	client, err := dataproxy.NewClient(
		dataproxy.WithURL(cluster.URL()), // "http://manager:8083"
		dataproxy.WithGroupID("my_group"),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	err = client.Send(context.Background(), dataproxy.Message{StreamID: "my_stream", Payload: []byte("hello")})
	fmt.Println("acked:", err == nil)
	// Output: acked: true
}

// Many messages without waiting for each; the close delivers what is pending.
func ExampleClient_sendAsync() {
	cluster := fake()
	defer cluster.Close()
	client, err := dataproxy.NewClient(dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("my_group"),
		dataproxy.WithBlockIfQueueIsFull(true)) // wait for room instead of failing with "queue full"
	if err != nil {
		log.Fatal(err)
	}

	var acked, failed atomic.Int64
	result := func(_ dataproxy.Message, err error) { // on a goroutine of the client: keep it short
		if err != nil {
			failed.Add(1)
			return
		}
		acked.Add(1)
	}
	for i := range 10_000 {
		client.SendAsync(context.Background(), dataproxy.Message{StreamID: "my_stream", Payload: fmt.Appendf(nil, "line %d", i)}, result)
	}
	client.Close()
	fmt.Println(acked.Load(), "acked,", failed.Load(), "failed")
	// Output: 10000 acked, 0 failed
}

// The Manager's credentials come from the environment: no other user of the machine sees them there. Empty ones are none.
func ExampleWithBasicAuth() {
	cluster := fake()
	defer cluster.Close()
	client, err := dataproxy.NewClient(dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("my_group"),
		dataproxy.WithOption("basic_auth", os.Getenv("INLONG_BASIC_AUTH"))) // "id:key", as WithBasicAuth(id, key)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.Send(context.Background(), dataproxy.Message{StreamID: "my_stream", Payload: []byte("hello")}))
	// Output: <nil>
}

// One result a message, in the order of the messages.
func ExampleFullClient_sendBatch() {
	cluster := fake()
	defer cluster.Close()
	client, err := dataproxy.NewClient(dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("my_group"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	errs := client.SendBatch(context.Background(), []dataproxy.Message{
		{StreamID: "my_stream", Payload: []byte("good")},
		{StreamID: "my_stream"},
	})
	fmt.Println(errs[0])
	fmt.Println(errs[1])
	// Output:
	// <nil>
	// input log is invalid: the payload is empty: it must have at least one byte [code 10010, group my_group, stream my_stream]
}

// What an error says: whether sending again may help, and whether that could duplicate the message.
func ExampleError() {
	cluster := fake()
	defer cluster.Close()
	client, err := dataproxy.NewClient(dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("my_group"),
		dataproxy.WithMaxRetries(0))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for _, node := range cluster.Nodes() {
		node.Standing(dataproxytest.ErrorCode(115)) // the nodes do not know the stream yet
	}

	err = client.Send(context.Background(), dataproxy.Message{StreamID: "my_stream", Payload: []byte("hello")})
	var failure *dataproxy.Error
	if errors.As(err, &failure) {
		fmt.Println(failure.Code, failure.ServerCode, failure.Attempts)
		fmt.Println("send again:", failure.Retriable(), "- at the node:", failure.Persisted())
	}
	fmt.Println(errors.Is(err, dataproxy.ErrServerError))
	// Output:
	// server error 115 1
	// send again: true - at the node: not_written
	// true
}

// A close with a deadline, and what it could not deliver.
func ExampleFullClient_shutdown() {
	cluster := fake()
	defer cluster.Close()
	client, err := dataproxy.NewClient(dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("my_group"))
	if err != nil {
		log.Fatal(err)
	}
	for _, node := range cluster.Nodes() {
		node.Standing(dataproxytest.DropAnswer()) // read, and never answered
	}
	client.SendAsync(context.Background(), dataproxy.Message{StreamID: "my_stream", Payload: []byte("hello")},
		func(_ dataproxy.Message, err error) {
			fmt.Println(errors.Is(err, dataproxy.ErrClosed))
		})

	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	report, err := client.Shutdown(ctx)
	fmt.Println(report.Acked, "acked,", report.Unsent, "unsent")
	fmt.Println(err)
	// Output:
	// true
	// 0 acked, 1 unsent
	// message context expired: 1 messages had no result in time [code 10005]
}

// Attributes and the event time go to the wire; Headers and MetaData stay here and come back with the result.
func ExampleMessage() {
	cluster := fake()
	defer cluster.Close()
	client, err := dataproxy.NewClient(dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("my_group"),
		dataproxy.WithAddColumns(map[string]string{"__addcol1__host": "web-1"}))
	if err != nil {
		log.Fatal(err)
	}
	client.SendAsync(context.Background(), dataproxy.Message{
		StreamID:   "my_stream",
		Payload:    []byte("hello"),
		Attributes: map[string]string{"color": "red"},
		Time:       time.UnixMilli(1_700_000_000_000),
		MetaData:   17,
	}, func(m dataproxy.Message, _ error) { fmt.Println("result of", m.MetaData) })
	client.Close()

	for _, node := range cluster.Nodes() {
		for _, r := range node.Received() {
			fmt.Println(r.Attr["color"], r.Attr["__addcol1__host"], r.Attr["dt"])
		}
	}
	// Output:
	// result of 17
	// red web-1 1700000000000
}

// Options by key and text, as configuration files give them; all faults are reported at once.
func ExampleWithOption() {
	_, err := dataproxy.NewClient(
		dataproxy.WithOption("url", "http://manager:8083"),
		dataproxy.WithOption("group_id", "my_group"),
		dataproxy.WithOption("send_timeout", "30"),
		dataproxy.WithOption("max_retry", "2"),
	)
	fmt.Println(err)
	// Output: option send_timeout = "30": must be a duration with its unit, such as "20ms" or "5m"; option "max_retry": unknown; did you mean "max_retries"?
}

// A snapshot of what the client has done and holds.
func ExampleFullClient_stats() {
	cluster := fake()
	defer cluster.Close()
	client, err := dataproxy.NewClient(dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("my_group"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	_ = client.Send(context.Background(), dataproxy.Message{StreamID: "my_stream", Payload: []byte("hello")})

	stats := client.Stats()
	fmt.Println(stats.Accepted, "accepted,", stats.Acked, "acked,", len(stats.Lanes), "lanes,", len(stats.Nodes), "nodes")
	// Output: 1 accepted, 1 acked, 8 lanes, 3 nodes
}
