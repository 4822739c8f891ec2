package discovery

import (
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

func TestListURLRefusesWhatCannotBeAsked(t *testing.T) {
	for raw, part := range map[string]string{
		"":                      `scheme ""`,
		"h:8083":                `scheme "h"`,
		"127.0.0.1:8083":        "cannot be parsed",
		"//h:8083":              `scheme ""`,
		"ftp://h":               `scheme "ftp": want http or https`,
		"http://":               "names no host",
		"http://:8083":          "names no host",
		"http:/h":               "names no host",
		"http://h:":             "",
		"http://h:0":            `port "0": want 1 to 65535`,
		"http://h:65536":        `port "65536": want 1 to 65535`,
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

func TestCheckAddress(t *testing.T) {
	for _, good := range []string{"127.0.0.1:1", "host:65535", "[::1]:46801", "[fe80::1%eth0]:46801", "a-b.example.org:80"} {
		require.NoError(t, CheckAddress(good), good)
	}
	for address, part := range map[string]string{
		"":            "want host:port",
		"host":        "want host:port",
		"::1:46801":   "want host:port",
		"host:1:2":    "want host:port",
		":46801":      "names no host",
		"host:":       `port "": want 1 to 65535`,
		"host:0":      `port "0"`,
		"host:65536":  `port "65536"`,
		"host:-1":     `port "-1"`,
		"host:http":   `port "http"`,
		"host:1 ":     `port "1 "`,
		"http://h:80": "want host:port",
	} {
		require.ErrorContains(t, CheckAddress(address), part, address)
	}
}
