package dataproxy

import (
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

// WithBytePoolWidth sets the length of the slices of the client's own byte pool. Default max(4096, BatchingMaxSize); 1 byte to
// 1 GiB.
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

// WithBatchingMaxSize sets the number of bytes at which a batch is full. Default 40 KiB; 16 to 16 MiB. A longer message travels
// alone.
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

// WithMaxConnLifetime drains and replaces a connection after this time, with 10 % jitter. Default 0: never; otherwise 10 ms
// or more.
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
