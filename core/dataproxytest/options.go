package dataproxytest

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Option configures a Cluster.
type Option func(*options)

type recording int

const (
	recordFrames recording = iota
	recordDigest
	recordCounts
)

type options struct {
	nodes            int
	topics           map[string]bool // nil: every group with a stream is known
	groups           map[string]bool // nil: every group is known
	authID, authKey  string
	auth             bool
	maxMessageLength int
	readIdle         time.Duration
	maxConnections   int
	host, advertised string
	nodeIP           string // what answers name as dpIp
	clusterName      string
	managerPort      int
	nodePorts        []int
	managerTLS       *tls.Config
	recording        recording
	trustBodies      bool
}

func defaults() options {
	return options{
		nodes:            3,
		maxMessageLength: 524288,
		readIdle:         180 * time.Second,
		maxConnections:   30000,
		host:             "127.0.0.1",
		clusterName:      "default_cluster",
	}
}

func (o *options) validate() error {
	for _, rule := range []struct {
		option   string
		value    int
		min, max int
	}{
		{"WithNodes", o.nodes, 0, 1000},
		{"WithMaxMessageLength", o.maxMessageLength, 64, 20 << 20},
		{"WithMaxConnections", o.maxConnections, 1, 1 << 30},
		{"WithManagerPort", o.managerPort, 0, 65535},
	} {
		if rule.value < rule.min || rule.value > rule.max {
			return fmt.Errorf("%s: %d is outside %d..%d", rule.option, rule.value, rule.min, rule.max)
		}
	}
	for _, port := range o.nodePorts {
		if port < 0 || port > 65535 {
			return fmt.Errorf("WithNodePorts: %d is outside 0..65535", port)
		}
	}
	for topic := range o.topics {
		if group, _, _ := strings.Cut(topic, "/"); group == "" {
			return fmt.Errorf("WithTopics: %q has no group; a topic is group/stream, or group alone", topic)
		}
	}
	if o.readIdle <= 0 {
		return fmt.Errorf("WithReadIdle: %v must be above 0", o.readIdle)
	}
	return nil
}

// WithNodes sets the number of DataProxy nodes, overriding the default of 3. 0 is allowed.
func WithNodes(n int) Option { return func(o *options) { o.nodes = n } }

// WithTopics sets what the nodes know, as "group/stream", or "group" for all streams of a group; all else is answered
// with code 115. The default is to know every group and stream. Unless WithGroups says otherwise, the Manager then
// knows the groups of these topics.
func WithTopics(topics ...string) Option {
	return func(o *options) { o.topics = set(topics) }
}

// WithGroups sets the groups that the Manager knows, overriding the default of every group, or of those WithTopics names.
func WithGroups(groups ...string) Option {
	return func(o *options) { o.groups = set(groups) }
}

// WithBasicAuth makes the Manager demand these credentials; any others get its answer 403. By default it asks for none.
func WithBasicAuth(secretID, secretKey string) Option {
	return func(o *options) { o.auth, o.authID, o.authKey = true, secretID, secretKey }
}

// WithMaxMessageLength sets the longest frame in bytes, length word included, overriding the default of 524288. A
// longer one closes the connection. The Manager announces the same number as maxPacketLength.
func WithMaxMessageLength(n int) Option { return func(o *options) { o.maxMessageLength = n } }

// WithReadIdle sets after how long without a whole frame a node closes a connection, overriding the default of 180 s.
func WithReadIdle(d time.Duration) Option { return func(o *options) { o.readIdle = d } }

// WithMaxConnections sets how many connections a node keeps, overriding the default of 30000; more are accepted and
// closed at once.
func WithMaxConnections(n int) Option { return func(o *options) { o.maxConnections = n } }

// WithListenHost sets the address that everything listens on, overriding the default of 127.0.0.1.
func WithListenHost(host string) Option { return func(o *options) { o.host = host } }

// WithAdvertisedHost sets the host that the Manager's node list and URL name, overriding the default of the listen host.
func WithAdvertisedHost(host string) Option { return func(o *options) { o.advertised = host } }

// WithClusterName sets the name under which getIpListByClusterName finds the nodes, overriding "default_cluster".
func WithClusterName(name string) Option { return func(o *options) { o.clusterName = name } }

// WithManagerPort sets the Manager's port, overriding the default of a free one.
func WithManagerPort(port int) Option { return func(o *options) { o.managerPort = port } }

// WithNodePorts sets the ports of the first nodes, overriding the default of free ones.
func WithNodePorts(ports ...int) Option {
	return func(o *options) { o.nodePorts = append([]int(nil), ports...) }
}

// WithManagerTLS makes the Manager speak https with this configuration, which must hold a certificate.
func WithManagerTLS(config *tls.Config) Option { return func(o *options) { o.managerTLS = config } }

// WithoutRecorder keeps counts only: Received, Messages and Digest stay empty. For benchmarks.
func WithoutRecorder() Option { return func(o *options) { o.recording = recordCounts } }

// WithDigestRecorder keeps counts and a digest of the payloads, no frames: enough to compare what was sent with what
// arrived as multisets, in constant memory.
func WithDigestRecorder() Option { return func(o *options) { o.recording = recordDigest } }

// WithTrustedBodies skips the decompression and the item check of compressed text bodies, so that a node costs the
// least CPU; bad bodies are then acked, which no real node does. Only for benchmarks, with WithoutRecorder; Count then
// follows the frames' cnt attribute.
func WithTrustedBodies() Option { return func(o *options) { o.trustBodies = true } }

// settleAddresses resolves the listen host once. One that means every interface is reached by loopback.
func (o *options) settleAddresses() error {
	tcp, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(o.host, "0"))
	if err != nil {
		return fmt.Errorf("WithListenHost: %q is neither an address nor a name: %w", o.host, err)
	}
	addr := tcp.AddrPort().Addr().Unmap()
	reached := o.host
	if addr.IsUnspecified() {
		addr = netip.IPv6Loopback()
		if tcp.AddrPort().Addr().Unmap().Is4() {
			addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		reached = addr.String()
	}
	o.nodeIP = addr.String()
	if o.advertised == "" {
		o.advertised = reached
	}
	return nil
}

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

// topicKnown follows the server: by group and stream, then by group alone.
func (o *options) topicKnown(group, stream []byte) bool {
	if o.topics == nil {
		return len(stream) > 0
	}
	if len(stream) > 0 && o.topics[string(group)+"/"+string(stream)] {
		return true
	}
	return o.topics[string(group)]
}

func (o *options) groupKnown(group string) bool {
	if o.groups != nil {
		return o.groups[group]
	}
	if o.topics == nil {
		return true
	}
	for topic := range o.topics {
		if name, _, _ := strings.Cut(topic, "/"); name == group {
			return true
		}
	}
	return false
}
