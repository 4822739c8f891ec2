package transport

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/tcptest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// resolving makes this process resolve every name to these IPv4 addresses, in this order, until the test ends.
func resolving(t *testing.T, addresses ...string) {
	t.Helper()
	dns, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		buf := make([]byte, 512)
		for {
			n, from, err := dns.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = dns.WriteTo(dnsAnswer(buf[:n], addresses), from)
		}
	}()
	was := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", dns.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = was
		dns.Close()
		<-served
	})
}

// dnsAnswer answers a query of one question, as RFC 1035 section 4 has it: for another type than A with no address.
func dnsAnswer(query []byte, addresses []string) []byte {
	const header, typeA = 12, 1
	end := header
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	end++ // now at type and class
	answer := append([]byte(nil), query[:end+4]...)
	answer[2], answer[3] = 0x81, 0x80
	clear(answer[6:header])
	if binary.BigEndian.Uint16(query[end:]) == typeA {
		answer[7] = byte(len(addresses))
		for _, a := range addresses {
			answer = append(answer, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 1, 0, 4) // the question's name, class, lifetime, length
			answer = append(answer, netip.MustParseAddr(a).AsSlice()...)
		}
	}
	return answer
}

// listening is server on that address.
func listening(t *testing.T, address string, serve func(net.Conn)) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("this machine cannot listen there: %v", err)
	}
	tcptest.Serve(t, listener, serve)
}

// Scenario N6: of a name's addresses one may accept and never answer (what a stopped node does), or swallow everything. The
// others must be reached all the same, in a part of the connect time-out.
func TestN6_DialTriesEveryAddressOfAName(t *testing.T) {
	good := server(t, prover(answering))
	_, port, err := net.SplitHostPort(good)
	require.NoError(t, err)
	left := make(chan struct{}, 100)
	listening(t, "127.0.0.2:"+port, func(c net.Conn) {
		silent(c)
		left <- struct{}{}
	})
	listening(t, "127.0.0.3:"+port, func(net.Conn) {})
	resolving(t, "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.1")
	begun := time.Now()
	for met := false; !met; { // until the silent one came before the good one, and was given up
		require.Less(t, time.Since(begun), patience, "the order never changes, or a loser's connection stays open")
		start := time.Now()
		s := connect(t, "proxy.example.com:"+port, config())
		require.Less(t, time.Since(start), patience/2)
		require.Equal(t, good, s.conn.RemoteAddr().String())
		s.send(t, 1, "x")
		require.Zero(t, s.next(t).code)
		s.Close()
		select {
		case <-left:
			met = true
		default:
		}
	}
}

// The lanes of a client that names a headless service must spread over what stands behind the name.
func TestConnectionsSpreadOverTheAddressesOfAName(t *testing.T) {
	var dialled [2]atomic.Int32
	count := func(i int) func(net.Conn) {
		return prover(func(c net.Conn) {
			dialled[i].Add(1)
			silent(c)
		})
	}
	_, port, err := net.SplitHostPort(server(t, count(0)))
	require.NoError(t, err)
	listening(t, "127.0.0.2:"+port, count(1))
	resolving(t, "127.0.0.1", "127.0.0.2")
	for range 64 { // one of 2^63 runs has all of them on one side
		connect(t, "headless.example.com:"+port, config()).Close()
	}
	require.Positive(t, dialled[0].Load())
	require.Positive(t, dialled[1].Load())
}

func TestDialTellsTheCauseOfEachAddressOfAName(t *testing.T) {
	_, port, err := net.SplitHostPort(server(t, func(c net.Conn) {
		_, _ = readFrame(c)
		_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		silent(c)
	}))
	require.NoError(t, err)
	resolving(t, "127.0.0.1", "127.0.0.2")
	_, err = Dial[string](context.Background(), "proxy.example.com:"+port, config())
	require.ErrorIs(t, err, ErrNotProven)
	require.ErrorIs(t, err, wire.ErrAnswer)
	require.ErrorContains(t, err, "dial tcp 127.0.0.2:"+port+": connect: connection refused")
}

// All addresses together get the connect time-out, not each.
func TestDialOfANameIsBoundedByConnTimeout(t *testing.T) {
	_, port, err := net.SplitHostPort(server(t, silent))
	require.NoError(t, err)
	listening(t, "127.0.0.2:"+port, silent)
	listening(t, "127.0.0.3:"+port, silent)
	resolving(t, "127.0.0.1", "127.0.0.2", "127.0.0.3")
	cfg := config()
	cfg.ConnTimeout = 100 * time.Millisecond
	start := time.Now()
	_, err = Dial[string](context.Background(), "proxy.example.com:"+port, cfg)
	require.ErrorIs(t, err, ErrNotProven)
	require.Less(t, time.Since(start), patience/2)
}
