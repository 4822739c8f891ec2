package dataproxy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// A program that changes from an existing SDK to this client must not be seen by a consumer: for the same input the same
// messages with the same attributes. Payloads are the exception where the other SDK cuts them.
func TestFramesCarryWhatExistingSDKsCarry(t *testing.T) {
	many := func(prefix string, size int) (list []string) {
		for _, number := range []string{"0", "1", "2"} {
			item := prefix + "-000000" + number + "-"
			list = append(list, item+strings.Repeat("x", max(size-len(item), 0)))
		}
		return list
	}
	none, binary := []dataproxy.Option{}, []dataproxy.Option{dataproxy.WithMessageFormat(dataproxy.Binary)}
	inputs := map[string]struct { // what the program gave to that SDK
		opts     []dataproxy.Option
		payloads []string
		cut      bool // that SDK sends something else
		refused  int  // what a node answers to both
	}{
		"go_one": {none, []string{"hello"}, false, 0}, "go_three": {none, []string{"a1", "b22", "c333"}, false, 0},
		"go_binary_nul":         {none, []string{"\x00\x01\xff\x00"}, false, 0},
		"go_256_not_compressed": {none, []string{strings.Repeat("a", 252)}, false, 0},
		"go_257_compressed":     {none, []string{strings.Repeat("a", 253)}, false, 0},
		"go_addcolumns": {[]dataproxy.Option{dataproxy.WithAddColumns(map[string]string{"worldid": "7", "ip": "1.2.3.4"})},
			[]string{"hello"}, false, 0},
		"go_newline_end":             {none, []string{"line\n"}, true, 0},
		"go_only_newline":            {none, []string{"\n"}, true, 0},
		"go_newline_middle_of_batch": {none, []string{"first", "\n", "third"}, true, 0},
		"go_unknown_group":           {none, []string{"x"}, false, 115},
		"java_t5_sync1":              {none, many("j5", 0)[:1], false, 0},
		"java_t5_list3_snappy":       {none, many("j6", 100), false, 0},
		"java_t7_sync1":              {binary, many("j1", 0)[:1], false, 0},
		"java_t7_list3":              {binary, many("j2", 0), false, 0},
		"java_t7_attr":               {binary, many("j3", 0)[:1], false, 0},
		"java_t7_snappy":             {binary, many("j4", 200)[:1], false, 0},
		"java_noack":                 {binary, many("j8", 0)[:1], false, 0},
		"java_unknown":               {binary, many("j9", 0)[:1], false, 115},
	}
	for _, v := range captures(t, "existing_sdks.json", "frames") {
		input, ok := inputs[v.Name]
		if !ok { // the heartbeat and type 3, which this client never sends
			require.Contains(t, []string{"heartbeat_wait", "java_t3_list3"}, v.Name)
			continue
		}
		delete(inputs, v.Name)
		t.Run(v.Name, func(t *testing.T) {
			var theirs wire.Request
			theirs.Parse(unhex(t, v.Request))
			items, _ := theirs.AppendItems(nil)
			attr := make(map[string]string)
			for _, a := range theirs.Attrs {
				attr[string(a.Key)] = string(a.Value)
			}
			c := cluster(t, dataproxytest.WithNodes(1), dataproxytest.WithTopics("test_group/test_stream"),
				dataproxytest.WithGroups("test_group", "nope_group"))
			client := connect(t, c, append(slices.Clone(input.opts), dataproxy.WithMaxRetries(0), dataproxy.WithGroupID(attr["groupId"]))...)
			var batch []dataproxy.Message
			for _, p := range input.payloads {
				m := dataproxy.Message{StreamID: attr["streamId"], Payload: []byte(p)}
				if v.Name == "java_t7_attr" {
					m.Attributes = map[string]string{"k1": "v1"}
				}
				batch = append(batch, m)
			}
			for _, err := range client.SendBatch(patient(t), batch) {
				require.Equal(t, input.refused, dataproxy.GetServerErrorCode(err), "%v", err)
			}
			require.Len(t, c.Received(), 1)
			ours := c.Received()[0]
			require.Equal(t, theirs.Type, ours.Type)
			sent, carried := []string{}, []string{}
			for _, item := range ours.Items {
				sent = append(sent, string(item))
			}
			for _, item := range items {
				carried = append(carried, string(item.Data))
			}
			require.Equal(t, input.payloads, sent)
			require.Equal(t, input.cut, !slices.Equal(input.payloads, carried), "%q", carried)
			if strings.HasPrefix(v.Name, "go_") {
				require.Equal(t, theirs.Compressed(), ours.Compressed)
				require.Equal(t, ours.Attr["mid"], ours.Attr["sid"])
				for _, varies := range []string{"dt", "mid", "sid", "wid"} {
					require.NotEmpty(t, ours.Attr[varies])
					require.NotEmpty(t, attr[varies])
					delete(ours.Attr, varies)
					delete(attr, varies)
				}
				require.Equal(t, attr, ours.Attr)
				return
			}
			for _, key := range []string{"groupId", "streamId", "cnt", "k1"} { // those that say something of the messages
				if value, ok := attr[key]; ok {
					require.Equal(t, value, ours.Attr[key], key)
				}
			}
		})
	}
	require.Empty(t, inputs, "frames that were not captured")
}
