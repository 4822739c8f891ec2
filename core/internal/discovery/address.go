// Package discovery learns the DataProxy nodes: from the Manager, or from the file that keeps its last answer.
package discovery

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

const (
	managerPath = "/inlong/manager"
	listPath    = "/openapi/dataproxy/getIpList"
)

// ListURL completes a Manager's base url to the one that answers node lists; a full one is kept.
func ListURL(raw string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return "", errors.New("it cannot be parsed: want http://host:port or https://host:port")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("scheme %q: want http or https", u.Scheme)
	}
	if u.Hostname() == "" {
		return "", errors.New("it names no host: want http://host:port")
	}
	if port := u.Port(); port != "" {
		if err := checkPort(port); err != nil {
			return "", err
		}
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", errors.New("it has a query or a fragment: want none")
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

// CheckAddress checks a node's "host:port".
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("node %q: want host:port, or [address]:port for IPv6", address)
	}
	if host == "" {
		return fmt.Errorf("node %q: names no host", address)
	}
	if err := checkPort(port); err != nil {
		return fmt.Errorf("node %q: %w", address, err)
	}
	return nil
}

func checkPort(port string) error {
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("port %q: want 1 to 65535", port)
	}
	return nil
}
