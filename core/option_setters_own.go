package dataproxy

import (
	"log/slog"
	"time"
)

// WithMaxPendingBytes bounds the memory that messages without a result take, for the whole client: payloads, and what the client keeps
// beside them (some 900 bytes a batch, 50 a message). A quarter of it is dealt out to the
// workers (see WithMaxPendingMessages), and each keeps its part of that whatever the others hold: one worker alone gets three
// quarters and its own part. Default 256 MiB; 1 KiB to 512 GiB.
func WithMaxPendingBytes(n int) Option {
	return func(o *Options) { o.MaxPendingBytes = n; o.mark("max_pending_bytes") }
}

// WithAckTimeout bounds the wait for the next answer: a connection from which none came in order for that long, while frames wait
// for one, is closed, and its batches go elsewhere. While answers come, a frame behind them may wait longer, up to its message's
// deadline. Default 10 s, or a third of the send timeout where that is less; 10 ms to 1 h.
func WithAckTimeout(d time.Duration) Option {
	return func(o *Options) { o.AckTimeout = d; o.mark("ack_timeout") }
}

// WithOrdered keeps messages of one group and stream in the order of sending, through retries. It costs one batch in flight a
// stream, and a batch ends where the attributes change. Default false.
func WithOrdered(ordered bool) Option {
	return func(o *Options) { o.Ordered = ordered; o.mark("ordered") }
}

// WithStaticNodes gives the nodes (host:port, [address]:port for IPv6) instead of a Manager, which is never asked then. Of a
// host name every address is tried, in random order and again for each connection, so that the lanes spread over the addresses
// of a service. Default none; at least one.
func WithStaticNodes(nodes ...string) Option {
	return func(o *Options) { o.StaticNodes = nodes; o.mark("static_nodes") }
}

// WithManagerTimeout bounds one question to the Manager, over all its addresses and all requests: one that is silent is asked again
// within it, since a Manager that has just started takes seconds for its first answer. Default 10 s; 10 ms to 10 minutes.
func WithManagerTimeout(d time.Duration) Option {
	return func(o *Options) { o.ManagerTimeout = d; o.mark("manager_timeout") }
}

// WithNodeCache names a file that keeps the last good node list. A client that finds it starts with that list at once and asks the
// Manager behind that; a log line says so when the Manager is down. It is replaced as a whole, holds no secret, and counts only for
// the same Manager and group. A file that cannot be written costs a log line. Default none.
func WithNodeCache(file string) Option {
	return func(o *Options) { o.NodeCache = file; o.mark("node_cache") }
}

// WithLazyStart lets NewClient return at once, before the Manager was asked: messages wait for the first usable lane until their
// deadline. Faults of the options are still reported; a Manager or nodes that cannot be reached only in the log. Default false.
func WithLazyStart(lazy bool) Option {
	return func(o *Options) { o.LazyStart = lazy; o.mark("lazy_start") }
}

// WithCompression sets how batches are compressed: Snappy (default) or None. Bodies of 256 bytes or less never are.
func WithCompression(c Compression) Option {
	return func(o *Options) { o.Compression = c; o.mark("compression") }
}

// WithMessageFormat sets the kind of frame: Text (type 5, the default) or Binary (type 7).
func WithMessageFormat(f MessageFormat) Option {
	return func(o *Options) { o.MessageFormat = f; o.mark("message_format") }
}

// WithMaxFrameSize sets the longest frame. Default 512 KiB; 1 KiB to 20 MiB. The Manager's maxPacketLength lowers it further. A
// message that does not fit is refused with CodeLogTooLong.
func WithMaxFrameSize(n int) Option {
	return func(o *Options) { o.MaxFrameSize = n; o.mark("max_frame_size") }
}

// WithHeartbeatInterval sends a heartbeat on a connection that sent nothing for that long. Default 30 s; 10 ms to 50 s
// (a node closes an idle connection after 60 s at the earliest).
func WithHeartbeatInterval(d time.Duration) Option {
	return func(o *Options) { o.HeartbeatInterval = d; o.mark("heartbeat_interval") }
}

// WithTrimTrailingNewline cuts one newline off the end of a payload, as the existing Go SDK does. Default false: bytes are
// sent as given.
func WithTrimTrailingNewline(trim bool) Option {
	return func(o *Options) { o.TrimTrailingNewline = trim; o.mark("trim_trailing_newline") }
}

// WithResultHandler sets who receives the results of messages given to Embedder.Submit. Default, also for nil: nobody.
func WithResultHandler(h ResultHandler) Option {
	return func(o *Options) { o.ResultHandler = h }
}

// WithHooks adds functions that are told what becomes of messages and batches, beside those of other WithHooks. Default: none.
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

// WithSpoolDir has each batch stored in a folder before it is sent, and kept there until it is acked. What a client leaves there that is
// closed, or whose process ends, is sent by the next one that opens the folder, or by another one that has it open, which looks for it every 10 seconds.
//
// A message whose time is over while it is stored ends with CodeStored: it will be delivered, and must not be sent again. So do the
// oldest messages where memory is short while no node takes any. Doubles are possible behind the end of a process: they have the ids of
// their batches.
//
// The folder may be shared by clients and processes. It is made with mode 0700 where there is none; NewClient fails where it cannot be
// used. A disk that fails later stops nothing: the client continues as without it, says so in the log, and tries again.
// Default: nothing is stored.
func WithSpoolDir(dir string) Option {
	return func(o *Options) { o.SpoolDir = dir; o.mark("spool_dir") }
}

// WithSpoolMaxBytes bounds what the client stores. Default 1 GiB; 1 MiB to 1024 GiB. Beyond it batches are in memory alone, as without
// WithSpoolDir, until acks have made room.
func WithSpoolMaxBytes(n int) Option {
	return func(o *Options) { o.SpoolMaxBytes = n; o.mark("spool_max_bytes") }
}

// WithSpoolAfter has each batch sent at once, and stored only when it has no result this long after it was sealed. So a healthy cluster
// costs no disk; a crash can lose what is younger. While no node takes messages and memory is short, and at a close, all is stored that has
// no result. Default 0: a batch is stored before it is sent; otherwise 10 ms or more, and less than WithSendTimeout. It does not go
// with SpoolResultStored.
func WithSpoolAfter(d time.Duration) Option {
	return func(o *Options) { o.SpoolAfter = d; o.mark("spool_after") }
}

// WithSpoolSync sets when what is stored is safe from a power cut: SpoolSyncOff (default), SpoolSyncInterval or SpoolSyncBatch. It is safe
// from the end of the process in any case.
func WithSpoolSync(s SpoolSync) Option {
	return func(o *Options) { o.SpoolSync = s; o.mark("spool_sync") }
}

// WithSpoolSyncInterval sets the time between two fsyncs with SpoolSyncInterval. Default 1 s; 10 ms to 1 h.
func WithSpoolSyncInterval(d time.Duration) Option {
	return func(o *Options) { o.SpoolSyncInterval = d; o.mark("spool_sync_interval") }
}

// WithSpoolResult sets when a message has its result. SpoolResultAcked (default): when it is acked, as without WithSpoolDir.
// SpoolResultStored: success as soon as it is stored, which with SpoolSyncBatch is behind the fsync; Stats and a close's report count it
// as acked then, and a close does not wait for the ack. A message that cannot be stored, on a full or failing disk, has its result as
// with SpoolResultAcked.
func WithSpoolResult(r SpoolResult) Option {
	return func(o *Options) { o.SpoolResult = r; o.mark("spool_result") }
}

// WithSpoolMaxAge has what was stored longer ago given up: it is removed, counted, and logged. Ages count from when a batch was stored, by the
// wall clock; a step of the clock while the client is open does not change them, one between two runs does. Default 0: never; otherwise 1 s
// or more.
func WithSpoolMaxAge(d time.Duration) Option {
	return func(o *Options) { o.SpoolMaxAge = d; o.mark("spool_max_age") }
}
