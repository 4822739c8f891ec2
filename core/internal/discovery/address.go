// Package discovery finds the DataProxy nodes: from the Manager, or from the file that keeps its last answer.
package discovery

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const (
	managerPath = "/inlong/manager"
	listPath    = "/openapi/dataproxy/getIpList"
)

// RedactURL removes what may be secret: a name and password before the host, and a query. The url may be unreadable, so nothing is
// known of its parts.
func RedactURL(raw string) string {
	if at := strings.LastIndexByte(raw, '@'); at >= 0 {
		raw = "..." + raw[at:]
	}
	if at := strings.IndexAny(raw, "?#"); at >= 0 {
		raw = raw[:at+1] + "..."
	}
	return raw
}

// ListURLs completes the addresses of a Manager, which are separated by commas. A comma that is not followed by an address belongs
// to the address before it, for example to its password.
func ListURLs(raw string) ([]string, error) {
	var list []string
	begin := 0
	for i := range raw {
		if next := strings.TrimSpace(raw[i+1:]); raw[i] == ',' && (next == "" || hasScheme(next)) {
			list, begin = append(list, raw[begin:i]), i+1
		}
	}
	if rest := raw[begin:]; strings.TrimSpace(rest) != "" || list == nil {
		list = append(list, rest)
	}
	for i := range list {
		var err error
		if list[i], err = ListURL(list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func hasScheme(text string) bool {
	return strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://")
}

// ListURL extends a Manager's base url to the url that answers with node lists. A full url is kept.
func ListURL(raw string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return "", errors.New("it cannot be parsed: it must be http://host:port or https://host:port")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("its scheme is %q: it must be http or https", u.Scheme)
	}
	if u.Hostname() == "" {
		return "", errors.New("it names no host: it must be http://host:port")
	}
	if port := u.Port(); port != "" {
		if err := checkPort(port); err != nil {
			return "", err
		}
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", errors.New("it has a query or a fragment: it must have neither")
	}
	path := strings.TrimRight(u.Path, "/")
	switch {
	case strings.HasSuffix(path, listPath):
	case strings.HasSuffix(path, managerPath):
		path += listPath
	default:
		path += managerPath + listPath
	}
	u.Path, u.RawPath = path, ""
	return u.String(), nil
}

// CheckAddress checks a node's "host:port": host is an IP address, in brackets if it is one of IPv6, or a name in DNS.
func CheckAddress(address string) error {
	if err := CheckHostPort(address); err != nil {
		return fmt.Errorf("node %q: %w", RedactURL(address), err)
	}
	return nil
}

// CheckHostPort is CheckAddress for addresses that are not nodes'. Its error does not show the text.
func CheckHostPort(address string) error {
	if strings.Contains(address, "@") { // no error shows any of it, because there may be a password
		return errors.New("it has an @: it must be host:port alone, without user and password")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("it must be host:port, or [address]:port for IPv6")
	}
	if err := checkHost(host, address[0] == '['); err != nil {
		return err
	}
	return checkPort(port)
}

// The bounds of a name in DNS.
const (
	longestName  = 253
	longestLabel = 63
)

func checkHost(host string, bracketed bool) error {
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "":
		return errors.New("it names no host")
	case bracketed && (err != nil || !ip.Is6()):
		return fmt.Errorf("host %q is in brackets: it must be an IPv6 address", host)
	case err == nil:
		return checkCharacters(ip.Zone(), "the zone of an IPv6 address")
	case len(host) > longestName:
		return fmt.Errorf("the host has %d characters: it must have %d or less", len(host), longestName)
	case strings.Contains(host, ".") && strings.Trim(host, "0123456789.") == "":
		return fmt.Errorf("host %q is not an IPv4 address: it must be four numbers of 0 to 255 without leading zeros", host)
	}
	if err := checkCharacters(host, "the host"); err != nil {
		return err
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if len(label) == 0 || len(label) > longestLabel {
			return fmt.Errorf("host %q must have 1 to %d characters between two dots", host, longestLabel)
		}
	}
	return nil
}

func checkCharacters(name, what string) error {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_' {
			return fmt.Errorf("%s has the character %q: only A-Z a-z 0-9 - . _ are allowed", what, r)
		}
	}
	return nil
}

func checkPort(port string) error {
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port {
		return fmt.Errorf("port %q must be 1 to 65535", port)
	}
	return nil
}
