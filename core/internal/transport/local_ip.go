package transport

import "net"

// LocalIP returns an address of this machine: of IPv4 if it has one, else of IPv6, the loopback one when there is no other.
func LocalIP() string {
	addrs, _ := net.InterfaceAddrs()
	return localIP(addrs)
}

func localIP(addrs []net.Addr) string {
	best := "127.0.0.1"
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		switch {
		case !ok || !n.IP.IsGlobalUnicast():
		case n.IP.To4() != nil:
			return n.IP.String()
		case best == "127.0.0.1":
			best = n.IP.String()
		}
	}
	return best
}
