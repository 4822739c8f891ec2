package dataproxy

import (
	"bytes"
	"crypto/tls"
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
