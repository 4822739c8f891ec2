package dataproxy

import (
	"math"
	"time"
)

// OptionInfo describes an option that can be set by key and text; it makes the tables and names of the other languages.
type OptionInfo struct {
	Key     string `json:"key"`  // snake case, for WithOption, C and Python
	Name    string `json:"name"` // the Go function
	Kind    string `json:"kind"` // string, duration, int, size, bool, enum, map or list
	Default string `json:"default"`
	Min     string `json:"min,omitempty"`
	Max     string `json:"max,omitempty"`
	Values  string `json:"values,omitempty"` // an enum's, separated by |
	Doc     string `json:"doc"`
}

const (
	kindString   = "string"
	kindDuration = "duration"
	kindInt      = "int"
	kindSize     = "size"
	kindBool     = "bool"
	kindEnum     = "enum"
	kindMap      = "map"
	kindList     = "list"
)

// leastAckTimeout is the lower bound of ack_timeout, also of its default.
const leastAckTimeout = 10 * time.Millisecond

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30

	noLimit = math.MaxInt64
)

// option is a row of the one table behind validation, defaults, keys and documentation. min and max are nanoseconds for
// durations and plain numbers for the rest.
type option struct {
	key, name, kind string
	field           func(*Options) any // pointer to the field
	def             int64
	defText         string
	min, max        int64
	values          []string
	doc             string
}

var optionTable = []option{
	{key: "group_id", name: "WithGroupID", kind: kindString, field: func(o *Options) any { return &o.GroupID },
		doc: "InLong group of messages that name none; required"},
	{key: "url", name: "WithURL", kind: kindString, field: func(o *Options) any { return &o.URL },
		doc: "Manager: its base url, or the full .../openapi/dataproxy/getIpList; several addresses of it, separated by commas, are tried in turn; " +
			"required unless static_nodes is given. " +
			"Requests to it, and those alone, use the proxy of HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the environment, as it was when the " +
			"process made its first client; redirects are not followed"},
	duration("update_interval", "WithUpdateInterval", func(o *Options) *time.Duration { return &o.UpdateInterval }, 5*time.Minute,
		10*time.Millisecond, 24*time.Hour, "time between two requests for the node list, with 10 % jitter"),
	duration("conn_timeout", "WithConnTimeout", func(o *Options) *time.Duration { return &o.ConnTimeout }, 3*time.Second,
		10*time.Millisecond, time.Minute, "time in which a connection must open and answer its first heartbeat; also NewClient's wait for the first connection"),
	size("write_buffer_size", "WithWriteBufferSize", func(o *Options) *int { return &o.WriteBufferSize }, 8*mib, 1*kib, 1*gib,
		"upper bound of the frames that one write to a connection joins; at most 64 KiB are joined on purpose, and one longer frame is always whole"),
	size("read_buffer_size", "WithReadBufferSize", func(o *Options) *int { return &o.ReadBufferSize }, 1*mib, 1*kib, 1*gib,
		"upper bound of one answer, of which 64 KiB are always allowed; a connection that announces a longer one is closed; allocated as used"),
	size("socket_send_buffer_size", "WithSocketSendBufferSize", func(o *Options) *int { return &o.SocketSendBufferSize }, 8*mib, 1*kib, 1*gib,
		"SO_SNDBUF of a connection; the kernel may hold it lower"),
	size("socket_recv_buffer_size", "WithSocketRecvBufferSize", func(o *Options) *int { return &o.SocketRecvBufferSize }, 1*mib, 1*kib, 1*gib,
		"SO_RCVBUF of a connection; the kernel may hold it lower"),
	count("buffer_pool_size", "WithBufferPoolSize", func(o *Options) *int { return &o.BufferPoolSize }, 409600, 1, 1<<30,
		"upper bound of the buffers that the client keeps for re-use"),
	count("byte_pool_size", "WithBytePoolSize", func(o *Options) *int { return &o.BytePoolSize }, 409600, 1, 1<<30,
		"upper bound of the byte slices that the client's own byte pool keeps for re-use"),
	size("byte_pool_width", "WithBytePoolWidth", func(o *Options) *int { return &o.BytePoolWidth }, 0, 1, 1*gib,
		"length of the byte slices of the client's own byte pool; default max(4096, batching_max_size)"),
	{key: "metrics_name", name: "WithMetricsName", kind: kindString, field: func(o *Options) any { return &o.MetricsName },
		defText: "dataproxy-go", doc: "label \"name\" of the client's metrics; clients of one registry with one name share their series"},
	count("metrics_streams", "WithMetricsStreams", func(o *Options) *int { return &o.MetricsStreams }, 0, 0, 10000,
		"streams that are counted by themselves, the first that are sent to, in the data_proxy_stream_ metrics; the others are counted together, as stream \"other\"; "+
			"0 means that nothing is counted by stream"),
	count("worker_num", "WithWorkerNum", func(o *Options) *int { return &o.WorkerNum }, 8, 1, 1024,
		"number of lanes: connections, spread evenly over the nodes"),
	duration("send_timeout", "WithSendTimeout", func(o *Options) *time.Duration { return &o.SendTimeout }, 30*time.Second,
		time.Millisecond, 24*time.Hour, "total delivery deadline of a message, from its acceptance to its result, over all attempts; messages of a batch share that "+
			"of its first, so that one may end earlier by as much as BatchingMaxPublishDelay. Bulk sends have no more in flight than is acked in a "+
			"quarter of it, and in half of ack_timeout"),
	count("max_retries", "WithMaxRetries", func(o *Options) *int { return &o.MaxRetries }, 2, 0, 1000,
		"attempts after the first that may have been written and had no answer, or an error answer other than \"not now\" (1, 2, 114, 116 to 119); 0 means none; "+
			"waiting for a node that will take the message is no attempt: the deadline alone bounds it"),
	duration("batching_max_publish_delay", "WithBatchingMaxPublishDelay", func(o *Options) *time.Duration { return &o.BatchingMaxPublishDelay },
		20*time.Millisecond, 0, time.Minute, "linger: the longest time a batch stays open for more messages; 0 sends each message at once"),
	count("batching_max_messages", "WithBatchingMaxMessages", func(o *Options) *int { return &o.BatchingMaxMessages }, 50, 1, 32767,
		"messages that fill a batch"),
	size("batching_max_size", "WithBatchingMaxSize", func(o *Options) *int { return &o.BatchingMaxSize }, 40*kib, 16, 16*mib,
		"bytes that fill a batch; a single longer message travels alone"),
	count("max_pending_messages", "WithMaxPendingMessages", func(o *Options) *int { return &o.MaxPendingMessages }, 204800, 1, mostBudget,
		"messages without a result of the streams of one worker, whose callbacks run one after the other, so that one that is stuck leaves the others their room; "+
			"the client holds at most worker_num times as many. Where several streams share, one of them holds at most seven eighths"),
	boolean("block_if_queue_is_full", "WithBlockIfQueueIsFull", func(o *Options) *bool { return &o.BlockIfQueueIsFull },
		"when the bound of pending messages or bytes is reached: wait (true) or fail with \"queue full\" (false); 10 ms later open batches "+
			"that hold such room leave before their linger is over. So it is where bulk sends have as much in flight as they may, see send_timeout"),
	{key: "add_columns", name: "WithAddColumns", kind: kindMap, field: func(o *Options) any { return &o.AddColumns },
		doc: "attributes added to every batch, such as __addcol1__worldid=7, 4 KiB together at most; the value {{ip}} becomes the local IP"},
	duration("max_conn_lifetime", "WithMaxConnLifetime", func(o *Options) *time.Duration { return &o.MaxConnLifetime }, 0,
		0, noLimit, "a connection is drained and replaced after this time, with 10 % jitter; 0 means never, otherwise 10ms or more"),
	boolean("retry_on_server_error", "WithRetryOnServerError", func(o *Options) *bool { return &o.RetryOnServerError },
		"false: error answers that another node may cure (1, 2, 114 to 119) are retried; true: all but those that can never succeed"),
	duration("retry_initial_interval", "WithRetryInitialInterval", func(o *Options) *time.Duration { return &o.RetryInitialInterval },
		100*time.Millisecond, time.Millisecond, time.Minute, "back-off before the second attempt; doubles with jitter, capped at 10 s, and at 1 s while nodes answer \"not now\""),

	size("max_pending_bytes", "WithMaxPendingBytes", func(o *Options) *int { return &o.MaxPendingBytes }, 256*mib, 1*kib, mostBudgetBytes,
		"memory that messages without a result take, with all that the client keeps beside them, for the whole client; a quarter of it "+
			"is dealt out to the workers, and each keeps its part of that, whatever the others hold"),
	duration("ack_timeout", "WithAckTimeout", func(o *Options) *time.Duration { return &o.AckTimeout }, 10*time.Second,
		leastAckTimeout, time.Hour, "a connection with frames in flight is closed, and its batches go elsewhere, when no answer in order came for this time; while answers "+
			"come, a frame may wait longer, up to its message's deadline, but not on a node that is left because others are much faster; "+
			"unless set, a third of send_timeout where that is less"),
	boolean("ordered", "WithOrdered", func(o *Options) *bool { return &o.Ordered },
		"messages of one group and stream arrive at the node in the order of sending, through retries; costs one batch in flight a stream, and a batch ends where the attributes change"),
	{key: "static_nodes", name: "WithStaticNodes", kind: kindList, field: func(o *Options) any { return &o.StaticNodes },
		doc: "host:port of DataProxy nodes to use instead of asking a Manager; of a host name every address is tried, in random order"},
	{key: "node_cache", name: "WithNodeCache", kind: kindString, field: func(o *Options) any { return &o.NodeCache },
		doc: "file that keeps the last good node list: the client starts with it at once, and asks the Manager afterwards"},
	duration("manager_timeout", "WithManagerTimeout", func(o *Options) *time.Duration { return &o.ManagerTimeout }, 10*time.Second,
		10*time.Millisecond, 10*time.Minute, "bound of one question to the Manager, over all its addresses: one that is silent is asked again within it"),
	boolean("lazy_start", "WithLazyStart", func(o *Options) *bool { return &o.LazyStart },
		"the client is there at once, before the Manager was asked; messages wait for the first usable lane until their deadline"),
	{key: "basic_auth", name: "WithBasicAuth", kind: kindString, field: func(o *Options) any { return &o.BasicAuth },
		doc: "secretId:secretKey for the Manager; empty: its requests are not signed"},
	{key: "ca_file", name: "WithCAFile", kind: kindString, field: func(o *Options) any { return &o.CAFile },
		doc: "PEM file of the authorities that may sign the Manager's certificate, and with node_tls the nodes', instead of the system's; read again for each connection"},
	{key: "basic_auth_file", name: "WithBasicAuthFile", kind: kindString, field: func(o *Options) any { return &o.BasicAuthFile },
		doc: "file with secretId:secretKey for the Manager, instead of basic_auth; read again for each request, so that a new secret needs no restart"},
	{key: "client_cert_file", name: "WithClientCertFile", kind: kindString, field: func(o *Options) any { return &o.ClientCertFile },
		doc: "PEM file of the client's certificate, which the Manager, and with node_tls what stands before the nodes, may ask for; with client_key_file; read again " +
			"for each connection"},
	{key: "client_key_file", name: "WithClientKeyFile", kind: kindString, field: func(o *Options) any { return &o.ClientKeyFile },
		doc: "PEM file of that certificate's key"},
	{key: "socks", name: "WithSocks", kind: kindString, field: func(o *Options) any { return &o.Socks },
		doc: "host:port of a SOCKS5 proxy through which nodes are reached; it looks up their names. The Manager is asked through what HTTPS_PROXY names"},
	{key: "socks_auth", name: "WithSocksAuth", kind: kindString, field: func(o *Options) any { return &o.SocksAuth },
		doc: "user:password for that proxy, 255 bytes or less each"},
	boolean("node_tls", "WithNodeTLS", func(o *Options) *bool { return &o.NodeTLS },
		"speak TLS with the nodes: with a proxy before them that ends it, since a DataProxy speaks none; verified against ca_file or the system's authorities"),
	{key: "node_tls_name", name: "WithNodeTLSName", kind: kindString, field: func(o *Options) any { return &o.NodeTLSName },
		doc: "name that the certificate of each node must have with node_tls; empty: the node's host, as the Manager or static_nodes has it"},
	{key: "compression", name: "WithCompression", kind: kindEnum, field: func(o *Options) any { return (*string)(&o.Compression) },
		defText: string(Snappy), values: []string{string(None), string(Snappy)},
		doc: "compression of batches; bodies of 256 bytes or less are never compressed"},
	{key: "message_format", name: "WithMessageFormat", kind: kindEnum, field: func(o *Options) any { return (*string)(&o.MessageFormat) },
		defText: string(Text), values: []string{string(Text), string(Binary)}, doc: "frame type of batches: text (5) or binary (7)"},
	size("max_frame_size", "WithMaxFrameSize", func(o *Options) *int { return &o.MaxFrameSize }, 512*kib, 1*kib, 20*mib,
		"longest frame; a Manager's maxPacketLength lowers it further; a message that does not fit is refused as too long"),
	duration("heartbeat_interval", "WithHeartbeatInterval", func(o *Options) *time.Duration { return &o.HeartbeatInterval }, 30*time.Second,
		10*time.Millisecond, 50*time.Second, "a connection that sent nothing for this time sends a heartbeat; a node closes after 60 s at the earliest"),
	{key: "spool_dir", name: "WithSpoolDir", kind: kindString, field: func(o *Options) any { return &o.SpoolDir },
		doc: "folder in which each batch is stored before it is sent, and kept until it is acked; what is left there by a client that is gone is sent by the next one. " +
			"It may be shared by clients and processes of one machine; made, with mode 0700, where there is none. Empty: nothing is stored"},
	size("spool_max_bytes", "WithSpoolMaxBytes", func(o *Options) *int { return &o.SpoolMaxBytes }, 1*gib, 1*mib, 1024*gib,
		"bound of what the client stores; beyond it batches are kept in memory alone, as without spool_dir"),
	duration("spool_after", "WithSpoolAfter", func(o *Options) *time.Duration { return &o.SpoolAfter }, 0, 0, time.Hour,
		"a batch is sent at once, and stored only when it has no result this long after it was sealed, or at a close: a healthy cluster costs no disk, and a crash can lose what is "+
			"younger. 0: stored before it is sent; otherwise 10ms or more, and less than send_timeout"),
	{key: "spool_sync", name: "WithSpoolSync", kind: kindEnum, field: func(o *Options) any { return (*string)(&o.SpoolSync) },
		defText: string(SpoolSyncOff), values: []string{string(SpoolSyncOff), string(SpoolSyncInterval), string(SpoolSyncBatch)},
		doc: "off: what is stored outlives the end of the process; interval: all but the last spool_sync_interval a power cut too; batch: all of it, each batch waits for an fsync, " +
			"which many of them share"},
	duration("spool_sync_interval", "WithSpoolSyncInterval", func(o *Options) *time.Duration { return &o.SpoolSyncInterval }, time.Second,
		10*time.Millisecond, time.Hour, "time between two fsyncs with spool_sync=interval"),
	{key: "spool_result", name: "WithSpoolResult", kind: kindEnum, field: func(o *Options) any { return (*string)(&o.SpoolResult) },
		defText: string(SpoolResultAcked), values: []string{string(SpoolResultAcked), string(SpoolResultStored)},
		doc: "acked: a message has its result when it is acked, as without spool_dir; stored: success as soon as it is stored, and a close does not wait for the ack. " +
			"What cannot be stored has its result as with acked"},
	duration("spool_max_age", "WithSpoolMaxAge", func(o *Options) *time.Duration { return &o.SpoolMaxAge }, 0,
		0, noLimit, "what was stored longer ago is given up: removed, counted and logged; 0 means never, otherwise 1s or more"),
	boolean("trim_trailing_newline", "WithTrimTrailingNewline", func(o *Options) *bool { return &o.TrimTrailingNewline },
		"cut one newline off the end of a payload, as the existing Go SDK does"),
}

func duration(key, name string, f func(*Options) *time.Duration, def, lo, hi time.Duration, doc string) option {
	return option{key: key, name: name, kind: kindDuration, field: func(o *Options) any { return f(o) }, def: int64(def),
		min: int64(lo), max: int64(hi), doc: doc}
}

func count(key, name string, f func(*Options) *int, def, lo, hi int64, doc string) option {
	return option{key: key, name: name, kind: kindInt, field: func(o *Options) any { return f(o) }, def: def, min: lo, max: hi, doc: doc}
}

func size(key, name string, f func(*Options) *int, def, lo, hi int64, doc string) option {
	return option{key: key, name: name, kind: kindSize, field: func(o *Options) any { return f(o) }, def: def, min: lo, max: hi, doc: doc}
}

func boolean(key, name string, f func(*Options) *bool, doc string) option {
	return option{key: key, name: name, kind: kindBool, field: func(o *Options) any { return f(o) }, doc: doc}
}

// OptionTable returns every option that can be set by key and text.
func OptionTable() []OptionInfo {
	out := make([]OptionInfo, 0, len(optionTable))
	for i := range optionTable {
		out = append(out, optionTable[i].info())
	}
	return out
}
