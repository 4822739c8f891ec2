package dataproxy

import "slices"

// CodeInfo describes one code for tables of other languages and for documentation.
type CodeInfo struct {
	Code      Code
	Name      string // short name in snake case, the same in every language
	Text      string // the existing SDK's text
	Retriable bool   // the caller may send the message again and have success
	// Persisted is what errors of this code say of the message; empty for a code that no message ends with.
	Persisted []Persisted
	Meaning   string // when it comes
	Advice    string // what to do about it
}

var (
	notWritten = []Persisted{NotWritten}
	maybe      = []Persisted{MaybeWritten}
	either     = []Persisted{NotWritten, MaybeWritten}
)

var codeTable = []CodeInfo{
	{CodeOK, "ok", "success", false, []Persisted{Acked}, "a DataProxy acked the message", "Nothing: it is success."},
	{CodeSendTimeout, "send_timeout", "message send timeout", true, either,
		"the delivery deadline passed before an ack came, or the last attempt that max_retries allows was not answered within ack_timeout; " +
			"if nodes answered \"not now\" until then, the error has the server's code",
		"Check which nodes answer (inlong-dataproxy doctor). Raise send_timeout, ack_timeout or max_retries if the cluster is only slow."},
	{CodeSendFailed, "send_failed", "message send failed", true, nil, "no message ends with it: the last attempt gives its own code; kept from the existing SDK",
		"Look at the code of the last attempt."},
	{CodeClosed, "closed", "producer already been closed", false, either, "the client was closed before the message had its result",
		"Send before the client is closed; give the close more time if messages were still pending."},
	{CodeQueueFull, "queue_full", "producer send queue is full", true, notWritten, "max_pending_messages or max_pending_bytes is reached; for a bulk send also: as much is in flight as is acked in a part of send_timeout",
		"Messages come faster than they are acked. Set block_if_queue_is_full, or raise max_pending_messages and max_pending_bytes, or send less."},
	{CodeContextExpired, "context_expired", "message context expired", true, either, "the caller's context or timeout ended first",
		"Give the call more time, if it was not meant to be cancelled."},
	{CodeNewConnFailed, "new_conn_failed", "new conn failed", true, nil,
		"a connection could not be opened, or did not answer its first heartbeat. It stands in metrics; in C and Python a new client that reached no Manager or no node fails with it. " +
			"No message ends with it: messages wait for another connection",
		"Check firewall, port and the node itself (inlong-dataproxy doctor)."},
	{CodeConnWriteFailed, "conn_write_failed", "conn write failed", true, maybe, "writing to the connection failed",
		"The network or the node broke. Send again."},
	{CodeConnReadFailed, "conn_read_failed", "conn read failed", true, maybe, "reading an answer failed, or an answer broke the protocol",
		"The network or the node broke, or what listens there is no DataProxy. Send again; if it fails again, check the port."},
	{CodeLogTooLong, "log_too_long", "input log is too long", false, either, "the message does not fit into one frame, or into the part of max_pending_bytes that one worker has; " +
		"or nodes closed the connection twice on its frame, whose length the error names: they take only shorter ones",
		"Split the message. max_frame_size helps up to what the nodes (max-msg-length) and the Manager (maxPacketLength) allow, max_pending_bytes where the error's text names it."},
	{CodeLogInvalid, "log_invalid", "input log is invalid", false, notWritten, "the payload is empty, or an id or attribute breaks its rule",
		"Fix what the error's text names: an empty payload, a group or stream id or an attribute that breaks its rule."},
	{CodeServerError, "server_error", "server error", false, either, "the DataProxy refused the batch; see the server's code",
		"Look up the server's code, which the error carries: inlong-dataproxy errors SERVER_CODE."},
	{CodeServerPanic, "server_panic", "server panic", false, either, "an internal fault of this client, which is closed",
		"This is a fault of the client: report it with the log lines, and make a new client."},
	{CodeWorkerBusy, "worker_busy", "worker is busy", true, nil,
		"the call was made inside a callback and would wait for itself. A flush or close has begun, and the call does not wait for it; in C a send inside a callback for log lines or credentials is refused. " +
			"No accepted message ends with it",
		"Make the call from elsewhere."},
	{CodeNoMatchRequest, "no_match_request", "no match unacknowledged request for response", false, nil,
		"an answer belongs to no batch in flight; only in metrics", "Check for a proxy in between, if it happens often; a few come with slow answers."},
	{CodeConnClosedByPeer, "conn_closed_by_peer", "conn closed by peer", true, maybe, "the node closed the connection before it answered",
		"The node restarts, has too many connections, refuses this address (black or white list) or takes only shorter frames: then the second close gives 10009."},
	{CodeUnknown, "unknown", "unknown", false, nil, "no message ends with it: a number that is not in this table is shown as this one",
		"Read the error's text; report it if that does not help."},
	{CodeStored, "stored", "message stored", false, []Persisted{Stored},
		"with spool_dir: the deadline passed, or the client was closed, or memory was short, before an ack came; the message is in the spool, and this client or the next one delivers it",
		"Nothing: it will be delivered. Do not send it again."},
}

// Codes returns every code with its name, text and meaning.
func Codes() []CodeInfo { return slices.Clone(codeTable) }

func (c Code) info() CodeInfo {
	for _, e := range codeTable {
		if e.Code == c {
			return e
		}
	}
	return CodeUnknown.info()
}

// String returns the code's text.
func (c Code) String() string { return c.info().Text }

// ServerCodeInfo describes one code that a DataProxy answers.
type ServerCodeInfo struct {
	Code int
	Name string // the server's own, of its class DataProxyErrCode
	// Retriable: another node, or the same one later, may accept the batch. The client tries that by itself, and the caller may
	// send again after it has given up.
	Retriable bool
	// Hopeless: the batch fails on every node; the client does not try again even with WithRetryOnServerError.
	Hopeless bool
	Meaning  string
	Advice   string
}

const (
	clientBug   = "No setting cures it: report it, with the versions of client and DataProxy."
	notOverTCP  = "not over TCP: only of the HTTP interface, or of no known version"
	notFromHere = "It should not reach this client: look which DataProxy version answers, and report it."
	lookAtMQ    = "Check the message queue behind the node, and send again later."
)

// ServerCodes returns every code of a DataProxy of InLong 2.x.
func ServerCodes() []ServerCodeInfo {
	codes := slices.Clone(serverCodeTable)
	for i := range codes {
		codes[i].Retriable, codes[i].Hopeless = retryOtherNode(codes[i].Code), neverCured(codes[i].Code)
	}
	return codes
}

var serverCodeTable = []ServerCodeInfo{
	{Code: serverSinkUnready, Name: "SINK_SERVICE_UNREADY", Meaning: "the node has no message queue configured yet, as in its first seconds",
		Advice: "Wait: the client goes to another node, or asks again every second until the deadline. If it does not end, check that the cluster has an MQ cluster of the same tag in the Manager."},
	{Code: serverServiceClosed, Name: "SERVICE_CLOSED", Meaning: "an administrator stopped the node's service",
		Advice: "Nothing, if it was intended: the client leaves the node, or waits for it if it is the only one. Otherwise start the service of that node again."},
	{Code: 3, Name: "CONF_SERVICE_UNREADY", Meaning: "the node has no map of numeric ids yet", Advice: notFromHere},
	{Code: 10, Name: "ILLEGAL_VISIT_IP", Meaning: "not over TCP, where the node closes the connection of an address that it refuses", Advice: notFromHere},
	{Code: 31, Name: "HTTP_DECODE_REQ_FAILURE", Meaning: notOverTCP, Advice: notFromHere},
	{Code: 32, Name: "HTTP_UNSUPPORTED_METHOD", Meaning: notOverTCP, Advice: notFromHere},
	{Code: 33, Name: "HTTP_REQ_URI_BLANK", Meaning: notOverTCP, Advice: notFromHere},
	{Code: 34, Name: "HTTP_DECODE_REQ_URI_FAILURE", Meaning: notOverTCP, Advice: notFromHere},
	{Code: 35, Name: "HTTP_UNSUPPORTED_SERVICE_URI", Meaning: notOverTCP, Advice: notFromHere},
	{Code: 36, Name: "HTTP_UNSUPPORTED_CONTENT_TYPE", Meaning: notOverTCP, Advice: notFromHere},
	{Code: 94, Name: "FIELD_MAGIC_NOT_EQUAL", Meaning: "a binary frame does not end in its magic number", Advice: clientBug},
	{Code: 95, Name: "FIELD_LENGTH_VALUE_NOT_EQUAL", Meaning: "the lengths inside a binary frame disagree", Advice: clientBug},
	{Code: 96, Name: "UNCOMPRESS_DATA_ERROR", Meaning: "the body is marked as compressed and cannot be decompressed",
		Advice: "Send with compression=none and report it."},
	{Code: 100, Name: "MISS_REQUIRED_GROUPID_ARGUMENT", Meaning: "the frame names no group", Advice: clientBug},
	{Code: 101, Name: "MISS_REQUIRED_STREAMID_ARGUMENT", Meaning: notOverTCP, Advice: notFromHere},
	{Code: 102, Name: "MISS_REQUIRED_DT_ARGUMENT", Meaning: notOverTCP, Advice: notFromHere},
	{Code: 103, Name: "MISS_REQUIRED_BODY_ARGUMENT", Meaning: notOverTCP, Advice: notFromHere},
	{Code: 104, Name: "BODY_EXCEED_MAX_LEN", Meaning: "the lengths inside the frame disagree; it is not about the size", Advice: clientBug},
	{Code: 105, Name: "BODY_LENGTH_ZERO", Meaning: "the body is empty", Advice: clientBug},
	{Code: 106, Name: "BODY_LENGTH_LESS_ZERO", Meaning: "the body's length is negative", Advice: clientBug},
	{Code: 107, Name: "ATTR_LENGTH_LESS_ZERO", Meaning: "the attributes' length is negative", Advice: clientBug},
	{Code: 108, Name: "ERROR_PROCESS_LOGIC", Meaning: notOverTCP, Advice: notFromHere},
	{Code: 109, Name: "SPLIT_ATTR_ERROR", Meaning: "the attributes cannot be parsed",
		Advice: "Check attributes and add_columns: no & or =, no name twice."},
	{Code: 110, Name: "UNSUPPORTED_MSG_TYPE", Meaning: notOverTCP, Advice: notFromHere},
	{Code: 111, Name: "EMPTY_MSG", Meaning: notOverTCP, Advice: notFromHere},
	{Code: 112, Name: "UNSUPPORTED_EXTEND_FIELD_VALUE", Meaning: "the frame asks for something that the node does not know", Advice: clientBug},
	{Code: 113, Name: "UNCONFIGURED_GROUPID_OR_STREAMID", Meaning: notOverTCP, Advice: notFromHere},
	{Code: serverChannelFull, Name: "PUT_EVENT_TO_CHANNEL_FAILURE",
		Meaning: "the node's channels are full, mostly because the message queue behind it is down or slow",
		Advice:  "Check the message queue and the node's disk; the client goes to other nodes, or asks again every second until the deadline."},
	{Code: serverTopicUnknown, Name: "TOPIC_IS_BLANK", Meaning: "the node has no topic for this group and stream",
		Advice: "Check the spelling of group and stream. Nodes take up to two minutes to learn of a new one."},
	{Code: serverMQFirst, Name: "NO_AVAILABLE_PRODUCER", Meaning: "the node has no producer for the message queue", Advice: lookAtMQ},
	{Code: 117, Name: "PRODUCER_IS_NULL", Meaning: "the node's producer for the message queue is missing", Advice: lookAtMQ},
	{Code: 118, Name: "SEND_REQUEST_TO_MQ_FAILURE", Meaning: "the node could not hand the message to the message queue", Advice: lookAtMQ},
	{Code: serverMQLast, Name: "MQ_RETURN_ERROR", Meaning: "the message queue refused the message", Advice: lookAtMQ},
	{Code: 120, Name: "DUPLICATED_MESSAGE", Meaning: notOverTCP, Advice: notFromHere},
	{Code: serverIDUnknown, Name: "GROUPID_OR_STREAMID_NOT_CONFIGURE", Meaning: "the node has no name for a numeric id", Advice: notFromHere},
	{Code: serverIDInconsistent, Name: "GROUPID_OR_STREAMID_INCONSTANT", Meaning: "a numeric id and its name disagree", Advice: notFromHere},
	{Code: 123, Name: "MSG_BODY_ITEMS_INVALID", Meaning: "the messages inside the body cannot be parsed", Advice: clientBug},
	{Code: 150, Name: "ATTR_ORDER_CONTROL_CONFLICT_ERROR", Meaning: "the frame asks for no answer and for an ordered one", Advice: clientBug},
	{Code: 151, Name: "ATTR_PROXY_CONTROL_CONFLICT_ERROR", Meaning: "the frame asks for no answer and for one from the message queue", Advice: clientBug},
}
