package main

import dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"

// codeInfo explains one code, of the client or of a DataProxy.
type codeInfo struct {
	Code      int    `json:"code"`
	Name      string `json:"name"`
	From      string `json:"from"` // "client" or "server"
	Text      string `json:"text,omitempty"`
	Retriable bool   `json:"retriable"`
	Meaning   string `json:"meaning"`
	Advice    string `json:"advice"`
}

const nothingToDo = "Nothing: it is success."

// clientAdvice says what to do about each of the client's codes; their names and meanings are the library's.
var clientAdvice = map[dataproxy.Code]string{
	dataproxy.CodeOK:               nothingToDo,
	dataproxy.CodeSendTimeout:      "Look which nodes answer (inlong-dataproxy doctor). Raise send_timeout if the cluster is only slow. The message may have arrived: sending it again can double it.",
	dataproxy.CodeSendFailed:       "Read the cause in the error's text, check the nodes (inlong-dataproxy doctor), send again. Raise max_retries if nodes restart often.",
	dataproxy.CodeClosed:           "Send before the client is closed; give Shutdown more time if messages were still pending.",
	dataproxy.CodeQueueFull:        "Messages come faster than they are acked. Set block_if_queue_is_full, or raise max_pending_messages and max_pending_bytes, or send less.",
	dataproxy.CodeContextExpired:   "The caller's own deadline is too short or was cancelled. The message may have arrived.",
	dataproxy.CodeNewConnFailed:    "A node refused or did not prove a connection: check firewall, port and the node itself (inlong-dataproxy doctor).",
	dataproxy.CodeConnWriteFailed:  "The network or the node broke. Send again.",
	dataproxy.CodeConnReadFailed:   "The network or the node broke, or what listens there is no DataProxy. Send again; if it stays, check the port.",
	dataproxy.CodeLogTooLong:       "Split the message. max_frame_size helps up to what the nodes (max-msg-length) and the Manager (maxPacketLength) allow.",
	dataproxy.CodeLogInvalid:       "Mend what the error's text names: an empty payload, a group or stream id or an attribute that breaks its rule.",
	dataproxy.CodeServerError:      "Look up the server's code, which the error carries: inlong-dataproxy errors SERVER_CODE.",
	dataproxy.CodeServerPanic:      "This is a fault of the client: report it with the log lines, and make a new client.",
	dataproxy.CodeWorkerBusy:       "No connection is usable now: check the nodes (inlong-dataproxy doctor) and send again.",
	dataproxy.CodeNoMatchRequest:   "What answers is not the node that was asked, or breaks the protocol: check for a proxy in between.",
	dataproxy.CodeConnClosedByPeer: "The node restarts, has too many connections, refuses this address (black or white list) or takes only shorter frames. The message may have arrived.",
	dataproxy.CodeUnknown:          "Read the error's text; report it if that does not help.",
}

const (
	clientBug   = "No setting cures it: report it, with the versions of client and DataProxy."
	notFromHere = "It should not reach this client: look which DataProxy version answers, and report it."
)

// serverCodes are the codes that a DataProxy can answer.
var serverCodes = []codeInfo{
	{1, "SINK_SERVICE_UNREADY", "server", "", true, "the node has no message queue configured yet, as in its first seconds", "Wait, the client goes to another node. If it stays, check that the cluster has an MQ cluster of the same tag in the Manager."},
	{2, "SERVICE_CLOSED", "server", "", true, "an administrator stopped the node's service", "Nothing, if it is meant: the client leaves the node. Otherwise start the service of that node again."},
	{3, "CONF_SERVICE_UNREADY", "server", "", false, "the node has no map of numeric ids yet", notFromHere},
	{94, "FIELD_MAGIC_NOT_EQUAL", "server", "", false, "a binary frame does not end in its magic number", clientBug},
	{95, "FIELD_LENGTH_VALUE_NOT_EQUAL", "server", "", false, "the lengths inside a binary frame disagree", clientBug},
	{96, "UNCOMPRESS_DATA_ERROR", "server", "", false, "the body is said to be compressed and cannot be opened", "Send with compression=none and report it."},
	{100, "MISS_REQUIRED_GROUPID_ARGUMENT", "server", "", false, "the frame names no group", clientBug},
	{104, "BODY_EXCEED_MAX_LEN", "server", "", false, "the lengths inside the frame disagree; it is not about the size", clientBug},
	{105, "BODY_LENGTH_ZERO", "server", "", false, "the body is empty", clientBug},
	{106, "BODY_LENGTH_LESS_ZERO", "server", "", false, "the body's length is negative", clientBug},
	{107, "ATTR_LENGTH_LESS_ZERO", "server", "", false, "the attributes' length is negative", clientBug},
	{109, "SPLIT_ATTR_ERROR", "server", "", false, "the attributes cannot be taken apart", "Check attributes and add_columns: no & or =, no name twice."},
	{112, "UNSUPPORTED_EXTEND_FIELD_VALUE", "server", "", false, "the frame asks for something that the node does not know", clientBug},
	{114, "PUT_EVENT_TO_CHANNEL_FAILURE", "server", "", true, "the node's channels are full, mostly because the message queue behind it is down or slow", "Look at the message queue and the node's disk; the client tries other nodes with back-off. Send again later."},
	{115, "TOPIC_IS_BLANK", "server", "", true, "the node knows no topic for this group and stream", "Check the spelling of group and stream. After one was made new, nodes take up to two minutes to learn it."},
	{116, "NO_AVAILABLE_PRODUCER", "server", "", true, "the node has no producer for the message queue", "Look at the message queue behind the node, send again later."},
	{117, "PRODUCER_IS_NULL", "server", "", true, "the node's producer for the message queue is missing", "Look at the message queue behind the node, send again later."},
	{118, "SEND_REQUEST_TO_MQ_FAILURE", "server", "", true, "the node could not hand the message to the message queue", "Look at the message queue behind the node, send again later."},
	{119, "MQ_RETURN_ERROR", "server", "", true, "the message queue refused the message", "Look at the message queue behind the node, send again later."},
	{121, "GROUPID_OR_STREAMID_NOT_CONFIGURE", "server", "", false, "the node has no name for a numeric id", notFromHere},
	{122, "GROUPID_OR_STREAMID_INCONSTANT", "server", "", false, "a numeric id and its name disagree", notFromHere},
	{123, "MSG_BODY_ITEMS_INVALID", "server", "", false, "the messages inside the body cannot be taken apart", clientBug},
	{150, "ATTR_ORDER_CONTROL_CONFLICT_ERROR", "server", "", false, "the frame wants no answer and an ordered one at once", clientBug},
	{151, "ATTR_PROXY_CONTROL_CONFLICT_ERROR", "server", "", false, "the frame wants no answer and one from the message queue at once", clientBug},
}

// allCodes returns the client's codes and then the server's.
func allCodes() []codeInfo {
	var all []codeInfo
	for _, c := range dataproxy.Codes() {
		all = append(all, codeInfo{int(c.Code), c.Name, "client", c.Text, c.Retriable, c.Meaning, clientAdvice[c.Code]})
	}
	return append(all, serverCodes...)
}
