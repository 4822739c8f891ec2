package main

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// One broker serves all: its start is what takes time.
func TestWithARealKafka(t *testing.T) {
	brokers := startKafka(t)
	t.Run("captured records", func(t *testing.T) { readsCapturedRecords(t, brokers) })
	t.Run("the page's reader", func(t *testing.T) { printsEachMessageOnce(t, brokers) })
	t.Run("all cases", func(t *testing.T) { readsBackFromKafka(t, brokers) })
	t.Run("differences", func(t *testing.T) { namesWhatKafkaLacks(t, brokers) })
	t.Run("another topic", func(t *testing.T) { saysThatNothingArrived(t, brokers) })
	t.Run("unknown topic", func(t *testing.T) {
		_, err := openKafka(t.Context(), []string{brokers}, "nope", time.Second)
		if err == nil || !strings.Contains(err.Error(), "TOPIC nope: ") || !strings.Contains(err.Error(), "UNKNOWN_TOPIC_OR_PARTITION") {
			t.Error(err)
		}
	})
}

// What a real DataProxy left in Kafka, written into a real Kafka, must come out of the reader as its consumer saw it. What
// was there before the reader was opened is not ours.
func readsCapturedRecords(t *testing.T, brokers string) {
	raw, err := os.ReadFile("../../internal/wire/testdata/kafka.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Records []struct {
			Value, Attr string
			Version     int
			Headers     map[string]string
			Items       []string
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	writer := newTopic(t, brokers, "captured", 3)
	write := func(r *kgo.Record) {
		if err := writer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	write(&kgo.Record{Value: []byte("of another time")})
	reader, err := openKafka(t.Context(), []string{brokers}, "captured", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.close()
	want := make(map[string]string) // items by attributes
	for _, r := range file.Records {
		value, err := hex.DecodeString(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		record := &kgo.Record{Value: value}
		for key, text := range r.Headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: key, Value: []byte(text)})
		}
		write(record)
		want[fmt.Sprint(r.Version, r.Attr)] += strings.Join(r.Items, " ") + "\n"
	}
	got := make(map[string]string)
	for n := 0; n < len(file.Records); {
		fetches := reader.client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			n++
			frames, err := framesOf(r.Value)
			if err != nil || len(frames) != 1 {
				t.Fatalf("%x: %v", r.Value, err)
			}
			f := frames[0]
			var items []string
			for _, item := range f.items {
				items = append(items, hex.EncodeToString(item))
			}
			for key := range want {
				version, attr := key[:1], key[1:]
				if (version == "4") == (f.format == "binary") && sameAttributes(attr, f.attributes) {
					got[key] += strings.Join(items, " ") + "\n"
				}
			}
		}
	}
	for key, items := range want {
		if got[key] != items {
			t.Errorf("%s: %q, want %q", key, got[key], items)
		}
	}
}

func sameAttributes(text string, attributes map[string]string) bool {
	pairs := strings.Split(text, "&")
	slices.Sort(pairs)
	return strings.Join(pairs, "&") == joinAttributes(attributes)
}

// forward writes into Kafka what the fake cluster keeps, as a DataProxy does. change may bend what it writes.
func forward(t *testing.T, c *dataproxytest.Cluster, writer *kgo.Client, change func(*frame) []*frame) {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for done, more := 0, true; more; {
			select {
			case <-stop:
				more = false // once more, to the end
			case <-time.After(20 * time.Millisecond):
			}
			for _, r := range c.Received()[done:] {
				done++
				if !r.Kept {
					continue
				}
				f := &frame{attributes: r.Attr, items: r.Items}
				for _, f := range change(f) {
					writer.Produce(t.Context(), &kgo.Record{Value: valueOf(r, f.items)}, nil)
				}
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
}

// valueOf is the InLongMsg that a DataProxy makes of a frame with these items.
func valueOf(r dataproxytest.Record, items [][]byte) []byte {
	var body []byte
	for i, item := range items {
		body = wire.AppendItem(body, item)
		if r.ItemAttrs != nil {
			body = wire.AppendItem(body, []byte(r.ItemAttrs[i]))
		}
	}
	ms := r.At.UnixMilli()
	if r.Type == wire.TypeBinary {
		attr := fmt.Sprintf("rtms=%d&%s", ms, r.RawAttr)
		value := wire.AppendBinary([]byte("\x0f\x04"), body, []byte(attr), r.Uniq, uint32(r.EventTime.Unix()), uint16(len(items)), true, r.ItemAttrs != nil)
		return append(value, "\x0f\x04"...)
	}
	attr := fmt.Sprintf("%s&rt=%d&rtms=%d", r.RawAttr, ms, ms)
	block := s2.EncodeSnappy(nil, body)
	value := binary.BigEndian.AppendUint64([]byte("\x0f\x01"), uint64(ms))
	value = binary.BigEndian.AppendUint32(value, 1)
	value = binary.BigEndian.AppendUint16(value, uint16(len(attr)))
	value = binary.BigEndian.AppendUint32(append(value, attr...), uint32(len(block)+1))
	return append(append(append(value, 1), block...), "\x0f\x01"...)
}

func asItIs(f *frame) []*frame { return []*frame{f} }

// All cases once more, with what arrived read out of Kafka: what the recorder tells at once is here found by waiting.
func readsBackFromKafka(t *testing.T, brokers string) {
	c, variables := live(t, dataproxytest.WithBasicAuth("id", "key"))
	forward(t, c, newTopic(t, brokers, "all", 3), asItIs)
	bootstrap := "127.0.0.1:1," + brokers // of several brokers one may be down
	variables["AUTH"], variables["KAFKA"], variables["TOPIC"] = "id:key", bootstrap, "all"
	out, err := try(t, variables, "--languages", "go")
	if err != nil || !strings.Contains(out, "read back from Kafka topic all at "+bootstrap) || strings.Contains(out, "FAILED") {
		t.Fatalf("%v\n%s", err, out)
	}
}

// A message that Kafka lacks, has twice or has otherwise must be found there, and the case be named; what cannot be read is
// said.
func namesWhatKafkaLacks(t *testing.T, brokers string) {
	c, variables := live(t)
	writer := newTopic(t, brokers, "bent", 1)
	garbage := func(text string) {
		if err := writer.ProduceSync(t.Context(), &kgo.Record{Value: []byte(text)}).FirstErr(); err != nil {
			t.Error(err)
		}
	}
	garbage("of another time")
	forward(t, c, writer, func(f *frame) []*frame {
		if !slices.ContainsFunc(f.items, func(item []byte) bool { return string(item) == "000000000003" }) {
			return []*frame{f}
		}
		switch _, test, _ := strings.Cut(f.tag(), "."); test {
		case "0.go":
			garbage("of somebody else")
			return nil
		case "1.go":
			return []*frame{f, f}
		default:
			items := slices.Clone(f.items)
			items[0] = []byte("something else")
			return []*frame{{attributes: f.attributes, items: items}}
		}
	})
	variables["KAFKA"], variables["TOPIC"] = brokers, "bent"
	out, err := try(t, variables, "--languages", "go", "--only", "text: event time|text: added columns|text: own group", "--wait", "3s")
	if err == nil {
		t.Fatal(out)
	}
	for _, want := range []string{"text: event time, Go: lost ", "text: added columns, Go: extra ", "text: own group, Go: altered 1: ",
		"1 values of the topic are no InLongMsg; the first: partition 0, offset "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// With the topic of another stream each case fails: the user must not think that the clients lose everything.
func saysThatNothingArrived(t *testing.T, brokers string) {
	newTopic(t, brokers, "another", 1)
	_, variables := live(t)
	variables["KAFKA"], variables["TOPIC"] = brokers, "another"
	out, err := try(t, variables, "--languages", "go", "--only", "text: event time", "--wait", "100ms")
	want := "Nothing of this run arrived in Kafka topic another at " + brokers + ": is it the topic behind stream live_stream of group live_group?"
	if err == nil || !strings.Contains(out, want) || row(t, out, "text: event time") != "FAILED" {
		t.Errorf("%v\n%s", err, out)
	}
}
