// Package tcptest makes TCP servers for tests.
package tcptest

import (
	"net"
	"sync"
	"testing"
)

// Listen returns a listener on a free port of the loopback.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// Serve gives each connection to serve, on a goroutine of its own, and closes it after that. The end of the test closes the listener and all
// connections, and waits for serve.
func Serve(t testing.TB, listener net.Listener, serve func(net.Conn)) (address string) {
	var running sync.WaitGroup
	var mu sync.Mutex
	var all []net.Conn
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, conn)
			mu.Unlock()
			running.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, conn := range all {
			_ = conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return listener.Addr().String()
}
