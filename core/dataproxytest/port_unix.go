//go:build unix

package dataproxytest

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// portHold keeps a port bound without listening, so that connecting to it is refused while nobody else can take it.
type portHold struct{ fd int }

// holdPort binds port, or a free one if it is 0.
func holdPort(host string, port int) (*portHold, int, error) {
	addr, err := resolve(host)
	if err != nil {
		return nil, 0, err
	}
	family, sa := syscall.AF_INET, syscall.Sockaddr(&syscall.SockaddrInet4{Port: port, Addr: to4(addr)})
	if addr.Is6() {
		family, sa = syscall.AF_INET6, &syscall.SockaddrInet6{Port: port, Addr: addr.As16()}
	}
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, 0, fmt.Errorf("socket: %w", err)
	}
	hold := &portHold{fd}
	// Without SO_REUSEADDR on both sockets the listener could not bind the same port.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		hold.release()
		return nil, 0, fmt.Errorf("SO_REUSEADDR: %w", err)
	}
	if err := syscall.Bind(fd, sa); err != nil {
		hold.release()
		return nil, 0, fmt.Errorf("bind %s port %d: %w", host, port, err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		hold.release()
		return nil, 0, fmt.Errorf("getsockname: %w", err)
	}
	switch bound := bound.(type) {
	case *syscall.SockaddrInet4:
		port = bound.Port
	case *syscall.SockaddrInet6:
		port = bound.Port
	}
	return hold, port, nil
}

func (h *portHold) release() { _ = syscall.Close(h.fd) }

func resolve(host string) (netip.Addr, error) {
	tcp, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return netip.Addr{}, err
	}
	return tcp.AddrPort().Addr().Unmap(), nil
}

func to4(addr netip.Addr) (b [4]byte) {
	if addr.Is4() {
		return addr.As4()
	}
	return b
}
