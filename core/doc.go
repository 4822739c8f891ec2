// Package dataproxy sends messages to the DataProxy nodes of an Apache InLong cluster, and tells of each what became of it.
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
// A message is one payload with its group and stream. Messages of one stream travel together as a batch: it leaves when it is
// full or its linger is over. A node is one DataProxy, a lane one connection to a node with what is in flight on it. Each try
// to deliver a batch is an attempt; the node answers with an ack or an error. Every accepted message gets exactly one result:
// nil, or an [*Error] with one of the codes of [Codes].
//
// # Ways to send
//
// [Client.SendAsync] returns at once and calls back: the way to send many. [Client.Send] returns with the result and does
// not wait for the linger, for messages that somebody waits for; many goroutines may do so at a time, and share batches.
// When too much is pending a message is refused with [ErrQueueFull], or waits for room with [WithBlockIfQueueIsFull].
//
// [FullClient.SendBulk] is SendAsync for a source that can wait, such as a file, and [FullClient.SendBatch] is Send for a slice: they are
// held up by the network, so that a slow one makes them slow and fails nothing.
//
// # Results
//
// An ack means that the batch is in the memory of a DataProxy. It is at-least-once: a batch whose ack was lost is sent again,
// so it may arrive twice. [Error.Retriable] says whether sending a failed message again may help, [Error.Persisted] whether
// that could double it.
//
// # Ending
//
// [FullClient.Flush] waits for the results of what was accepted. [Client.Close], or [FullClient.Shutdown] with a deadline of its
// own, delivers what is pending first; a program that ends without it loses that.
//
// # Tests
//
// Package dataproxytest is a fake Manager with DataProxy nodes on this machine: nodes die and come back, answers go wrong.
package dataproxy
