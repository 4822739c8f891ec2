// Package dataproxy sends messages to the DataProxy nodes of an Apache InLong cluster, and reports the result of each message.
//
//	client, err := dataproxy.NewClient(dataproxy.WithURL("http://manager:8083"), dataproxy.WithGroupID("my_group"))
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	err = client.Send(ctx, dataproxy.Message{StreamID: "my_stream", Payload: []byte("hello")}) // nil: acked
//
// # Words
//
// A message is one payload with its group and stream. Messages of one stream travel together as a batch, which is sent when it is
// full or its linger is over. A node is one DataProxy; a lane is one connection to a node with what is in flight on it. Each
// write of a batch is an attempt; the node answers with an ack or an error. Every accepted message gets exactly one result:
// nil, or an [*Error] with one of the codes of [Codes].
//
// # Ways to send
//
// [Client.SendAsync] returns at once and calls back: use it to send many messages. [Client.Send] returns the result and does
// not wait for the linger: use it for messages that somebody waits for. Many goroutines may call it at a time, and share batches.
// When too much is pending a message is refused with [ErrQueueFull], or waits for room with [WithBlockIfQueueIsFull].
//
// [FullClient.SendBulk] is SendAsync for a source that can wait, such as a file; [FullClient.SendBatch] is Send for a slice. Both wait
// for the network: a slow network slows them down, and no message fails.
//
// # Results
//
// An ack means that the batch is in the memory of a DataProxy. Delivery is at-least-once: a batch whose ack was lost is sent again,
// so it may arrive twice. [Error.Retriable] says whether sending a failed message again may help, [Error.Persisted] whether
// that could duplicate it.
//
// # Ending
//
// [FullClient.Flush] waits for the results of what was accepted. [Client.Close], or [FullClient.Shutdown] with a deadline of its
// own, delivers what is pending first. A program that ends without it loses what is pending.
//
// # Tests
//
// Package dataproxytest is a fake Manager with DataProxy nodes on this machine. It can kill and revive nodes and give wrong answers.
package dataproxy
