package dataproxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/tcptest"
)

// forward carries bytes both ways until one side ends, as a proxy does.
func forward(a, b net.Conn) {
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
			_ = way[1].Close()
		})
	}
	both.Wait()
}

// socksProxy is a SOCKS5 proxy for user and password, or for all; it counts what goes through it, and knows node.test as 127.0.0.1.
func socksProxy(t *testing.T, user, password string, reply byte) (address string, through *atomic.Int64) {
	through = new(atomic.Int64)
	return tcptest.Serve(t, tcptest.Listen(t), func(conn net.Conn) {
		read := func(n int) []byte {
			b := make([]byte, n)
			if _, err := io.ReadFull(conn, b); err != nil {
				return make([]byte, n)
			}
			return b
		}
		methods, want := read(int(read(2)[1])), byte(0)
		if user != "" {
			want = 2
		}
		if !strings.Contains(string(methods), string(want)) {
			_, _ = conn.Write([]byte{5, 0xFF})
			return
		}
		_, _ = conn.Write([]byte{5, want})
		if want == 2 {
			name := string(read(int(read(2)[1])))
			if string(read(int(read(1)[0]))) != password || name != user {
				_, _ = conn.Write([]byte{1, 1})
				return
			}
			_, _ = conn.Write([]byte{1, 0})
		}
		host := ""
		switch head := read(4); head[3] {
		case 1:
			host = net.IP(read(4)).String()
		case 3:
			if host = string(read(int(read(1)[0]))); host == "node.test" {
				host = "127.0.0.1"
			}
		case 4:
			host = net.IP(read(16)).String()
		}
		port := read(2)
		if reply == 0 {
			through.Add(1) // before the dial: a node that resets what it accepts at once makes the dial fail, and has counted the connection
		}
		to, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(int(port[0])<<8|int(port[1]))))
		if err != nil || reply != 0 {
			_, _ = conn.Write([]byte{5, max(reply, 1), 0, 1, 0, 0, 0, 0, 0, 0})
			return
		}
		_, _ = conn.Write(append(append([]byte{5, 0, 0, 3, 4}, "here"...), 0, 1))
		forward(conn, to)
	}), through
}

// Where nodes are behind a SOCKS proxy every connection must go there: those of lanes, of probes after a failure, and names too.
func TestNodesAreReachedThroughSocks(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(2))
	address, through := socksProxy(t, "", "", 0)
	client := connect(t, c, dataproxy.WithSocks(address))
	require.NoError(t, client.Send(patient(t), message("x")))
	c.Node(0).ResetConnections()
	for range 50 {
		require.NoError(t, client.Send(patient(t), message("x")))
	}
	eventually(t, "all through it", func() bool {
		_, first := c.Node(0).Connections()
		_, second := c.Node(1).Connections()
		return through.Load() >= 8 && first+second <= int(through.Load())
	})
	client.Close()

	address, through = socksProxy(t, "user", "s3cret", 0)
	_, port, _ := net.SplitHostPort(c.Node(0).Addr())
	client = connect(t, c, dataproxy.WithStaticNodes("node.test:"+port), dataproxy.WithSocks(address), dataproxy.WithSocksAuth("user", "s3cret"))
	require.NoError(t, client.Send(patient(t), message("x")))
	require.NotZero(t, through.Load())
}

// A proxy that says no, or is none, must be told from a node that does not answer; and no text may hold the password.
func TestFaultsOfASocksProxyAreNamed(t *testing.T) {
	c := cluster(t)
	closed := tcptest.Listen(t)
	require.NoError(t, closed.Close())
	open, _ := socksProxy(t, "", "", 5)
	strict, _ := socksProxy(t, "user", "s3cret", 0)
	http := tcptest.Serve(t, tcptest.Listen(t), func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	closing := tcptest.Serve(t, tcptest.Listen(t), func(conn net.Conn) { _, _ = conn.Read(make([]byte, 3)) })
	silent := tcptest.Listen(t) // the system accepts its connections
	defer silent.Close()
	for text, opts := range map[string][]dataproxy.Option{
		"refused": {dataproxy.WithSocks(closed.Addr().String())},
		"it cannot connect to the node: the connection was refused":            {dataproxy.WithSocks(open)},
		"it requires user and password: set the option socks_auth":             {dataproxy.WithSocks(strict)},
		"it refuses user and password: check the option socks_auth":            {dataproxy.WithSocks(strict), dataproxy.WithSocksAuth("user", "wr0ng-s3cret")},
		"it answers 48 54, which is not SOCKS5: check the option socks":        {dataproxy.WithSocks(http)},
		"it does not answer in SOCKS5: EOF: check the option socks":            {dataproxy.WithSocks(closing)},
		"i/o timeout: check the option socks":                                  {dataproxy.WithSocks(silent.Addr().String()), dataproxy.WithConnTimeout(50 * time.Millisecond)},
		`option socks = "host": it must be host:port`:                          {dataproxy.WithSocks("host")},
		`option socks = "...@host:1": it has an @: it must be host:port alone`: {dataproxy.WithSocks("user:s3cret@host:1")},
		`option socks = "...@host": it has an @: it must be host:port alone`:   {dataproxy.WithSocks("user:s3cret@host")},
		`node "...@host": it has an @: it must be host:port alone`:             {dataproxy.WithStaticNodes("user:s3cret@host")},
		"option socks: cannot be given together with WithDialer":               {dataproxy.WithSocks(open), dataproxy.WithDialer(new(net.Dialer).DialContext)},
		"option socks_auth: is for the proxy of the option socks":              {dataproxy.WithSocksAuth("user", "s3cret")},
		`option socks_auth: must be "user:password", both not empty`:           {dataproxy.WithSocks(open), dataproxy.WithSocksAuth("", "s3cret")},
		"option socks_auth: user and password must have 255 bytes or less":     {dataproxy.WithSocks(open), dataproxy.WithSocksAuth("user", strings.Repeat("s3cret", 50))},
		`option node_tls_name = "x.test": is for node_tls, which is off`:       {dataproxy.WithNodeTLSName("x.test")},
	} {
		require.NotContains(t, whyNot(t, c, text, opts...), "s3cret")
	}
}

// whyNot returns why no node can be used, which has text in it as soon as it was tried: of a client that need not be in time.
func whyNot(t *testing.T, c *dataproxytest.Cluster, text string, opts ...dataproxy.Option) (why string) {
	t.Helper()
	client, err := dataproxy.NewClient(append(append(basics(c), dataproxy.WithConnTimeout(patience), dataproxy.WithLazyStart(true)), opts...)...)
	if err != nil {
		require.ErrorContains(t, err, text)
		return err.Error()
	}
	defer client.Close()
	eventually(t, text, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		if err := client.Ready(ctx); err != nil {
			why = err.Error()
		}
		return strings.Contains(why, text)
	})
	return why
}

// tlsBefore ends TLS before a node, as a proxy does.
func tlsBefore(t *testing.T, node *dataproxytest.Node, config *tls.Config) string {
	return tcptest.Serve(t, tls.NewListener(tcptest.Listen(t), config), func(conn net.Conn) {
		if to, err := net.Dial("tcp", node.Addr()); err == nil {
			forward(conn, to)
		}
	})
}

// Frames through a proxy that ends TLS must arrive as through none: long ones, in both directions, after a failure, and a close must not wait
// for a farewell that nobody reads.
func TestNodesAreReachedByTLS(t *testing.T) {
	a := newAuthority(t)
	pair, _, _ := a.issue(t, "127")
	_, cert, key := a.issue(t, "client")
	dir := t.TempDir()
	replace(t, dir+"/ca", a.pem)
	replace(t, dir+"/cert", cert)
	replace(t, dir+"/key", key)
	var shown atomic.Int64
	c := cluster(t, dataproxytest.WithNodes(1))
	address := tlsBefore(t, c.Node(0), &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert,
		VerifyConnection: func(tls.ConnectionState) error { shown.Add(1); return nil }})
	options := []dataproxy.Option{dataproxy.WithStaticNodes(address), dataproxy.WithNodeTLS(true), dataproxy.WithCAFile(dir + "/ca"),
		dataproxy.WithClientCertFile(dir + "/cert"), dataproxy.WithClientKeyFile(dir + "/key")}
	client := connect(t, c, options...)
	l := newLedger()
	for i := range 2000 {
		l.send(patient(t), client, streamMessage("s", "%d %s", i, strings.Repeat("x", i%5000)))
		if i == 1000 {
			c.Node(0).ResetConnections()
		}
	}
	require.NoError(t, client.Flush(patient(t)))
	require.Len(t, l.acked(), 2000)
	l.balanced(t, c)
	require.NotZero(t, shown.Load())

	standing(c, dataproxytest.Silence())
	for i := range 200 {
		client.SendAsync(patient(t), streamMessage("s", "%d %s", i, strings.Repeat("x", 30_000)), func(dataproxy.Message, error) {})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	inTime(t, 100*time.Millisecond, "close", func() { _, _ = client.Shutdown(ctx) })
	c.Node(0).ClearFaults()

	// Through a SOCKS proxy, and by a Dialer that speaks TLS itself, it is the same.
	proxy, through := socksProxy(t, "", "", 0)
	require.NoError(t, connect(t, c, append(options, dataproxy.WithSocks(proxy))...).Send(patient(t), message("x")))
	require.NotZero(t, through.Load())
	own := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}} // of the test's own server
	require.NoError(t, connect(t, c, dataproxy.WithStaticNodes(address), dataproxy.WithDialer(own.DialContext)).Send(patient(t), message("x")))
}

// An authority or a name that is not right must not be sent to; nor may TLS be dropped where a server speaks none.
func TestNodesByTLSAreVerified(t *testing.T) {
	a := newAuthority(t)
	ca := t.TempDir() + "/ca"
	replace(t, ca, a.pem)
	c := cluster(t, dataproxytest.WithNodes(1))
	named, _, _ := a.issue(t, "node.test")
	address := tlsBefore(t, c.Node(0), &tls.Config{Certificates: []tls.Certificate{named}})
	at := []dataproxy.Option{dataproxy.WithStaticNodes(address), dataproxy.WithNodeTLS(true)}
	require.NoError(t, connect(t, c, append(at, dataproxy.WithCAFile(ca), dataproxy.WithNodeTLSName("node.test"))...).Ready(patient(t)))
	whyNot(t, c, "cannot validate certificate for 127.0.0.1", append(at, dataproxy.WithCAFile(ca))...)
	whyNot(t, c, "not other.test", append(at, dataproxy.WithCAFile(ca), dataproxy.WithNodeTLSName("other.test"))...)
	whyNot(t, c, "certificate signed by unknown authority", append(at, dataproxy.WithNodeTLSName("node.test"))...)
	require.Equal(t, 0, c.Count())
}

// "TLS: EOF" and "remote error" do not tell a user what to change.
func TestFaultsOfTLSBeforeNodesSayWhatToDo(t *testing.T) {
	a := newAuthority(t)
	ca := t.TempDir() + "/ca"
	replace(t, ca, a.pem)
	c := cluster(t, dataproxytest.WithNodes(1))
	pair, _, _ := a.issue(t, "127")
	demanding := func(latest uint16, wanted tls.ClientAuthType) dataproxy.Option {
		return dataproxy.WithStaticNodes(tlsBefore(t, c.Node(0), &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: wanted, MaxVersion: latest}))
	}
	dir := t.TempDir()
	_, cert, key := newAuthority(t).issue(t, "client") // of an authority that the server does not know
	replace(t, dir+"/cert", cert)
	replace(t, dir+"/key", key)
	closing := tcptest.Serve(t, tcptest.Listen(t), func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) }) // and closes, as a DataProxy does
	plain := tcptest.Serve(t, tcptest.Listen(t), func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	silent := tcptest.Listen(t) // the system accepts its connections
	defer silent.Close()
	for name, opts := range map[string][]dataproxy.Option{
		"certificate required: it may demand a client's certificate, see the options client_cert_file": {demanding(0, tls.RequireAnyClientCert)},
		"handshake failure: it may demand a client's certificate":                                      {demanding(tls.VersionTLS12, tls.RequireAnyClientCert)},
		"it refuses the client's certificate, see the options client_cert_file": {demanding(0, tls.RequireAndVerifyClientCert),
			dataproxy.WithClientCertFile(dir + "/cert"), dataproxy.WithClientKeyFile(dir + "/key")},
		"EOF: perhaps the server speaks no TLS":                              {dataproxy.WithStaticNodes(closing)},
		"not look like a TLS handshake: perhaps the server speaks no TLS":    {dataproxy.WithStaticNodes(plain)},
		"deadline exceeded: perhaps the server speaks no TLS; a node itself": {dataproxy.WithStaticNodes(silent.Addr().String()), dataproxy.WithConnTimeout(50 * time.Millisecond)},
	} {
		whyNot(t, c, name, append(opts, dataproxy.WithNodeTLS(true), dataproxy.WithCAFile(ca))...)
	}
}

// A Dialer's own kind of connection must carry all that TCP does, and be closed.
func TestDialerOpensTheConnections(t *testing.T) {
	c := cluster(t)
	var opened, closed atomic.Int64
	client := connect(t, c, dataproxy.WithDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			opened.Add(1)
			conn = countingConn{conn, &closed}
		}
		return conn, err
	}))
	for i := range 100 {
		require.NoError(t, client.Send(patient(t), message("x")))
		if i == 50 {
			c.Node(0).ResetConnections()
		}
	}
	client.Close()
	eventually(t, "all are closed", func() bool { return opened.Load() > 0 && closed.Load() == opened.Load() })
}

type countingConn struct {
	net.Conn
	closed *atomic.Int64
}

func (c countingConn) Close() error {
	c.closed.Add(1)
	return c.Conn.Close()
}

// The user's code of a Dialer may fail, panic, return nothing or never come back: that costs the connection, not the client or the host.
func TestDialerThatFailsPanicsOrHangsCostsOnlyTheConnection(t *testing.T) {
	c := cluster(t)
	release := make(chan struct{})
	defer close(release)
	for text, dial := range map[string]dataproxy.Dialer{
		"the tunnel is down":                                func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("the tunnel is down") },
		`the Dialer panicked: "in user code"`:               func(context.Context, string, string) (net.Conn, error) { panic("in user code") },
		"the Dialer did not return: it ended its goroutine": func(context.Context, string, string) (net.Conn, error) { runtime.Goexit(); return nil, nil },
		"returned neither a connection nor an error":        func(context.Context, string, string) (net.Conn, error) { return nil, nil },
		"the Dialer did not return in time":                 func(context.Context, string, string) (net.Conn, error) { <-release; return nil, nil },
	} {
		whyNot(t, c, text, dataproxy.WithConnTimeout(50*time.Millisecond), dataproxy.WithDialer(dial))
	}
	require.Zero(t, c.Count())
	lazy := connect(t, c, dataproxy.WithConnTimeout(10*time.Millisecond), dataproxy.WithLazyStart(true), dataproxy.WithSendTimeout(200*time.Millisecond),
		dataproxy.WithDialer(func(context.Context, string, string) (net.Conn, error) { <-release; return nil, nil }))
	require.Error(t, lazy.Send(patient(t), message("x")))
	require.LessOrEqual(t, goroutinesIn("(*UserDialer).Open.func1"), 2*(8+16)) // of this client, and of the one before
}

// withoutDeadlines is a connection as an SSH tunnel makes them.
type withoutDeadlines struct{ net.Conn }

func (withoutDeadlines) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (withoutDeadlines) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (withoutDeadlines) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// Connections of a Dialer that know no deadlines were all refused, and one to a node that accepts and never answers was waited for without
// an end: by its lane, and by NewClient.
func TestConnectionsWithoutDeadlinesWork(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(2))
	tunnel := dataproxy.WithDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return withoutDeadlines{conn}, nil
	})
	c.Node(0).Standing(dataproxytest.BlackHole())
	client := connect(t, c, tunnel)
	eventually(t, "all lanes are on the other one", func() bool { return usableLanes(client) == 8 })
	require.NoError(t, client.Send(patient(t), message("x")))
	client.Close()

	c.Node(1).Standing(dataproxytest.BlackHole())
	const connTimeout = 300 * time.Millisecond
	inTime(t, connTimeout+100*time.Millisecond, "start", func() {
		_, err := dataproxy.NewClient(append(basics(c), tunnel, dataproxy.WithConnTimeout(connTimeout))...)
		if !errors.Is(err, dataproxy.ErrNoAvailableWorker) {
			t.Errorf("%v", err)
		}
	})
}
