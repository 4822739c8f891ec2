package dataproxy

import (
	"crypto/tls"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// WithGroupID sets the InLong group of messages that name no group. Required. 4 to 200 characters of A-Z a-z 0-9 _ . -
func WithGroupID(id string) Option {
	return func(o *Options) { o.GroupID = id; o.mark("group_id") }
}

// WithURL sets the Manager: its base url (http://host:port), or the full url that ends in
// /openapi/dataproxy/getIpList. Several addresses of one Manager are separated by commas and tried one after the other. Required
// unless WithStaticNodes is given: without both NewClient fails with ErrURLNotGiven.
//
// Only requests to the Manager use the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name in the environment, as it was when the
// process made its first client. With an http:// url the proxy, like everybody on the way, can read the credentials. Redirects are
// not followed: a signed request goes to the given url and nowhere else.
func WithURL(url string) Option {
	return func(o *Options) { o.URL = url; o.mark("url") }
}

// WithUpdateInterval sets the time between two requests for the node list. Default 5 minutes; 10 ms to 24 h.
func WithUpdateInterval(d time.Duration) Option {
	return func(o *Options) { o.UpdateInterval = d; o.mark("update_interval") }
}

// WithConnTimeout bounds the time in which a connection must open and answer its first heartbeat. Default 3 s; 10 ms to 1 minute.
func WithConnTimeout(d time.Duration) Option {
	return func(o *Options) { o.ConnTimeout = d; o.mark("conn_timeout") }
}

// WithWriteBufferSize bounds the bytes of frames that are joined for one write to a connection. Default 8 MiB; 1 KiB to 1 GiB. At most
// 64 KiB are joined on purpose. It is a bound, not a reservation.
func WithWriteBufferSize(n int) Option {
	return func(o *Options) { o.WriteBufferSize = n; o.mark("write_buffer_size") }
}

// WithReadBufferSize bounds one answer of a node; a connection that announces a longer one is closed. Default 1 MiB; 1 KiB to
// 1 GiB. 64 KiB are always allowed, since an answer has the attributes of its batch, up to twice. It is a bound, not a reservation.
func WithReadBufferSize(n int) Option {
	return func(o *Options) { o.ReadBufferSize = n; o.mark("read_buffer_size") }
}

// WithSocketSendBufferSize sets SO_SNDBUF of each connection. Default 8 MiB; 1 KiB to 1 GiB; the kernel may use a smaller one.
func WithSocketSendBufferSize(n int) Option {
	return func(o *Options) { o.SocketSendBufferSize = n; o.mark("socket_send_buffer_size") }
}

// WithSocketRecvBufferSize sets SO_RCVBUF of each connection. Default 1 MiB; 1 KiB to 1 GiB; the kernel may use a smaller one.
func WithSocketRecvBufferSize(n int) Option {
	return func(o *Options) { o.SocketRecvBufferSize = n; o.mark("socket_recv_buffer_size") }
}

// WithBufferPool sets the pool for the buffers of batches and writes, which the application may share; see NewBufferPool. If its Get
// returns nil the client makes a buffer and gives it to Put. Buffers of failed batches come back empty, without capacity: their bytes
// belong to the callback that received them. Default: pools of the client's own.
func WithBufferPool(p BufferPool) Option {
	return func(o *Options) { o.BufferPool = p }
}

// WithBytePool sets the pool for read buffers, one for each connection, which the application may share; see NewBytePool. A slice
// that is too short to read into comes back unused. Default: a pool of the client's own.
func WithBytePool(p BytePool) Option {
	return func(o *Options) { o.BytePool = p }
}

// WithBufferPoolSize bounds how many buffers the client's own pools keep. Default 409600; 1 to 2^30.
func WithBufferPoolSize(n int) Option {
	return func(o *Options) { o.BufferPoolSize = n; o.mark("buffer_pool_size") }
}

// WithBytePoolSize bounds how many byte slices the client's own byte pool keeps. Default 409600; 1 to 2^30.
func WithBytePoolSize(n int) Option {
	return func(o *Options) { o.BytePoolSize = n; o.mark("byte_pool_size") }
}

// WithBytePoolWidth sets the length of the slices of the client's own byte pool. Default max(4096, BatchingMaxSize); 1 byte to 1 GiB.
func WithBytePoolWidth(n int) Option {
	return func(o *Options) { o.BytePoolWidth = n; o.mark("byte_pool_width") }
}

// WithLogger sets where log lines go. Default, also for nil: standard output, from level WARN up. Lines that repeat are limited
// to one in 10 s. See WithSlog and NopLogger.
func WithLogger(l Logger) Option {
	return func(o *Options) { o.Logger = l }
}

// WithMetricsName sets the label "name" of the client's metrics, in UTF-8. Default, also for "": "dataproxy-go". Clients with the same
// name in one registry share their series.
func WithMetricsName(name string) Option {
	return func(o *Options) { o.MetricsName = name; o.mark("metrics_name") }
}

// WithMetricsStreams counts messages by stream. The first n streams that are sent to have series of their own in the
// data_proxy_stream_ metrics; the others are counted together, as stream "other". Default 0: nothing is counted by stream; up to 10000.
func WithMetricsStreams(n int) Option {
	return func(o *Options) { o.MetricsStreams = n; o.mark("metrics_streams") }
}

// WithMetricsRegistry sets where the metrics are registered. Default, also for nil: prometheus.DefaultRegisterer.
func WithMetricsRegistry(r prometheus.Registerer) Option {
	return func(o *Options) { o.MetricsRegistry = r }
}

// WithWorkerNum sets the number of lanes: connections, spread evenly over the nodes. Default 8; 1 to 1024.
func WithWorkerNum(n int) Option {
	return func(o *Options) { o.WorkerNum = n; o.mark("worker_num") }
}

// WithSendTimeout sets the delivery deadline of a message, from its acceptance to its result, over all attempts. Default 30 s; 1 ms to
// 24 h. The messages of a batch share the deadline of the first one, so a message may expire up to WithBatchingMaxPublishDelay early.
// A message that expires fails with CodeSendTimeout, and is not written any more. Bulk sends keep no more in flight than is acked in a
// quarter of this time, see SendBulk of FullClient.
func WithSendTimeout(d time.Duration) Option {
	return func(o *Options) { o.SendTimeout = d; o.mark("send_timeout") }
}

// WithMaxRetries sets how often a batch is retried after the first attempt. Default 2; 0 to 1000; 0 means never. A batch that a node
// answered with "not now" (1, 2, 114, 116 to 119) was not written, which is no attempt. Nor is waiting for a node that takes the
// message. Only the deadline bounds those.
func WithMaxRetries(n int) Option {
	return func(o *Options) { o.MaxRetries = n; o.mark("max_retries") }
}

// WithBatchingMaxPublishDelay sets the linger: the longest time for which a batch stays open for more messages. Default 20 ms; 0 to
// 1 minute; 0 sends each message at once.
func WithBatchingMaxPublishDelay(d time.Duration) Option {
	return func(o *Options) { o.BatchingMaxPublishDelay = d; o.mark("batching_max_publish_delay") }
}

// WithBatchingMaxMessages sets the number of messages at which a batch is full. Default 50; 1 to 32767.
func WithBatchingMaxMessages(n int) Option {
	return func(o *Options) { o.BatchingMaxMessages = n; o.mark("batching_max_messages") }
}

// WithBatchingMaxSize sets the number of bytes at which a batch is full. Default 40 KiB; 16 to 16 MiB. A longer message travels alone.
func WithBatchingMaxSize(n int) Option {
	return func(o *Options) { o.BatchingMaxSize = n; o.mark("batching_max_size") }
}

// WithMaxPendingMessages bounds the messages without a result that one worker holds. Each stream belongs to one of WorkerNum workers,
// which calls its callbacks. What the streams of one worker have pending, for instance because a callback hangs, takes no room from the
// others. The client holds at most WorkerNum times as many. If several streams share a worker, each holds at most seven eighths of its
// room. Default 204800; 1 to 2^23. See WithBlockIfQueueIsFull.
func WithMaxPendingMessages(n int) Option {
	return func(o *Options) { o.MaxPendingMessages = n; o.mark("max_pending_messages") }
}

// WithBlockIfQueueIsFull says what a send does when the bound of pending messages or bytes is reached: wait (true; the
// context and the send timeout bound the wait) or fail with CodeQueueFull (false, the default). 10 ms later the open batches
// that hold the room are sent before their linger is over.
func WithBlockIfQueueIsFull(block bool) Option {
	return func(o *Options) { o.BlockIfQueueIsFull = block; o.mark("block_if_queue_is_full") }
}

// WithAddColumns adds attributes to every batch, such as "__addcol1__worldid": "7". The value "{{ip}}" becomes
// the local IP. Default none. The rules of Message.Attributes hold; all together have 4 KiB or less.
func WithAddColumns(columns map[string]string) Option {
	return func(o *Options) { o.AddColumns = columns; o.mark("add_columns") }
}

// WithAuth sets what signs the requests to the Manager. Default: they are not signed. See WithBasicAuth.
func WithAuth(a Auth) Option {
	return func(o *Options) { o.Auth = a }
}

// WithMaxConnLifetime drains and replaces a connection after this time, with 10 % jitter. Default 0: never; otherwise 10 ms or more.
func WithMaxConnLifetime(d time.Duration) Option {
	return func(o *Options) { o.MaxConnLifetime = d; o.mark("max_conn_lifetime") }
}

// WithRetryOnServerError says which error answers are retried: those that another node may cure (1, 2, 114 to 119; false,
// the default), or all except those that can never succeed (true). ERRORS.md lists them.
func WithRetryOnServerError(all bool) Option {
	return func(o *Options) { o.RetryOnServerError = all; o.mark("retry_on_server_error") }
}

// WithRetryInitialInterval sets the back-off before the second attempt. Default 100 ms; 1 ms to 1 minute. It doubles with
// jitter up to 10 s, or up to 1 s while nodes answer "not now".
func WithRetryInitialInterval(d time.Duration) Option {
	return func(o *Options) { o.RetryInitialInterval = d; o.mark("retry_initial_interval") }
}

// WithBasicAuth signs requests to the Manager with a secret id and key, as the Manager requires since InLong 2.4.0. Default: they are
// not signed. It excludes WithAuth and WithBasicAuthFile.
func WithBasicAuth(secretID, secretKey string) Option {
	return func(o *Options) { o.BasicAuth = secretID + ":" + secretKey; o.mark("basic_auth") }
}

// WithBasicAuthFile names a file with "secretId:secretKey", instead of WithBasicAuth. It is read again for each request, so a new
// secret needs no restart. If it cannot be read then, or has no such pair, a log line says so and the last good pair stays in use; at the
// start that is an error. Replace it as a whole, by a rename. It must be a regular file, not a pipe. Default none. It excludes WithAuth
// and WithBasicAuth.
func WithBasicAuthFile(file string) Option {
	return func(o *Options) { o.BasicAuthFile = file; o.mark("basic_auth_file") }
}

// WithTLSConfig sets how a Manager over https, and with WithNodeTLS a node, is verified, and which certificate the client shows. Default,
// also for nil: the system's roots, no certificate. It excludes WithCAFile and WithClientCertFile. For certificates that change while the
// client is open use the functions of a tls.Config, such as GetClientCertificate.
func WithTLSConfig(c *tls.Config) Option {
	return func(o *Options) { o.TLSConfig = c }
}

// WithCAFile names a PEM file of the authorities that may sign the Manager's certificate, and with WithNodeTLS those of the nodes, instead of
// the system's roots. It is read again for each TLS connection. If it cannot be read then, or ends in the middle of a certificate, a log
// line says so and the last good authorities stay in use; at the start that is an error. It must be a regular file, not a pipe. Default:
// the system's roots. It excludes WithTLSConfig.
func WithCAFile(file string) Option {
	return func(o *Options) { o.CAFile = file; o.mark("ca_file") }
}

// WithClientCertFile names a PEM file with the client's certificate, followed by those of the authorities between it and the root. The
// client shows it to a Manager over https that asks for one, and with WithNodeTLS to a proxy before the nodes that does. It needs
// WithClientKeyFile. Both are read again for each TLS connection. While they do not match, as between two writes, a log line says so and
// the last pair that matched stays in use; at the start that is an error. Default none. It excludes WithTLSConfig.
func WithClientCertFile(file string) Option {
	return func(o *Options) { o.ClientCertFile = file; o.mark("client_cert_file") }
}

// WithClientKeyFile names a PEM file with the unencrypted key of WithClientCertFile. Default none.
func WithClientKeyFile(file string) Option {
	return func(o *Options) { o.ClientKeyFile = file; o.mark("client_key_file") }
}

// WithDialer sets the function that opens connections to nodes, for instance through a tunnel. Default, also for nil: TCP.
//
// The network is "tcp". The address is a node's host:port as the Manager or WithStaticNodes lists it; the Dialer looks up the name. Its
// context ends with WithConnTimeout, and with the client. Many goroutines of the client call it at a time. If it returns late, or panics,
// that attempt to connect fails.
//
// The client sends a heartbeat on each connection first, and owns the connection. Its methods must be safe to call from several
// goroutines, and must return when it is closed; it need not support deadlines. If it is neither TCP nor TLS over TCP, frames that it still
// holds when the client closes it may still arrive, as duplicates of what was sent elsewhere. It excludes WithSocks; WithNodeTLS uses TLS
// over it. Requests to the Manager do not use it.
func WithDialer(dial Dialer) Option {
	return func(o *Options) { o.Dialer = dial }
}

// WithSocks names a SOCKS5 proxy (host:port) through which nodes are reached; the proxy looks up their names. Requests to the Manager do
// not use it; HTTPS_PROXY=socks5://host:port is for them, see WithURL. Default none. It excludes WithDialer.
func WithSocks(address string) Option {
	return func(o *Options) { o.Socks = address; o.mark("socks") }
}

// WithSocksAuth sets user and password for the proxy of WithSocks, 1 to 255 bytes each. They are sent unencrypted. Default none.
func WithSocksAuth(user, password string) Option {
	return func(o *Options) { o.SocksAuth = user + ":" + password; o.mark("socks_auth") }
}

// WithNodeTLS uses TLS to the nodes. A DataProxy has no TLS, so a proxy before it must end it. Default false. The certificate is
// verified against WithCAFile, WithTLSConfig or the system's roots, for the node's host or WithNodeTLSName.
func WithNodeTLS(on bool) Option {
	return func(o *Options) { o.NodeTLS = on; o.mark("node_tls") }
}

// WithNodeTLSName sets the name that the certificate of each node must have with WithNodeTLS, for nodes that are listed by address or
// share one proxy. Default, also for "": the node's host.
func WithNodeTLSName(name string) Option {
	return func(o *Options) { o.NodeTLSName = name; o.mark("node_tls_name") }
}

// WithMaxPendingBytes bounds the memory of messages without a result in the whole client: payloads, and what the client keeps
// for them (some 900 bytes for a batch, 50 for a message). A quarter of it is divided among the workers (see WithMaxPendingMessages), and
// each keeps its part whatever the others hold. So one worker alone gets three quarters and its own part. Default 256 MiB; 1 KiB to 512 GiB.
func WithMaxPendingBytes(n int) Option {
	return func(o *Options) { o.MaxPendingBytes = n; o.mark("max_pending_bytes") }
}

// WithAckTimeout bounds the wait for the next answer. A connection with frames in flight is closed, and its batches go elsewhere, if no
// answer in order comes for this time. While answers come, a frame may wait longer, up to its message's deadline. Default 10 s, or a
// third of the send timeout if that is less; 10 ms to 1 h.
func WithAckTimeout(d time.Duration) Option {
	return func(o *Options) { o.AckTimeout = d; o.mark("ack_timeout") }
}

// WithOrdered keeps messages of one group and stream in the order of sending, also when they are retried. The cost: a stream has one
// batch in flight at a time, and a batch ends where the attributes change. Default false.
func WithOrdered(ordered bool) Option {
	return func(o *Options) { o.Ordered = ordered; o.mark("ordered") }
}

// WithStaticNodes lists the nodes (host:port, [address]:port for IPv6) instead of a Manager, which is never asked then. All
// addresses of a host name are tried, in random order and again for each connection, so the lanes spread over the addresses
// of a service. Default none; at least one.
func WithStaticNodes(nodes ...string) Option {
	return func(o *Options) { o.StaticNodes = nodes; o.mark("static_nodes") }
}

// WithManagerTimeout bounds one question to the Manager, over all its addresses and all requests. An address that is silent is asked
// again within this time, since a Manager that has just started takes seconds for its first answer. Default 10 s; 10 ms to 10 minutes.
func WithManagerTimeout(d time.Duration) Option {
	return func(o *Options) { o.ManagerTimeout = d; o.mark("manager_timeout") }
}

// WithNodeCache names a file that keeps the last good node list. A client that finds it starts with that list at once and asks the
// Manager afterwards; a log line reports a Manager that is down. The file is replaced as a whole, has no secret, and counts only for
// the same Manager and group. If it cannot be written a log line says so. Default none.
func WithNodeCache(file string) Option {
	return func(o *Options) { o.NodeCache = file; o.mark("node_cache") }
}

// WithLazyStart makes NewClient return at once, before the Manager was asked. Messages wait for the first usable lane until their
// deadline. Faults of the options are still errors; a Manager or nodes that cannot be reached are only logged. Default false.
func WithLazyStart(lazy bool) Option {
	return func(o *Options) { o.LazyStart = lazy; o.mark("lazy_start") }
}

// WithCompression sets how batches are compressed: Snappy (default) or None. Bodies of 256 bytes or less are never compressed.
func WithCompression(c Compression) Option {
	return func(o *Options) { o.Compression = c; o.mark("compression") }
}

// WithMessageFormat sets the kind of frame: Text (type 5, the default) or Binary (type 7).
func WithMessageFormat(f MessageFormat) Option {
	return func(o *Options) { o.MessageFormat = f; o.mark("message_format") }
}

// WithMaxFrameSize sets the longest frame. Default 512 KiB; 1 KiB to 20 MiB. The Manager's maxPacketLength can lower it further. A
// message that does not fit is refused with CodeLogTooLong.
func WithMaxFrameSize(n int) Option {
	return func(o *Options) { o.MaxFrameSize = n; o.mark("max_frame_size") }
}

// WithHeartbeatInterval sends a heartbeat on a connection that sent nothing for this time. Default 30 s; 10 ms to 50 s
// (a node closes an idle connection after 60 s at the earliest).
func WithHeartbeatInterval(d time.Duration) Option {
	return func(o *Options) { o.HeartbeatInterval = d; o.mark("heartbeat_interval") }
}

// WithTrimTrailingNewline removes one newline from the end of a payload, as the existing Go SDK does. Default false: bytes are
// sent as given.
func WithTrimTrailingNewline(trim bool) Option {
	return func(o *Options) { o.TrimTrailingNewline = trim; o.mark("trim_trailing_newline") }
}

// WithResultHandler sets the function that receives the results of messages given to Embedder.Submit. Default, also for nil: none.
func WithResultHandler(h ResultHandler) Option {
	return func(o *Options) { o.ResultHandler = h }
}

// WithSpoolDir stores each batch in a folder before it is sent, and keeps it there until it is acked. What a client leaves there when it
// is closed or its process ends is sent by the next client that opens the folder, or by one that has it open: it looks every 10 seconds.
//
// A message that expires while it is stored ends with CodeStored: it will be delivered, and must not be sent again. The oldest messages
// end so too if memory is short while no node takes any. After the end of a process duplicates are possible; they have the ids of
// their batches.
//
// Clients and processes may share the folder. It is created with mode 0700; NewClient fails if it cannot be used. A disk that fails
// later stops nothing: the client continues without it, says so in the log, and tries again. Default: nothing is stored.
func WithSpoolDir(dir string) Option {
	return func(o *Options) { o.SpoolDir = dir; o.mark("spool_dir") }
}

// WithSpoolMaxBytes bounds what the client stores. Default 1 GiB; 1 MiB to 1024 GiB. Beyond that, batches are kept only in memory, as
// without WithSpoolDir, until acks make room.
func WithSpoolMaxBytes(n int) Option {
	return func(o *Options) { o.SpoolMaxBytes = n; o.mark("spool_max_bytes") }
}

// WithSpoolAfter sends each batch at once, and stores it only if it has no result this long after it was sealed. With a healthy cluster
// nothing is written to the disk; a crash can lose what is younger. At a close, and while no node takes messages and memory is short,
// everything without a result is stored. Default 0: a batch is stored before it is sent; otherwise 10 ms or more, and less than
// WithSendTimeout. It excludes SpoolResultStored.
func WithSpoolAfter(d time.Duration) Option {
	return func(o *Options) { o.SpoolAfter = d; o.mark("spool_after") }
}

// WithSpoolSync sets when stored batches survive a power cut: SpoolSyncOff (default), SpoolSyncInterval or SpoolSyncBatch. They survive
// the end of the process in any case.
func WithSpoolSync(s SpoolSync) Option {
	return func(o *Options) { o.SpoolSync = s; o.mark("spool_sync") }
}

// WithSpoolSyncInterval sets the time between two fsyncs with SpoolSyncInterval. Default 1 s; 10 ms to 1 h.
func WithSpoolSyncInterval(d time.Duration) Option {
	return func(o *Options) { o.SpoolSyncInterval = d; o.mark("spool_sync_interval") }
}

// WithSpoolResult sets when a message has its result. SpoolResultAcked (default): when it is acked, as without WithSpoolDir.
// SpoolResultStored: it succeeds as soon as it is stored, which with SpoolSyncBatch is after the fsync. Stats and the report of a close
// count it as acked then, and a close does not wait for the ack. A message that cannot be stored, on a full or failing disk, has its
// result as with SpoolResultAcked.
func WithSpoolResult(r SpoolResult) Option {
	return func(o *Options) { o.SpoolResult = r; o.mark("spool_result") }
}

// WithSpoolMaxAge gives up what was stored longer ago: it is removed, counted, and logged. The age counts from the time when a batch was
// stored, by the wall clock. A step of the clock while the client is open does not change it, a step between two runs does. Default 0:
// never; otherwise 1 s or more.
func WithSpoolMaxAge(d time.Duration) Option {
	return func(o *Options) { o.SpoolMaxAge = d; o.mark("spool_max_age") }
}
