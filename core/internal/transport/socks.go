package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// LongestSocksField bounds a user's name and a password, because their length is one byte.
const LongestSocksField = 255

// What a SOCKS5 proxy says (RFC 1928, RFC 1929).
const (
	socksVersion    = 5
	socksConnect    = 1
	socksNoAuth     = 0
	socksPassword   = 2
	socksNoMethod   = 0xFF
	socksIPv4       = 1
	socksName       = 3
	socksIPv6       = 4
	passwordVersion = 1
	socksPortLength = 2
)

const checkSocks = "check the option socks, perhaps another server listens there"

var socksReplies = []string{
	1: "it failed", 2: "its rules do not allow it", 3: "the network cannot be reached", 4: "the host cannot be reached",
	5: "the connection was refused", 6: "the way was too long", 7: "it does not know the command CONNECT", 8: "it does not know this kind of address",
}

// Socks opens connections through the SOCKS5 proxy at address; auth is "user:password", or empty. A host name is passed to the
// proxy, since perhaps only the proxy can resolve it.
func Socks(proxy, auth string) func(ctx context.Context, address string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, "tcp", proxy)
		if err != nil {
			return nil, fmt.Errorf("the SOCKS proxy %s: %w", proxy, err)
		}
		if end, bounded := ctx.Deadline(); bounded {
			_ = conn.SetDeadline(end)
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		if err = socksMethod(conn, auth); err == nil {
			err = socksRequest(conn, address)
		}
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("the SOCKS proxy %s: %w", proxy, err)
		}
		return conn, conn.SetDeadline(time.Time{})
	}
}

// socksMethod agrees with the proxy on how to authenticate, and does it.
func socksMethod(conn net.Conn, auth string) error {
	hello := []byte{socksVersion, 1, socksNoAuth}
	if auth != "" {
		hello = []byte{socksVersion, 2, socksNoAuth, socksPassword}
	}
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	var answer [2]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return fmt.Errorf("it does not answer in SOCKS5: %w: %s", err, checkSocks)
	}
	switch {
	case answer[0] != socksVersion:
		return fmt.Errorf("it answers % x, which is not SOCKS5: %s", answer, checkSocks)
	case answer[1] == socksNoAuth:
		return nil
	case answer[1] == socksNoMethod && auth == "":
		return errors.New("it requires user and password: set the option socks_auth")
	case answer[1] != socksPassword || auth == "":
		return fmt.Errorf("it requires another authentication than user and password (method %d)", answer[1])
	}
	user, password, _ := strings.Cut(auth, ":")
	request := append([]byte{passwordVersion, byte(len(user))}, user...)
	request = append(append(request, byte(len(password))), password...)
	if _, err := conn.Write(request); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 {
		return errors.New("it refuses user and password: check the option socks_auth")
	}
	return nil
}

// socksRequest asks the proxy to connect to address.
func socksRequest(conn net.Conn, address string) error {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return err
	}
	request := []byte{socksVersion, socksConnect, 0}
	switch ip, err := netip.ParseAddr(host); {
	case err == nil && ip.Unmap().Is4():
		request = append(append(request, socksIPv4), ip.Unmap().AsSlice()...)
	case err == nil:
		request = append(append(request, socksIPv6), ip.AsSlice()...)
	case len(host) > LongestSocksField:
		return fmt.Errorf("the host name has %d characters: it must have %d or less", len(host), LongestSocksField)
	default:
		request = append(append(request, socksName, byte(len(host))), host...)
	}
	if _, err := conn.Write(append(request, byte(port>>8), byte(port))); err != nil {
		return err
	}
	var head [5]byte // and the first byte of the address that the proxy has there
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	if head[0] != socksVersion {
		return fmt.Errorf("it answers % x, which is not SOCKS5", head)
	}
	if code := int(head[1]); code != 0 {
		what := fmt.Sprintf("code %d", code)
		if code < len(socksReplies) {
			what = socksReplies[code]
		}
		return fmt.Errorf("it cannot connect to the node: %s", what)
	}
	left := socksPortLength
	switch head[3] {
	case socksIPv4:
		left += net.IPv4len - 1
	case socksIPv6:
		left += net.IPv6len - 1
	case socksName:
		left += int(head[4])
	default:
		return fmt.Errorf("it answers with an address of the unknown kind %d", head[3])
	}
	_, err = io.ReadFull(conn, make([]byte, left))
	return err
}
