//go:build !windows

package transport

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// A node that was told to stop accepts connections and never answers: data given to it is data that waits for its time-out.
func TestDialRefusesANodeThatDoesNotProveItself(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(net.Conn)
		part  string
	}{
		"closes":             {func(net.Conn) {}, ""},
		"closes after a bit": {func(c net.Conn) { _, _ = c.Write(wire.Heartbeat[:3]) }, ""},
		"resets": {func(c net.Conn) {
			_, _ = readFrame(c)
			_ = c.(*net.TCPConn).SetLinger(0)
		}, ""},
		"speaks another protocol": {func(c net.Conn) {
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			silent(c)
		}, "malformed answer to a heartbeat: 48 54 54 50 2f: an HTTP server answers here: \"HTTP/\""},
		"answers with data": {func(c net.Conn) {
			_, _ = c.Write([]byte("\x00\x00\x00\x01\x05"))
			silent(c)
		}, "malformed answer to a heartbeat: 00 00 00 01 05"},
	} {
		_, err := Dial[string](context.Background(), server(t, c.serve), config())
		require.ErrorIs(t, err, ErrNotProven, name)
		require.ErrorContains(t, err, c.part, name)
	}
}

// A server that waits for more than a heartbeat was told of as one that is late, or as a silent one.
func TestDialSaysWhatIsThereWhereItIsNoDataProxy(t *testing.T) {
	plain, secured := httptest.NewServer(http.NotFoundHandler()), httptest.NewUnstartedServer(http.NotFoundHandler())
	secured.Config.ErrorLog = log.New(io.Discard, "", 0)
	secured.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(secured.Close)
	for part, address := range map[string]string{
		"an HTTP server answers here":            plain.Listener.Addr().String(),
		"it closed the connection instead, as":   secured.Listener.Addr().String(),
		"a TLS server answers here":              server(t, func(c net.Conn) { _, _ = c.Write([]byte("\x15\x03\x01\x00\x02\x02\x46")); silent(c) }),
		"an SSH server answers here: \"SSH-2\"":  server(t, func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-x\r\n")); silent(c) }),
		"not a byte came: context deadline exce": server(t, silent),
	} {
		cfg := config()
		cfg.ConnTimeout = time.Second
		_, err := Dial[string](context.Background(), address, cfg)
		require.ErrorIs(t, err, ErrNotProven, part)
		require.ErrorContains(t, err, part)
	}
}

// Each start and each reconnect would hang on a black hole without the bound.
func TestDialIsBoundedByConnTimeout(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	cluster.Node(0).Standing(dataproxytest.BlackHole())
	for name, address := range map[string]string{"silent server": server(t, silent), "black hole": cluster.Node(0).Addr()} {
		cfg := config()
		cfg.ConnTimeout = 50 * time.Millisecond
		start := time.Now()
		_, err := Dial[string](context.Background(), address, cfg)
		require.ErrorIs(t, err, ErrNotProven, name)
		require.GreaterOrEqual(t, time.Since(start), cfg.ConnTimeout, name)
		require.Less(t, time.Since(start), patience/2, name)
	}
}

// Close must not wait for a dial that is under way.
func TestDialEndsWithItsContext(t *testing.T) {
	began := make(chan struct{}, 1)
	address := server(t, func(c net.Conn) {
		began <- struct{}{}
		silent(c)
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-began
		cancel()
	}()
	start := time.Now()
	_, err := Dial[string](ctx, address, config())
	require.Error(t, err)
	require.Less(t, time.Since(start), patience/2)
}

// Scenario N6: endpoints given as host names and IPv6.
func TestN6_DialTakesNamesAndIPv6(t *testing.T) {
	_, port, err := net.SplitHostPort(server(t, prover(answering)))
	require.NoError(t, err)
	connect(t, "localhost:"+port, config()).send(t, 1, "by name")

	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	listener.Close()
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1), dataproxytest.WithListenHost("::1"))
	s := connect(t, cluster.Node(0).Addr(), config())
	s.send(t, 1, "by IPv6")
	require.Zero(t, s.next(t).code)
}

func TestDialSaysWhyThereIsNoConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	listener.Close()
	for _, a := range []string{address, "no-such-host.invalid:1", "127.0.0.1:99999", "127.0.0.1", ""} {
		_, err := Dial[string](context.Background(), a, config())
		require.Error(t, err, a)
		require.NotErrorIs(t, err, ErrNotProven, a)
	}
}

// A socket that a child process inherits stays open behind our back: the node never sees the close.
func TestSocketIsNotInherited(t *testing.T) {
	s := connect(t, server(t, prover(silent)), config())
	raw, err := s.conn.socket.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	var flags uintptr
	var errno syscall.Errno
	require.NoError(t, raw.Control(func(fd uintptr) {
		flags, _, errno = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFD, 0)
	}))
	require.Zero(t, errno)
	require.NotZero(t, flags&syscall.FD_CLOEXEC)
}

// The socket options are promised by the option's documentation.
func TestSocketOptionsAreSet(t *testing.T) {
	cfg := config()
	cfg.SocketSendBuffer, cfg.SocketRecvBuffer = 16<<10, 8<<10
	s := connect(t, server(t, prover(silent)), cfg)
	raw, err := s.conn.socket.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	for name, c := range map[string]struct{ level, option, want int }{
		"SO_SNDBUF":    {syscall.SOL_SOCKET, syscall.SO_SNDBUF, 2 * 16 << 10}, // the kernel doubles
		"SO_RCVBUF":    {syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2 * 8 << 10},
		"SO_KEEPALIVE": {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		"TCP_NODELAY":  {syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
	} {
		var got int
		var err error
		require.NoError(t, raw.Control(func(fd uintptr) { got, err = syscall.GetsockoptInt(int(fd), c.level, c.option) }))
		require.NoError(t, err)
		require.Equal(t, c.want, got, name)
	}
}
