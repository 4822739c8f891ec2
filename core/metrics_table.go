package dataproxy

import "github.com/prometheus/client_golang/prometheus"

// metricInfo describes one metric. METRICS.md is made from the table.
type metricInfo struct {
	name  string
	kind  string    // "counter", "gauge" or "histogram"
	label string    // in addition to "name"; "": none; several are separated by ", "
	upTo  []float64 // the buckets of a histogram
	// help is the existing Go SDK's text, word for word: a registry accepts two clients' metrics of one name only if their help is
	// the same, too. moves has room for more.
	help  string
	moves string // what it counts, and when
}

const (
	metricMessages = iota
	metricErrors
	metricRetries
	metricTimeouts
	metricConnections
	metricPending
	metricBatchSize
	metricBatchTime
	metricSpoolMessages
	metricSpoolBytes
	metricSpoolOldest
	metricSpoolState
	metricSpoolReplayed
	metricSpoolGivenUp
	metricSpoolErrors
	metricSpoolLost
	metricStreamMessages
	metricStreamBytes
)

var metricTable = [...]metricInfo{
	metricMessages: {name: "data_proxy_msg_count", kind: "counter", label: "code", help: "Counter of message",
		moves: "by the number of messages that get their result, just before their callbacks are called. Refused messages count too: each try of a program while the queue is full counts as 10004"},
	metricErrors: {name: "data_proxy_error_count", kind: "counter", label: "code", help: "Counter of error events",
		moves: "by one for a refused message, for a deadline that passed, for a batch that a close left without a result (10003; 10012 after an internal fault), for each attempt that failed, even if a later one succeeds, " +
			"for a connection that could not be opened (10006), and for an answer that belongs to no batch (10014)"},
	metricRetries: {name: "data_proxy_retry_count", kind: "counter", label: "worker", help: "Counter of retry batches",
		moves: "by one when a batch is written again; worker is the number of the lane that writes it"},
	metricTimeouts: {name: "data_proxy_timeout_count", kind: "counter", label: "worker", help: "Counter of timeout batches",
		moves: "by one for each batch that was on a connection whose answers did not come within ack_timeout, and for each batch with messages " +
			"whose delivery deadline passed"},
	metricConnections: {name: "data_proxy_update_conn_count", kind: "counter", label: "code", help: "Counter of update connection events",
		moves: "by one when a lane has a new connection that answered its first heartbeat (0), or failed to get one (10006)"},
	metricPending: {name: "data_proxy_pending_msg_gauge", kind: "gauge", label: "worker", help: "Gauge of pending message",
		moves: "up by a batch's messages when the batch is complete, whether or not a node can be reached; down when their callbacks have " +
			"returned; worker is the worker of the messages' streams"},
	metricBatchSize: {name: "data_proxy_batch_size", kind: "histogram", label: "code", help: "Histogram of batch size",
		upTo:  prometheus.ExponentialBuckets(1024, 2, 9), // 1 KiB to 256 KiB
		moves: "by one observation for each batch, with the code of its last messages: the bytes of its body before compression"},
	metricBatchTime: {name: "data_proxy_batch_time", kind: "histogram", label: "code", help: "Histogram of batch time in milliseconds",
		upTo:  []float64{5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000},
		moves: "together with data_proxy_batch_size: milliseconds from the batch's first message to its result"},
	// The existing SDK has none of these, nor has a client without spool_dir.
	metricSpoolMessages: {name: "data_proxy_spool_messages", kind: "gauge", help: "Messages in the spool that have no ack",
		moves: "each second while something is in the spool; the sum for clients with the same name; 0 after a close"},
	metricSpoolBytes: {name: "data_proxy_spool_bytes", kind: "gauge", help: "Bytes of the spool's files",
		moves: "together with data_proxy_spool_messages"},
	metricSpoolOldest: {name: "data_proxy_spool_oldest_seconds", kind: "gauge", help: "Age of the oldest batch in the spool in seconds",
		moves: "together with data_proxy_spool_messages; for clients with the same name it is the value of one of them, so give them different names"},
	metricSpoolState: {name: "data_proxy_spool_state", kind: "gauge", label: "state", help: "Clients whose spool is in that state",
		moves: "when a batch is stored (ok), finds spool_max_bytes in use (full), or is refused by the disk (failed): the number of clients with that name in that state"},
	metricSpoolReplayed: {name: "data_proxy_spool_replayed_count", kind: "counter", help: "Counter of messages that were read back from the spool and acked",
		moves: "each second, by the messages that were acked after an outage, a close or a crash"},
	metricSpoolGivenUp: {name: "data_proxy_spool_given_up_count", kind: "counter", help: "Counter of messages in the spool that failed for good",
		moves: "each second, by the stored messages that nodes refuse for good"},
	metricSpoolErrors: {name: "data_proxy_spool_error_count", kind: "counter", help: "Counter of errors of the spool's disk",
		moves: "each second, by the disk calls that failed"},
	metricSpoolLost: {name: "data_proxy_spool_lost_batches_count", kind: "counter", help: "Counter of batches in the spool that are lost",
		moves: "each second, by the batches that the disk did not give back, or whose files somebody has removed"},
	// The existing SDK has none of these either; they exist with metrics_streams.
	metricStreamMessages: {name: "data_proxy_stream_msg_count", kind: "counter", label: "group, stream, code", help: "Counter of messages by stream",
		moves: "as data_proxy_msg_count, without the messages that are refused before their stream is known: because of an invalid id or attribute, or by a closed client"},
	metricStreamBytes: {name: "data_proxy_stream_bytes_count", kind: "counter", label: "group, stream, code", help: "Counter of payload bytes by stream",
		moves: "together with data_proxy_stream_msg_count: by the bytes of their payloads"},
}
