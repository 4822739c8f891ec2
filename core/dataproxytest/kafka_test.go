package dataproxytest

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/inlongmsg"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// kafkaRecord is what one request of the vectors left in Kafka behind the real DataProxy.
type kafkaRecord struct {
	Value string // hex
	Attr  string
	Items []string // hex
}

// Pins: the recorder shows more, less or other messages than what a consumer of the real server got.
func TestRecordsAreWhatReachedKafka(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "internal", "wire", "testdata", "kafka.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Records []kafkaRecord }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	c, n := one(t, WithTopics("test_group/test_stream"))
	for _, v := range loadVectors(t, "dataproxy.json", "vectors") {
		if !strings.HasSuffix(v.Name, "service_stopped") {
			exchange(t, n.Addr(), unhex(t, v.Request))
		}
	}
	kept := slices.DeleteFunc(c.Received(), func(r Record) bool { return !r.Kept })
	if len(kept) != len(file.Records) {
		t.Fatalf("%d frames kept, %d records in Kafka", len(kept), len(file.Records))
	}
	for i, want := range file.Records {
		got := kept[i]
		items := make([]string, len(want.Items))
		for j, item := range want.Items {
			items[j] = string(unhex(t, item))
		}
		if text(got.Items) != strings.Join(items, " ") || len(got.Items) != len(items) {
			t.Errorf("record %d: items %q, want %q", i, got.Items, items)
		}
		m, err := inlongmsg.Decode(unhex(t, want.Value))
		if err != nil {
			t.Fatal(err)
		}
		// Without a time of the sender's it is the node's, which is another one here.
		if _, timed := got.Attr["dt"]; (timed || got.Type == wire.TypeBinary) && !got.EventTime.Equal(m.Blocks[0].Time) {
			t.Errorf("record %d: event time %v, want %v", i, got.EventTime, m.Blocks[0].Time)
		}
		// Kafka has the node's own times beside; v1 records say cnt=1 whatever was sent.
		attr := make(map[string]string)
		for _, entry := range strings.Split(want.Attr, "&") {
			key, value, _ := strings.Cut(entry, "=")
			attr[key] = value
		}
		for _, key := range []string{"rt", "rtms", "cnt", "dt", "rtime2", "node2ip"} {
			if _, sent := got.Attr[key]; !sent || key == "cnt" || key == "dt" {
				delete(attr, key)
			}
		}
		sent := maps.Clone(got.Attr)
		delete(sent, "cnt")
		delete(sent, "dt")
		if !maps.Equal(sent, attr) {
			t.Errorf("record %d: attributes %v, want %v", i, sent, attr)
		}
	}
}
