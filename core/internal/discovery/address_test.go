package discovery

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A base url and the seed's full one name the same list; a wrong completion asks a page that does not exist.
func TestListURLCompletesWhatIsGiven(t *testing.T) {
	const list = "http://h:8083/inlong/manager/openapi/dataproxy/getIpList"
	for raw, want := range map[string]string{
		"http://h:8083":                      list,
		"http://h:8083/":                     list,
		" http://h:8083//\n":                 list,
		"HTTP://h:8083":                      list,
		"http://h:8083/inlong/manager":       list,
		"http://h:8083/inlong/manager/":      list,
		list:                                 list,
		list + "/":                           list,
		"https://h":                          "https://h/inlong/manager/openapi/dataproxy/getIpList",
		"http://[::1]:8083":                  "http://[::1]:8083/inlong/manager/openapi/dataproxy/getIpList",
		"http://h:8083/behind/a/proxy":       "http://h:8083/behind/a/proxy/inlong/manager/openapi/dataproxy/getIpList",
		"http://h:8083/x/inlong/manager":     "http://h:8083/x/inlong/manager/openapi/dataproxy/getIpList",
		"http://user:key@h:8083":             "http://user:key@h:8083/inlong/manager/openapi/dataproxy/getIpList",
		"http://h:8083/with%20blank%2Fslash": "http://h:8083/with%20blank/slash/inlong/manager/openapi/dataproxy/getIpList",
	} {
		got, err := ListURL(raw)
		require.NoError(t, err, raw)
		require.Equal(t, want, got, raw)
		again, err := ListURL(got)
		require.NoError(t, err, raw)
		require.Equal(t, got, again, "not stable")
	}
}

func TestListURLsSplitsAtAddresses(t *testing.T) {
	const path = "/inlong/manager/openapi/dataproxy/getIpList"
	for raw, want := range map[string][]string{
		"http://a:1":                          {"http://a:1" + path},
		"http://a:1,http://b:2":               {"http://a:1" + path, "http://b:2" + path},
		" http://a:1 , https://b:2/x/ ,":      {"http://a:1" + path, "https://b:2/x" + path},
		"http://a:1" + path + ",http://[::1]": {"http://a:1" + path, "http://[::1]" + path},
		"http://u:p,w@a:1,http://b:2":         {"http://u:p,w@a:1" + path, "http://b:2" + path},
	} {
		got, err := ListURLs(raw)
		require.NoError(t, err, raw)
		require.Equal(t, want, got, raw)
	}
	for _, raw := range []string{"", ",", "http://a:1,b:2", "http://a:1,ftp://b:2", ",http://a:1"} {
		_, err := ListURLs(raw)
		require.Error(t, err, raw)
	}
}

func TestListURLRefusesWhatCannotBeAsked(t *testing.T) {
	for raw, part := range map[string]string{
		"":                      `its scheme is ""`,
		"h:8083":                `its scheme is "h"`,
		"127.0.0.1:8083":        "cannot be parsed",
		"//h:8083":              `its scheme is ""`,
		"ftp://h":               `its scheme is "ftp": it must be http or https`,
		"http://":               "names no host",
		"http://:8083":          "names no host",
		"http:/h":               "names no host",
		"http://h:":             "",
		"http://h:0":            `port "0" must be 1 to 65535`,
		"http://h:65536":        `port "65536" must be 1 to 65535`,
		"http://h:x":            "cannot be parsed",
		"http://h:-1":           "cannot be parsed",
		"http://h?a=b":          "query or a fragment",
		"http://h?":             "query or a fragment",
		"http://h#f":            "query or a fragment",
		"http://h\n:1":          "cannot be parsed",
		"http://h o s t":        "cannot be parsed",
		"http://[::1":           "cannot be parsed",
		"http://%zz":            "cannot be parsed",
		"http://user:key@:8083": "names no host",
	} {
		if got, err := ListURL(raw); part != "" {
			require.ErrorContains(t, err, part, "%q gave %q", raw, got)
			require.NotContains(t, err.Error(), "key", "a secret in the text")
		}
	}
}

// A typing error in an address must be told where it is made: as a host that cannot be found it would look like a node that is
// down.
func TestCheckAddress(t *testing.T) {
	label := strings.Repeat("x", 63)
	longest := label + "." + label + "." + label + "." + label[:61]
	for _, good := range []string{
		"127.0.0.1:1", "host:65535", "[::1]:46801", "[fe80::1%eth0]:46801", "[::ffff:1.2.3.4]:1", "a-b.example.org:80", "example.org.:80",
		"my_node:80", "12345:80", "1.2.3.4.example.org:80", "xn--bcher-kva.example:80", longest + ":1", "H:1",
	} {
		require.NoError(t, CheckAddress(good), good)
	}
	for address, part := range map[string]string{
		"":                          "it must be host:port",
		"host":                      "it must be host:port",
		"::1:46801":                 "it must be host:port",
		"host:1:2":                  "it must be host:port",
		"[::1]46801":                "it must be host:port",
		":46801":                    "names no host",
		"[]:46801":                  "names no host",
		"host:":                     `port "" must be 1 to 65535`,
		"host:0":                    `port "0"`,
		"host:65536":                `port "65536"`,
		"host:-1":                   `port "-1"`,
		"host:+80":                  `port "+80"`,
		"host:080":                  `port "080"`,
		"host:99999999999999999999": `port "99999999999999999999"`,
		"host:http":                 `port "http"`,
		"host:1 ":                   `port "1 "`,
		"host:１":                    `port "１"`,
		"http://h:80":               "it must be host:port",
		"ho st:80":                  `node "ho st:80": the host has the character ' ': only A-Z a-z 0-9 - . _ are allowed`,
		" h:80":                     "the host has the character ' '",
		"h\n:80":                    `node "h\n:80": the host has the character '\n'`,
		"h/x:80":                    "the host has the character '/'",
		"user@h:80":                 `node "...@h:80": it has an @: it must be host:port alone`,
		"h,g:80":                    "the host has the character ','",
		"bücher.example:80":         "the host has the character 'ü'",
		"h\x00:80":                  `the host has the character '\x00'`,
		"h\xff:80":                  "the host has the character",
		"h%eth0:80":                 "the host has the character '%'",
		"[::%e th0]:80":             "the zone of an IPv6 address has the character ' '",
		"[zz]:80":                   `host "zz" is in brackets: it must be an IPv6 address`,
		"[127.0.0.1]:80":            "is in brackets: it must be an IPv6 address",
		"10.0.0.256:80":             `host "10.0.0.256" is not an IPv4 address`,
		"10.0.0.01:80":              "is not an IPv4 address",
		"10.0.0:80":                 "is not an IPv4 address",
		"a..b:80":                   "must have 1 to 63 characters between two dots",
		".a:80":                     "must have 1 to 63 characters between two dots",
		".:80":                      "is not an IPv4 address",
		label + "x.org:80":          "must have 1 to 63 characters between two dots",
		longest + "x:80":            "the host has 254 characters: it must have 253 or less",
	} {
		require.ErrorContains(t, CheckAddress(address), part, address)
	}
}
