package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

var dialer = net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}

// link is a connection to a node: the stream for frames and answers, and the socket below it, which ends it. Without TLS both are
// the same.
type link struct {
	net.Conn
	socket net.Conn
	guard  func()
}

// OpenTo opens a connection to address as cfg says, with TLS to host if cfg has it. It sends nothing.
func OpenTo(ctx context.Context, host, address string, cfg *Config) (net.Conn, error) {
	l, err := openLink(ctx, host, address, cfg)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func openLink(ctx context.Context, host, address string, cfg *Config) (*link, error) {
	open := cfg.Open
	if open == nil {
		open = func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}
	}
	conn, err := open(ctx, address)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: conn, socket: conn, guard: cfg.Guard}
	if own, ok := conn.(*tls.Conn); ok { // from a user's dialer
		l.socket = own.NetConn()
	}
	if cfg.TLS != nil {
		own := tls.Client(conn, cfg.TLS(host))
		l.Conn = own
		if err := own.HandshakeContext(ctx); err != nil {
			l.hangUp()
			return nil, explainTLS(err)
		}
	}
	return l, nil
}

// Read explains what a server says about TLS. From TLS 1.3 on it judges a client's certificate after the handshake.
func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if err != nil && refusal(err) != "" {
		err = explainTLS(err)
	}
	return n, err
}

// refusal is what a server's alert says, "" if err is none.
func refusal(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return op.Err.Error()
	}
	return ""
}

// explainTLS adds what a user can do about it.
func explainTLS(err error) error {
	var plain tls.RecordHeaderError
	alert, advice := refusal(err), ""
	switch {
	case strings.HasSuffix(alert, "certificate required"), strings.HasSuffix(alert, "handshake failure"):
		advice = "it may demand a client's certificate, see the options client_cert_file and client_key_file"
	case strings.Contains(alert, "certificate"):
		advice = "it refuses the client's certificate, see the options client_cert_file and client_key_file"
	case errors.As(err, &plain), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, context.DeadlineExceeded):
		advice = "perhaps the server speaks no TLS; a node itself does not. Give the address of the proxy before it, or turn the option node_tls off"
	default:
		return fmt.Errorf("TLS: %w", err)
	}
	return fmt.Errorf("TLS: %w: %s", err, advice)
}

// hangUp ends the connection without the closing message of TLS, which would wait for a write that hangs. Every frame has its
// length, so nothing depends on that message.
func (l *link) hangUp() {
	if tcp, ok := l.socket.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // a forked child may hold the socket open, but after a shutdown the node sees the end
		_ = tcp.Close()
		return
	}
	// This is a user's own kind of connection: its Close may take time, and this is called under the connection's lock.
	_ = l.socket.SetDeadline(time.Unix(1, 0))
	go func() {
		defer l.guard()
		_ = l.socket.Close()
	}()
}

// Close is hangUp for callers that have a net.Conn.
func (l *link) Close() error {
	l.hangUp()
	return nil
}

// reset makes hangUp drop what the kernel still holds, if the socket can do that.
func (l *link) reset() {
	if s, ok := l.socket.(interface{ SetLinger(int) error }); ok {
		_ = s.SetLinger(0)
	}
}

// setBuffers sets the sizes of the socket's buffers, if it has any. The kernel keeps them within its own bounds, and a smaller
// buffer is no reason to do without the node.
func (l *link) setBuffers(send, receive int) {
	if s, ok := l.socket.(interface{ SetWriteBuffer(int) error }); ok {
		_ = s.SetWriteBuffer(send)
	}
	if s, ok := l.socket.(interface{ SetReadBuffer(int) error }); ok {
		_ = s.SetReadBuffer(receive)
	}
}

// closeWrite tells the node that nothing follows.
func (l *link) closeWrite() {
	if c, ok := l.Conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}
