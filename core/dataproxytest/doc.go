// Package dataproxytest is a fake Apache InLong cluster for tests: one Manager and several DataProxy nodes on real TCP
// sockets of this machine. It answers as a DataProxy 2.4.0 does, byte for byte except receive times and the node's
// address, oddities included, and is not tuned to any one client.
//
//	c := dataproxytest.Start(t)                       // three nodes, every group and stream known
//	client := newClient(c.URL())                      // the Manager's base url
//	c.Nodes()[0].Fault(dataproxytest.ErrorCode(114))  // the next data frame of node 0 is refused
//	c.Nodes()[1].Kill()                               // connections reset, port refused, until Revive
//	...
//	c.WaitCount(ctx, 1000)                            // messages received and kept
//	c.Messages()                                      // their payloads in order of arrival
//
// A Fault is one-shot (Node.Fault: a queue, one entry for each data frame) or stands till it is cleared
// (Node.Standing). Node.Handle decides frame by frame in code. The Manager takes faults the same way.
//
// Control does all of it by JSON commands, for programs in other languages; ControlHandler serves the same over HTTP.
//
// All methods may be called from any goroutine. Known differences from the real server: protocol version 1 frames are
// read and never answered, and frames that follow one that closes the connection are ignored.
package dataproxytest
