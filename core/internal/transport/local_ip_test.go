package transport

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// Data of a machine that has addresses of IPv6 only must not be said to come from 127.0.0.1.
func TestLocalIPIsOneThatOthersSee(t *testing.T) {
	of := func(texts ...string) (addrs []net.Addr) {
		for _, text := range texts {
			ip, network, err := net.ParseCIDR(text)
			require.NoError(t, err)
			addrs = append(addrs, &net.IPNet{IP: ip, Mask: network.Mask})
		}
		return addrs
	}
	require.Equal(t, "10.1.2.3", localIP(of("127.0.0.1/8", "::1/128", "2001:db8::1/64", "10.1.2.3/16", "10.1.2.4/16")))
	require.Equal(t, "2001:db8::1", localIP(of("127.0.0.1/8", "::1/128", "fe80::1/64", "2001:db8::1/64", "2001:db8::2/64")))
	require.Equal(t, "127.0.0.1", localIP(of("127.0.0.1/8", "::1/128", "169.254.0.7/16", "fe80::1/64")))
	require.Equal(t, "127.0.0.1", localIP(nil))
}
