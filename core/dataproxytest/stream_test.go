package dataproxytest

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// Pins: an answer about a stream that differs from the real one's in what is known of it.
func TestManagerTellsOfStreams(t *testing.T) {
	c := Start(t, WithTopics("g/s"))
	about := func(group, stream string) string {
		r, err := request("GET", c.URL()+aboutStream+"?"+url.Values{"groupId": {group}, "streamId": {stream}}.Encode(), nil, nil)
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("%d %v", r.StatusCode, err)
		}
		return r.body
	}
	field := func(name string) any {
		var answer struct{ Data map[string]any }
		if err := json.Unmarshal([]byte(about("g", "s")), &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Data[name]
	}
	if got := field("dataSeparator"); got != "124" {
		t.Errorf("separator %v", got)
	}
	if got := field("dataEscapeChar"); got != nil {
		t.Errorf("escape %v", got)
	}
	if _, err := c.Control([]byte(`{"op":"set_stream","group":"g","stream":"s","data":{"dataType":"KV"}}`)); err != nil || field("dataType") != "KV" {
		t.Errorf("%v %v", err, field("dataType"))
	}
	if _, err := c.Control([]byte(`{"op":"set_stream","group":"g","stream":"s"}`)); err != nil || field("dataType") != "CSV" {
		t.Errorf("%v %v", err, field("dataType"))
	}
	if _, err := c.Control([]byte(`{"op":"set_stream","group":"g"}`)); err == nil || !strings.Contains(err.Error(), "stream: empty") {
		t.Errorf("%v", err)
	}
	for _, unknown := range [][2]string{{"x", "s"}, {"g", "x"}} {
		if got := about(unknown[0], unknown[1]); got != failed(noStream) {
			t.Errorf("%v: %s", unknown, got)
		}
	}
	if got := about("g", ""); got != failed(serviceError) {
		t.Errorf("no stream: %s", got)
	}
	c.Manager().Fault(Failure("later"))
	if got := about("g", "s"); got != failed("later") {
		t.Errorf("failure: %s", got)
	}
}
