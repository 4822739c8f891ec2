package dataproxy

import (
	"log/slog"
	"time"
)

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

// WithHooks adds functions that are called with what happens to messages and batches, to those of other WithHooks. Default: none.
func WithHooks(h Hooks) Option {
	return func(o *Options) { o.Hooks = append(o.Hooks, h) }
}

// WithSlog sends log lines to l; nil means the default of WithLogger.
func WithSlog(l *slog.Logger) Option {
	if l == nil {
		return WithLogger(nil)
	}
	return WithLogger(slogLogger{l})
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
