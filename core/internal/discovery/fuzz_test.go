package discovery

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Whatever a Manager answers, the client gets usable addresses or an error.
func FuzzParseList(f *testing.F) {
	f.Add(listOf(`{"id":1,"ip":"127.0.0.1","port":46801,"protocolType":"TCP","nodeLoad":65535}`))
	f.Add(listOf(`{"ip":"::1","port":1},{"ip":"b","port":0}`))
	f.Add([]byte(`{"success":false,"errMsg":"group not found by groupId=test_group","data":null}`))
	f.Add([]byte(`{"success":true,"errMsg":null,"data":{"clusterId":null,"maxPacketLength":null,"nodeList":null}}`))
	f.Add([]byte(`{"timestamp":1795405771972,"status":403,"error":"Forbidden","path":"/inlong/manager"}`))
	f.Add([]byte(`{"success":true,"data":{"maxPacketLength":-9223372036854775808,"nodeList":[{"ip":"\u0000","port":1}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := ParseList(body)
		if err != nil {
			if len(err.Error()) > 2000+len(body) || len(list.Nodes) > 0 {
				t.Fatalf("error of %d bytes", len(err.Error()))
			}
			return
		}
		checkList(t, list)
	})
}

func checkList(t *testing.T, list List) {
	if len(list.Nodes) == 0 || list.MaxPacketLength < 0 || !slices.IsSorted(list.Nodes) {
		t.Fatalf("%+v", list)
	}
	for _, n := range list.Nodes {
		checkUsable(t, n)
	}
}

// checkUsable checks what a dialler and a log need of an address, in another way than CheckAddress.
func checkUsable(t *testing.T, address string) {
	if err := CheckAddress(address); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse("tcp://" + strings.ReplaceAll(address, "%", "%25"))
	if err != nil || u.Host != strings.ReplaceAll(u.Host, " ", "") || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		t.Fatalf("%q as the host of a url: %+v, %v", address, u, err)
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 || u.Hostname() == "" {
		t.Fatalf("%q: port %d, %v", address, port, err)
	}
}

// A node's address that is taken can be dialled, and is in one line; every fault is an error that is in one line too.
func FuzzCheckAddress(f *testing.F) {
	for _, a := range []string{"127.0.0.1:1", "[::1]:65535", "[fe80::1%eth0]:1", "a-b.example.org.:80", "h:+80", "user@h:80", "[zz]:80", "h\n:80",
		"10.0.0.256:80", "a..b:80", "h:0"} {
		f.Add(a)
	}
	f.Fuzz(func(t *testing.T, address string) {
		err := CheckAddress(address)
		if err == nil {
			checkUsable(t, address)
		} else if strings.ContainsAny(err.Error(), "\n\r\x00") || !strings.Contains(err.Error(), "must ") && !strings.Contains(err.Error(), "are allowed") && !strings.Contains(err.Error(), "names no host") {
			t.Fatalf("%q", err)
		}
	})
}

// A file that somebody else wrote gives usable addresses or an error; what was stored is read back.
func FuzzParseCache(f *testing.F) {
	m := &Manager{ListURLs: []string{"http://h/inlong/manager/openapi/dataproxy/getIpList"}, Group: "test_group"}
	const head = `{"version":1,"list_url":"http://h/inlong/manager/openapi/dataproxy/getIpList","group":"test_group",`
	f.Add([]byte(head + `"nodes":["a:1","[::1]:2"],"max_packet_length":5}`))
	f.Add([]byte(head + `"nodes":["a:0"]}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseCache(data, m)
		if err != nil {
			return
		}
		slices.Sort(list.Nodes)
		checkList(t, list)
	})
}

// A url that is taken is stable, and every fault is an error and no panic.
func FuzzListURL(f *testing.F) {
	for _, raw := range []string{"http://h:8083", "https://[::1]/inlong/manager/", "http://u:p@h/x%2fy", "h:1", "http://h?", "http://h:0"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		full, err := ListURL(raw)
		if err != nil {
			return
		}
		again, err := ListURL(full)
		if err != nil || again != full {
			t.Fatal(errors.Join(err, errors.New(raw+" gave "+full+" gave "+again)))
		}
	})
}
