package discovery

import (
	"errors"
	"slices"
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
		if err := CheckAddress(n); err != nil {
			t.Fatal(err)
		}
	}
}

// A file that somebody else wrote gives usable addresses or an error; what was stored is read back.
func FuzzParseCache(f *testing.F) {
	m := &Manager{ListURL: "http://h/inlong/manager/openapi/dataproxy/getIpList", Group: "test_group"}
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
