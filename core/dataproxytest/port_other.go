//go:build !unix

package dataproxytest

import "net"

// portHold does nothing here: a killed node's port can be taken by someone else before it is revived.
type portHold struct{}

func holdPort(host string, port int) (*portHold, int, error) {
	if port != 0 {
		return &portHold{}, port, nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, 0, err
	}
	defer l.Close()
	return &portHold{}, l.Addr().(*net.TCPAddr).Port, nil
}

func (*portHold) release() {}
