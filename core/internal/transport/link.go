package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

var dialer = net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}

// link is the way to a node: what frames are written to and answers read from, and the socket below it, which ends it. Where there is no TLS
// both are one.
type link struct {
	net.Conn
	socket net.Conn
	guard  func()
}

// OpenTo opens a connection to address as cfg says, by TLS if it does: to host then. It proves nothing.
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
	if own, ok := conn.(*tls.Conn); ok { // a dialer's
		l.socket = own.NetConn()
	}
	if cfg.TLS != nil {
		own := tls.Client(conn, cfg.TLS(host))
		l.Conn = own
		if err := own.HandshakeContext(ctx); err != nil {
			l.hangUp()
			return nil, fmt.Errorf("TLS: %w", err)
		}
	}
	return l, nil
}

// hangUp ends the way to the node, without the farewell of TLS: that would wait for a write that hangs, and every frame has its length.
func (l *link) hangUp() {
	if tcp, ok := l.socket.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // a forked child may hold the socket open: shutting it down tells the node all the same
		_ = tcp.Close()
		return
	}
	// A dialer's own kind: its Close may take its time, and this is called under the connection's lock.
	_ = l.socket.SetDeadline(time.Unix(1, 0))
	go func() {
		defer l.guard()
		_ = l.socket.Close()
	}()
}

// Close is hangUp for those who know a net.Conn only.
func (l *link) Close() error {
	l.hangUp()
	return nil
}

// reset makes hangUp drop what the kernel still holds, where the socket can.
func (l *link) reset() {
	if s, ok := l.socket.(interface{ SetLinger(int) error }); ok {
		_ = s.SetLinger(0)
	}
}

// setBuffers sets the sizes of the socket's buffers, where it has some. The kernel holds them within its own bounds; a smaller buffer is no
// reason to go without the node.
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
