package dataproxy_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

var (
	groupRule     = regexp.MustCompile(`^[A-Za-z0-9_.-]{4,200}$`)
	streamRule    = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,200}$`)
	attributeRule = regexp.MustCompile(`^[!-%'-<>-~]([ -%'-<>-~]*[!-%'-<>-~])?$`)
)

var reservedSet = func() map[string]bool {
	set := make(map[string]bool)
	for _, name := range strings.Fields(reservedNames) {
		set[name] = true
	}
	return set
}()

// allowed states the rules of ids and attributes once more, another way.
func allowed(msg *dataproxy.Message) bool {
	total := 0
	for k, v := range msg.Attributes {
		total += len("&=") + len(k) + len(v)
		if !attributeRule.MatchString(k) || v != "" && !attributeRule.MatchString(v) || reservedSet[k] || k == "__addcol1__world" {
			return false
		}
		if n, err := strconv.ParseUint(v, 10, 63); k == "auditVersion" && (err != nil || fmt.Sprint(n) != v) {
			return false
		}
	}
	return total <= 4096 && groupRule.MatchString(msg.GroupID) && streamRule.MatchString(msg.StreamID)
}

// No ids and attributes of a user may become another attribute at the server, or break the text of all of them: the server
// reads back exactly what was given, or the message is refused with a reason.
func FuzzIDsAndAttributes(f *testing.F) {
	var clients []dataproxy.FullClient
	for _, format := range []dataproxy.MessageFormat{dataproxy.Text, dataproxy.Binary} {
		for _, ordered := range []bool{false, true} {
			client, err := dataproxy.NewClient(dataproxy.WithGroupID("test_group"), dataproxy.WithStaticNodes("127.0.0.1:1"),
				dataproxy.WithLazyStart(true), dataproxy.WithLogger(dataproxy.NopLogger()), dataproxy.WithMessageFormat(format),
				dataproxy.WithAddColumns(map[string]string{"__addcol1__world": "7"}), dataproxy.WithOrdered(ordered))
			require.NoError(f, err)
			client.Close() // what it does in the background would pass for coverage
			clients = append(clients, client)
		}
	}
	f.Add(byte(1), "test_group", "test_stream", "color", "red", "size", "")
	f.Add(byte(2), "test_group", "s", "k", "a&isAck=false", "syncSend", "true")
	f.Add(byte(3), "g&isAck=false", "s\n", " k", "v ", "mid", "\xff")
	f.Add(byte(0), "group", "日本", "errCode", "1", "a=b", "c")
	f.Add(byte(1), "test_group", "s", "", "v", "k", strings.Repeat("x", 4090))
	f.Fuzz(func(t *testing.T, kind byte, group, stream, k1, v1, k2, v2 string) {
		msg := dataproxy.Message{GroupID: group, StreamID: stream, Payload: []byte("x"), Attributes: map[string]string{k1: v1, k2: v2}}
		full := msg
		if full.GroupID == "" { // means the client's own
			full.GroupID = "test_group"
		}
		client := clients[int(kind)%len(clients)]
		frame, err := dataproxy.FrameOf(client, &msg)
		if allowed(&full) != (err == nil) {
			t.Fatalf("%q: %v", msg, err)
		}
		if err != nil {
			var e *dataproxy.Error
			if !errors.As(err, &e) || e.Code != dataproxy.CodeLogInvalid || e.Message == "" || len(e.Error()) > 1200 || strings.Contains(e.Error(), "\n") {
				t.Fatalf("%q: %d bytes: %v", msg, len(err.Error()), err)
			}
			return
		}
		var r wire.Request
		if v := r.Parse(frame); !v.Ok() {
			t.Fatalf("%q: the server answers %+v", msg, v)
		}
		got := make(map[string]string)
		for _, a := range r.Attrs {
			got[string(a.Key)] = string(a.Value)
		}
		want := maps.Clone(msg.Attributes)
		want["groupId"], want["streamId"], want["__addcol1__world"] = full.GroupID, stream, "7"
		for _, ours := range []string{"dt", "mid", "sid", "wid", "cnt"} {
			want[ours] = got[ours]
		}
		if !maps.Equal(want, got) {
			t.Fatalf("%q: the server reads %q", msg, got)
		}
	})
}

// The body of a record with a right checksum may still be of another program: a message of it is taken from beyond its end, or there are
// others in it than its items.
func FuzzBodyOfARecord(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02ab\x00\x00\x00\x01c"), false)
	f.Add([]byte("\x00\x00\x00\x02ab\x00\x00\x00\x00"), true)
	f.Add([]byte("\xff\xff\xff\xffab"), false)
	f.Add([]byte("\x00\x00\x00\x00"), false)
	f.Fuzz(func(t *testing.T, body []byte, itemized bool) {
		ends := spool.EndsOf(body, itemized)
		var again []byte
		for i, end := range ends {
			start := uint32(0)
			if i > 0 {
				start = ends[i-1]
			}
			item := body[start:end]
			parts := 1
			if itemized {
				parts = 2
			}
			for part := range parts {
				n := binary.BigEndian.Uint32(item)
				if part == 0 && n == 0 {
					t.Fatalf("message %d is empty", i)
				}
				again = append(again, item[:4+n]...)
				item = item[4+n:]
			}
			if len(item) > 0 {
				t.Fatalf("message %d has %d bytes that are in no item", i, len(item))
			}
		}
		if len(ends) > 0 && !bytes.Equal(again, body) {
			t.Fatalf("%d messages are not all of the body", len(ends))
		}
	})
}
