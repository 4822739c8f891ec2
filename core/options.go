package dataproxy

import (
	"bytes"
	"crypto/tls"
	"math"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// DefaultURL is the address of a Manager on the same machine, for [WithURL]. It is not a default: a url has to be given.
const DefaultURL = "http://127.0.0.1:8083/inlong/manager/openapi/dataproxy/getIpList"

// Option sets one option of a client; see the With functions.
type Option func(*Options)

// Options holds the options of a client. Most programs use the With functions instead; a zero field means the default,
// which the With function of the same name states, unless the option was set to zero explicitly.
type Options struct {
	GroupID                 string
	URL                     string
	UpdateInterval          time.Duration
	ConnTimeout             time.Duration
	WriteBufferSize         int
	ReadBufferSize          int
	SocketSendBufferSize    int
	SocketRecvBufferSize    int
	BufferPool              BufferPool
	BytePool                BytePool
	BufferPoolSize          int
	BytePoolSize            int
	BytePoolWidth           int
	Logger                  Logger
	MetricsName             string
	MetricsRegistry         prometheus.Registerer
	WorkerNum               int
	SendTimeout             time.Duration
	MaxRetries              int
	BatchingMaxPublishDelay time.Duration
	BatchingMaxMessages     int
	BatchingMaxSize         int
	MaxPendingMessages      int
	BlockIfQueueIsFull      bool
	AddColumns              map[string]string
	Auth                    Auth
	MaxConnLifetime         time.Duration
	RetryOnServerError      bool
	RetryInitialInterval    time.Duration

	MaxPendingBytes     int
	AckTimeout          time.Duration
	Ordered             bool
	StaticNodes         []string
	NodeCache           string
	LazyStart           bool
	ManagerTimeout      time.Duration
	BasicAuth           string
	BasicAuthFile       string
	TLSConfig           *tls.Config
	CAFile              string
	ClientCertFile      string
	ClientKeyFile       string
	Dialer              Dialer
	Socks               string
	SocksAuth           string
	NodeTLS             bool
	NodeTLSName         string
	Compression         Compression
	MessageFormat       MessageFormat
	MaxFrameSize        int
	HeartbeatInterval   time.Duration
	TrimTrailingNewline bool
	ResultHandler       ResultHandler
	Hooks               []Hooks
	MetricsStreams      int
	SpoolDir            string
	SpoolMaxBytes       int
	SpoolAfter          time.Duration
	SpoolSync           SpoolSync
	SpoolSyncInterval   time.Duration
	SpoolResult         SpoolResult
	SpoolMaxAge         time.Duration

	explicit map[string]bool // keys set through a With function: a zero there is meant
	faults   []error         // of WithOption: bad keys and texts
}

// BufferPool lends growing buffers; Get's buffer is empty. Its methods are called by senders and by goroutines of the client, must
// not block, and must not call the client. See WithBufferPool.
type BufferPool interface {
	Get() *bytes.Buffer
	Put(*bytes.Buffer)
}

// BytePool lends byte slices. Its methods are called by goroutines of the client and must not block. See WithBytePool.
type BytePool interface {
	Get() []byte
	Put([]byte)
}

// SpoolSync says when stored messages survive a power cut.
type SpoolSync string

// When stored batches are synced to the disk.
const (
	SpoolSyncOff      SpoolSync = "off"
	SpoolSyncInterval SpoolSync = "interval"
	SpoolSyncBatch    SpoolSync = "batch"
)

// SpoolResult says when a message that is stored has its result.
type SpoolResult string

// When stored messages have their results.
const (
	SpoolResultAcked  SpoolResult = "acked"
	SpoolResultStored SpoolResult = "stored"
)

// Compression says how batches are compressed on the wire.
type Compression string

// The compressions.
const (
	None   Compression = "none"
	Snappy Compression = "snappy"
)

// MessageFormat is the kind of frame that carries a batch.
type MessageFormat string

// The message formats: Text is the protocol's type 5 (event time in ms), Binary its type 7 (event time in s, about half the
// CPU at the server).
const (
	Text   MessageFormat = "text"
	Binary MessageFormat = "binary"
)

func (o *Options) mark(key string) {
	if o.explicit == nil {
		o.explicit = make(map[string]bool)
	}
	o.explicit[key] = true
}

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
		doc: "the Manager's base url, or the full .../openapi/dataproxy/getIpList; several addresses, separated by commas, are tried one after the other. " +
			"Required unless static_nodes is given. " +
			"Only requests to the Manager use the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name in the environment, as it was when the " +
			"process made its first client; redirects are not followed"},
	duration("update_interval", "WithUpdateInterval", func(o *Options) *time.Duration { return &o.UpdateInterval }, 5*time.Minute,
		10*time.Millisecond, 24*time.Hour, "time between two requests for the node list, with 10 % jitter"),
	duration("conn_timeout", "WithConnTimeout", func(o *Options) *time.Duration { return &o.ConnTimeout }, 3*time.Second,
		10*time.Millisecond, time.Minute, "time in which a connection must open and answer its first heartbeat; also NewClient's wait for the first connection"),
	size("write_buffer_size", "WithWriteBufferSize", func(o *Options) *int { return &o.WriteBufferSize }, 8*mib, 1*kib, 1*gib,
		"upper bound of the frames that are joined in one write to a connection; at most 64 KiB are joined on purpose, and a longer frame is never split"),
	size("read_buffer_size", "WithReadBufferSize", func(o *Options) *int { return &o.ReadBufferSize }, 1*mib, 1*kib, 1*gib,
		"upper bound of one answer; 64 KiB are always allowed, and a connection that announces more is closed. The memory is allocated when it is needed"),
	size("socket_send_buffer_size", "WithSocketSendBufferSize", func(o *Options) *int { return &o.SocketSendBufferSize }, 8*mib, 1*kib, 1*gib,
		"SO_SNDBUF of a connection; the kernel may use a smaller one"),
	size("socket_recv_buffer_size", "WithSocketRecvBufferSize", func(o *Options) *int { return &o.SocketRecvBufferSize }, 1*mib, 1*kib, 1*gib,
		"SO_RCVBUF of a connection; the kernel may use a smaller one"),
	count("buffer_pool_size", "WithBufferPoolSize", func(o *Options) *int { return &o.BufferPoolSize }, 409600, 1, 1<<30,
		"how many buffers the client keeps for reuse at most"),
	count("byte_pool_size", "WithBytePoolSize", func(o *Options) *int { return &o.BytePoolSize }, 409600, 1, 1<<30,
		"how many byte slices the client's own byte pool keeps for reuse at most"),
	size("byte_pool_width", "WithBytePoolWidth", func(o *Options) *int { return &o.BytePoolWidth }, 0, 1, 1*gib,
		"length of the byte slices of the client's own byte pool; default max(4096, batching_max_size)"),
	{key: "metrics_name", name: "WithMetricsName", kind: kindString, field: func(o *Options) any { return &o.MetricsName },
		defText: "dataproxy-go", doc: "label \"name\" of the client's metrics; clients with the same name in one registry share their series"},
	count("metrics_streams", "WithMetricsStreams", func(o *Options) *int { return &o.MetricsStreams }, 0, 0, 10000,
		"how many streams have series of their own in the data_proxy_stream_ metrics, in the order in which they are first sent to; the others are counted together, as stream \"other\". "+
			"0: nothing is counted by stream"),
	count("worker_num", "WithWorkerNum", func(o *Options) *int { return &o.WorkerNum }, 8, 1, 1024,
		"number of lanes, which are connections spread evenly over the nodes"),
	duration("send_timeout", "WithSendTimeout", func(o *Options) *time.Duration { return &o.SendTimeout }, 30*time.Second,
		time.Millisecond, 24*time.Hour, "delivery deadline of a message, over all attempts: the time from its acceptance to its result. The messages of a batch share the deadline "+
			"of the first one, so a message may expire up to batching_max_publish_delay early. Bulk sends keep no more in flight than is acked in a "+
			"quarter of this time, and in half of ack_timeout"),
	count("max_retries", "WithMaxRetries", func(o *Options) *int { return &o.MaxRetries }, 2, 0, 1000,
		"how often a batch is retried after an attempt that may have been written and had no answer, or had an error answer other than \"not now\" (1, 2, 114, 116 to 119); 0 means never. "+
			"Waiting for a node that takes the message is no attempt: only the deadline limits it"),
	duration("batching_max_publish_delay", "WithBatchingMaxPublishDelay", func(o *Options) *time.Duration { return &o.BatchingMaxPublishDelay },
		20*time.Millisecond, 0, time.Minute, "linger: the longest time for which a batch stays open for more messages; 0 sends each message at once"),
	count("batching_max_messages", "WithBatchingMaxMessages", func(o *Options) *int { return &o.BatchingMaxMessages }, 50, 1, 32767,
		"number of messages at which a batch is full"),
	size("batching_max_size", "WithBatchingMaxSize", func(o *Options) *int { return &o.BatchingMaxSize }, 40*kib, 16, 16*mib,
		"number of bytes at which a batch is full; a longer message travels alone"),
	count("max_pending_messages", "WithMaxPendingMessages", func(o *Options) *int { return &o.MaxPendingMessages }, 204800, 1, mostBudget,
		"how many messages without a result one worker holds for its streams; the client holds at most worker_num times as many. A worker whose callback is stuck "+
			"leaves the others their room. Where several streams share a worker, each holds at most seven eighths of it"),
	boolean("block_if_queue_is_full", "WithBlockIfQueueIsFull", func(o *Options) *bool { return &o.BlockIfQueueIsFull },
		"what a send does when max_pending_messages or max_pending_bytes is reached: wait (true) or fail with \"queue full\" (false). After 10 ms of waiting, open batches "+
			"that hold the room are sent before their linger is over. Bulk sends also wait, or fail, at the limit described at send_timeout"),
	{key: "add_columns", name: "WithAddColumns", kind: kindMap, field: func(o *Options) any { return &o.AddColumns },
		doc: "attributes that are added to every batch, such as __addcol1__worldid=7, at most 4 KiB together; the value {{ip}} is replaced by the local IP"},
	duration("max_conn_lifetime", "WithMaxConnLifetime", func(o *Options) *time.Duration { return &o.MaxConnLifetime }, 0,
		0, noLimit, "a connection is drained and replaced after this time, with 10 % jitter. 0 means never, otherwise 10ms or more"),
	boolean("retry_on_server_error", "WithRetryOnServerError", func(o *Options) *bool { return &o.RetryOnServerError },
		"false: error answers that another node may cure (1, 2, 114 to 119) are retried; true: all but those that can never succeed"),
	duration("retry_initial_interval", "WithRetryInitialInterval", func(o *Options) *time.Duration { return &o.RetryInitialInterval },
		100*time.Millisecond, time.Millisecond, time.Minute, "back-off before the second attempt; it doubles with jitter, up to 10 s, or up to 1 s while nodes answer \"not now\""),

	size("max_pending_bytes", "WithMaxPendingBytes", func(o *Options) *int { return &o.MaxPendingBytes }, 256*mib, 1*kib, mostBudgetBytes,
		"how much memory messages without a result take in the whole client, with everything that the client keeps for them. A quarter of it "+
			"is divided among the workers: each keeps its part of that, whatever the others hold"),
	duration("ack_timeout", "WithAckTimeout", func(o *Options) *time.Duration { return &o.AckTimeout }, 10*time.Second,
		leastAckTimeout, time.Hour, "a connection with frames in flight is closed, and its batches go elsewhere, when no answer in order comes for this time. While answers "+
			"come, a frame may wait longer, up to its message's deadline, except on a node that is left because others are much faster. "+
			"The default is a third of send_timeout if that is less"),
	boolean("ordered", "WithOrdered", func(o *Options) *bool { return &o.Ordered },
		"messages of one group and stream arrive at the node in the order of sending, also when they are retried. The cost: a stream has one batch in flight at a time, and a batch ends where the attributes change"),
	{key: "static_nodes", name: "WithStaticNodes", kind: kindList, field: func(o *Options) any { return &o.StaticNodes },
		doc: "host:port of DataProxy nodes to use instead of asking a Manager; all addresses of a host name are tried, in random order"},
	{key: "node_cache", name: "WithNodeCache", kind: kindString, field: func(o *Options) any { return &o.NodeCache },
		doc: "file that keeps the last good node list: the client starts with this list at once and asks the Manager afterwards"},
	duration("manager_timeout", "WithManagerTimeout", func(o *Options) *time.Duration { return &o.ManagerTimeout }, 10*time.Second,
		10*time.Millisecond, 10*time.Minute, "time limit of one request for the node list, over all addresses of the Manager; one that does not answer is asked again within it"),
	boolean("lazy_start", "WithLazyStart", func(o *Options) *bool { return &o.LazyStart },
		"NewClient returns at once, before the Manager was asked; messages wait for the first usable lane until their deadline"),
	{key: "basic_auth", name: "WithBasicAuth", kind: kindString, field: func(o *Options) any { return &o.BasicAuth },
		doc: "secretId:secretKey for the Manager; empty: requests carry no credentials"},
	{key: "ca_file", name: "WithCAFile", kind: kindString, field: func(o *Options) any { return &o.CAFile },
		doc: "PEM file of the authorities that may sign the Manager's certificate, and with node_tls also the nodes', instead of the system's; it is read again for each connection"},
	{key: "basic_auth_file", name: "WithBasicAuthFile", kind: kindString, field: func(o *Options) any { return &o.BasicAuthFile },
		doc: "file with secretId:secretKey for the Manager, instead of basic_auth; it is read again for each request, so a new secret needs no restart"},
	{key: "client_cert_file", name: "WithClientCertFile", kind: kindString, field: func(o *Options) any { return &o.ClientCertFile },
		doc: "PEM file of the client's certificate, for a Manager that asks for one, and with node_tls for a proxy before the nodes; it needs client_key_file. It is read again " +
			"for each connection"},
	{key: "client_key_file", name: "WithClientKeyFile", kind: kindString, field: func(o *Options) any { return &o.ClientKeyFile },
		doc: "PEM file of the key of the client's certificate"},
	{key: "socks", name: "WithSocks", kind: kindString, field: func(o *Options) any { return &o.Socks },
		doc: "host:port of a SOCKS5 proxy through which nodes are reached; the proxy looks up their names. The Manager is asked through the proxy that HTTPS_PROXY names"},
	{key: "socks_auth", name: "WithSocksAuth", kind: kindString, field: func(o *Options) any { return &o.SocksAuth },
		doc: "user:password for the SOCKS5 proxy, 255 bytes or less each"},
	boolean("node_tls", "WithNodeTLS", func(o *Options) *bool { return &o.NodeTLS },
		"use TLS to the nodes. A DataProxy has no TLS, so a proxy before it must end it; its certificate is verified against ca_file or the system's authorities"),
	{key: "node_tls_name", name: "WithNodeTLSName", kind: kindString, field: func(o *Options) any { return &o.NodeTLSName },
		doc: "name that the certificate of each node must have with node_tls; empty: the node's host, as the Manager or static_nodes lists it"},
	{key: "compression", name: "WithCompression", kind: kindEnum, field: func(o *Options) any { return (*string)(&o.Compression) },
		defText: string(Snappy), values: []string{string(None), string(Snappy)},
		doc: "how batches are compressed; bodies of 256 bytes or less never are"},
	{key: "message_format", name: "WithMessageFormat", kind: kindEnum, field: func(o *Options) any { return (*string)(&o.MessageFormat) },
		defText: string(Text), values: []string{string(Text), string(Binary)}, doc: "frame type of batches: text (5) or binary (7)"},
	size("max_frame_size", "WithMaxFrameSize", func(o *Options) *int { return &o.MaxFrameSize }, 512*kib, 1*kib, 20*mib,
		"length of the longest frame; the Manager's maxPacketLength can lower it further. A message that does not fit is refused as too long"),
	duration("heartbeat_interval", "WithHeartbeatInterval", func(o *Options) *time.Duration { return &o.HeartbeatInterval }, 30*time.Second,
		10*time.Millisecond, 50*time.Second, "a connection that sent nothing for this time sends a heartbeat; a node closes after 60 s at the earliest"),
	{key: "spool_dir", name: "WithSpoolDir", kind: kindString, field: func(o *Options) any { return &o.SpoolDir },
		doc: "folder in which each batch is stored before it is sent, and kept until it is acked. What a client has left there is sent by the next one. " +
			"Clients and processes of one machine may share it. It is created with mode 0700. Empty: nothing is stored"},
	size("spool_max_bytes", "WithSpoolMaxBytes", func(o *Options) *int { return &o.SpoolMaxBytes }, 1*gib, 1*mib, 1024*gib,
		"how much the client stores at most; beyond that, batches are kept only in memory, as without spool_dir"),
	duration("spool_after", "WithSpoolAfter", func(o *Options) *time.Duration { return &o.SpoolAfter }, 0, 0, time.Hour,
		"a batch is sent at once, and stored only if it has no result after this time, or at a close. With a healthy cluster nothing is written to the disk; a crash can lose what is "+
			"younger. 0: each batch is stored before it is sent; otherwise 10ms or more, and less than send_timeout"),
	{key: "spool_sync", name: "WithSpoolSync", kind: kindEnum, field: func(o *Options) any { return (*string)(&o.SpoolSync) },
		defText: string(SpoolSyncOff), values: []string{string(SpoolSyncOff), string(SpoolSyncInterval), string(SpoolSyncBatch)},
		doc: "off: what is stored survives the end of the process; interval: also a power cut, except for the last spool_sync_interval; batch: all of it does, since each batch waits for an fsync, " +
			"which many batches share"},
	duration("spool_sync_interval", "WithSpoolSyncInterval", func(o *Options) *time.Duration { return &o.SpoolSyncInterval }, time.Second,
		10*time.Millisecond, time.Hour, "time between two fsyncs with spool_sync=interval"),
	{key: "spool_result", name: "WithSpoolResult", kind: kindEnum, field: func(o *Options) any { return (*string)(&o.SpoolResult) },
		defText: string(SpoolResultAcked), values: []string{string(SpoolResultAcked), string(SpoolResultStored)},
		doc: "acked: a message has its result when it is acked, as without spool_dir; stored: it succeeds as soon as it is stored, and a close does not wait for the ack. " +
			"A message that cannot be stored has its result as with acked"},
	duration("spool_max_age", "WithSpoolMaxAge", func(o *Options) *time.Duration { return &o.SpoolMaxAge }, 0,
		0, noLimit, "messages that were stored longer ago are given up: removed, counted and logged. 0 means never, otherwise 1s or more"),
	boolean("trim_trailing_newline", "WithTrimTrailingNewline", func(o *Options) *bool { return &o.TrimTrailingNewline },
		"remove one newline from the end of a payload, as the existing Go SDK does"),
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

func (opt *option) info() OptionInfo {
	info := OptionInfo{Key: opt.key, Name: opt.name, Kind: opt.kind, Doc: opt.doc, Values: strings.Join(opt.values, "|")}
	switch opt.kind {
	case kindDuration, kindInt, kindSize:
		info.Default, info.Min = opt.text(opt.def), opt.text(opt.min)
		if opt.max != noLimit {
			info.Max = opt.text(opt.max)
		}
		if opt.key == "byte_pool_width" {
			info.Default = "" // depends on another option; the doc says how
		}
	case kindBool:
		info.Default = "false"
	default:
		info.Default = opt.defText
	}
	return info
}
