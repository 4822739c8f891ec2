package dataproxy_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// refusal sends msg, which must be refused as invalid, and returns the text.
func refusal(t *testing.T, client dataproxy.FullClient, msg dataproxy.Message) string {
	t.Helper()
	before := client.Stats()
	e := fault(t, client.Send(patient(t), msg), dataproxy.CodeLogInvalid)
	require.Equal(t, dataproxy.NotWritten, e.Persisted())
	require.False(t, e.Retriable())
	require.Less(t, len(e.Error()), 600, "a hostile value fills the log")
	require.NotContains(t, e.Error(), "\n")
	after := client.Stats()
	require.Equal(t, before.Refused+1, after.Refused)
	require.Equal(t, before.Accepted, after.Accepted)
	return e.Message
}

// Scenario H6: an id that holds a separator would name another group, or add an attribute that changes how the batch is acked.
func TestH6_IDsAreChecked(t *testing.T) {
	c := cluster(t)
	client := connect(t, c)
	const rule = "only A-Z a-z 0-9 _ . - are allowed"
	for id, part := range map[string]string{
		"g&isAck=false": "has the character '&': " + rule, "g=12": "has the character '=': " + rule, "gro\nup": `has the character '\n': ` + rule,
		"gro up": "has the character ' ': " + rule, "grouppé": rule, "日本語日本語": rule, "gro\x00up": `has the character '\x00': ` + rule, "gro/up": "has the character '/'",
		"abc": "has 3 characters: it must have 4 to 200", strings.Repeat("g", 201): "has 201 characters: it must have 4 to 200", " group": "has the character ' '",
	} {
		msg := message("x")
		msg.GroupID = id
		text := refusal(t, client, msg)
		require.True(t, strings.HasPrefix(text, "group id "), text)
		require.Contains(t, text, part)
		if len(id) < 4 {
			continue
		}
		msg = message("x")
		msg.StreamID = id
		text = refusal(t, client, msg)
		require.True(t, strings.HasPrefix(text, "stream id "), text)
		require.Contains(t, text, strings.Replace(part, "4 to 200", "1 to 200", 1))
		require.ErrorContains(t, dataproxy.CheckStreamID(id), text, "asked beforehand, the answer is another")
	}
	require.Contains(t, refusal(t, client, dataproxy.Message{Payload: []byte("x")}), `stream id "" has 0 characters: it must have 1 to 200`)
	require.Zero(t, c.Count())

	for _, ids := range [][2]string{{"abcd", "s"}, {strings.Repeat("Z", 200), strings.Repeat("9", 200)}, {"a._-", "-"}, {"....", "."}} {
		require.NoError(t, client.Send(patient(t), dataproxy.Message{GroupID: ids[0], StreamID: ids[1], Payload: []byte("x")}))
		received := c.Received()
		last := received[len(received)-1]
		require.Equal(t, ids, [2]string{last.Group, last.Stream})
		require.NoError(t, dataproxy.CheckStreamID(ids[1]))
	}
}

// reservedNames are the protocol's own, from its table of attributes.
const reservedNames = `groupId streamId dt cp cnt mt m sid t NodeIP messageId isAck proxySend errCode errMsg rtms sdkVersion
	_file_status_check _secretId _signature _timeStamp _nonce _userName _clientIP _encyVersion _encyAesKey
	syncSend partitionKey dpIp dpIP rt node2ip rtime2 mid wid uniq`

// Scenario H6: an attribute must not break the attribute text, nor mean something to the server.
func TestH6_AttributesAreChecked(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithAddColumns(map[string]string{"__addcol1__world": "7"}))
	const rule = "only printable ASCII without & and = is allowed"
	bad := map[[2]string]string{
		{"", "v"}:                         `the attribute with value "v" has an empty name`,
		{"k", "a&isAck=false"}:            `value "a&isAck=false" of attribute "k" has the character '&': ` + rule,
		{"k", "a=b"}:                      `value "a=b" of attribute "k" has the character '=': ` + rule,
		{"k&isAck", "false"}:              `attribute name "k&isAck" has the character '&': ` + rule,
		{"k=1", "v"}:                      `attribute name "k=1" has the character '=': ` + rule,
		{"k", "a\nb"}:                     `has the character '\n': ` + rule,
		{"k", "a\rb"}:                     `has the character '\r': ` + rule,
		{"k", "a\x00b"}:                   `has the character '\x00': ` + rule,
		{"k", "a\x7fb"}:                   `has the character '\x7f': ` + rule,
		{"k", "é"}:                        `has the character 'é': ` + rule,
		{"é", "v"}:                        `attribute name "é" has the character 'é': ` + rule,
		{"k", " a"}:                       `value " a" of attribute "k" starts or ends with a blank`,
		{"k", "a "}:                       "starts or ends with a blank",
		{" k", "a"}:                       `attribute name " k" starts or ends with a blank`,
		{"k", strings.Repeat("x", 4096)}:  "the attributes have 4099 bytes together: they must have 4096 or less",
		{strings.Repeat("k", 5000), "v"}:  "the attributes have 5003 bytes together",
		{"k", strings.Repeat("\xff", 99)}: rule,
		{"__addcol1__world", "8"}:         `attribute "__addcol1__world" is already added by add_columns`,
	}
	for name := range strings.FieldsSeq(reservedNames) {
		bad[[2]string{name, "v"}] = fmt.Sprintf("attribute name %q is reserved by the protocol", name)
	}
	for pair, part := range bad {
		msg := message("x")
		msg.Attributes = map[string]string{"good": "1", pair[0]: pair[1]}
		if strings.HasPrefix(part, "the attributes have ") {
			delete(msg.Attributes, "good")
		}
		require.Contains(t, refusal(t, client, msg), part)
	}
	require.Zero(t, c.Count())
}

// A program of the Java SDK sets these two, and consumers and the audit read them. A node counts a version that is no number as none, in
// silence, and the sums of all who name one hide the rest.
func TestProgramMaySetMsgUUIDAndAuditVersion(t *testing.T) {
	for _, format := range []dataproxy.MessageFormat{dataproxy.Text, dataproxy.Binary} {
		c := cluster(t)
		client := connect(t, c, dataproxy.WithMessageFormat(format), dataproxy.WithAddColumns(map[string]string{"auditVersion": "7"}))
		msg := message("x")
		msg.Attributes = map[string]string{"msgUUID": "0f8fad5b-d9cb-469f-a165-70867728950e"}
		require.NoError(t, client.Send(patient(t), msg))
		got := c.Received()[0].Attr
		require.Equal(t, []string{msg.Attributes["msgUUID"], "7"}, []string{got["msgUUID"], got["auditVersion"]})
		require.NotEqual(t, "", got["mid"])
		require.Contains(t, refusal(t, client, dataproxy.Message{StreamID: "s", Payload: []byte("x"), Attributes: map[string]string{"auditVersion": "8"}}),
			"already added by add_columns")

		client = connect(t, c, dataproxy.WithMessageFormat(format))
		for _, version := range []string{"0", "7001", "9223372036854775807"} {
			msg.Attributes = map[string]string{"auditVersion": version}
			require.NoError(t, client.Send(patient(t), msg))
			received := c.Received()
			require.Equal(t, version, received[len(received)-1].Attr["auditVersion"])
		}
		for _, version := range []string{"", "-1", "+1", "01", "1.0", "v1", "0x1", "1_0", "9223372036854775808"} {
			msg.Attributes = map[string]string{"auditVersion": version}
			require.Contains(t, refusal(t, client, msg), fmt.Sprintf(`value %q of attribute "auditVersion" must be a number of 0 to 9223372036854775807`, version))
		}
	}
	var o dataproxy.Options
	dataproxy.WithAddColumns(map[string]string{"auditVersion": "v1"})(&o)
	require.ErrorContains(t, o.ValidateAndSetDefault(), `option add_columns: value "v1" of attribute "auditVersion" must be a number`)
}

// What the rules let through must arrive as it was given, in both kinds of frames, up to the longest that is allowed.
func TestGoodAttributesArriveUnchanged(t *testing.T) {
	many := map[string]string{}
	for i := range 200 {
		many[fmt.Sprintf("key%03d", i)] = fmt.Sprintf("value%d", i)
	}
	columns := map[string]string{"__addcol1__ip": "{{ip}}", "__addcol2__long": strings.Repeat("c", 4000), "empty": ""}
	for _, format := range []dataproxy.MessageFormat{dataproxy.Text, dataproxy.Binary} {
		c := cluster(t)
		client := connect(t, c, dataproxy.WithMessageFormat(format), dataproxy.WithAddColumns(columns), dataproxy.WithReadBufferSize(1024))
		for _, attributes := range []map[string]string{
			{"a": "1"}, {"a": ""}, {"a": "in ner", "b c": "#!\"$%'()*+,-./:;<>?@[]^_`{|}~"}, many, {"k": strings.Repeat("v", 4093)},
		} {
			msg := message("x")
			msg.Attributes = attributes
			require.NoError(t, client.Send(patient(t), msg))
			received := c.Received()
			last := received[len(received)-1]
			for k, v := range attributes {
				require.Equal(t, v, last.Attr[k], k)
			}
			require.NotNil(t, net.ParseIP(last.Attr["__addcol1__ip"]), "{{ip}} became %q", last.Attr["__addcol1__ip"])
			require.Equal(t, columns["__addcol2__long"], last.Attr["__addcol2__long"])
			require.Contains(t, last.Attr, "empty")
		}
		require.Zero(t, client.Stats().Retries, "an answer did not fit into the read buffer")
	}
}

// An event time that the protocol cannot carry comes out as another one.
func TestEventTimesOutsideTheProtocolAreRefused(t *testing.T) {
	for format, times := range map[dataproxy.MessageFormat]map[time.Time]bool{
		dataproxy.Text: {
			time.Unix(0, 0): true, time.UnixMilli(1700000000123): true, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC): true,
			time.Unix(-1, 0): false, time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC): false, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC): false,
			time.Date(1<<30, 1, 1, 0, 0, 0, 0, time.UTC): false,
		},
		dataproxy.Binary: {time.Unix(0, 0): true, time.Unix(1<<31-1, 0): true, time.Unix(1<<31, 0): false, time.Unix(-1, 0): false},
	} {
		c := cluster(t)
		client := connect(t, c, dataproxy.WithMessageFormat(format))
		for at, ok := range times {
			msg := message("x")
			msg.Time = at
			if !ok {
				require.Contains(t, refusal(t, client, msg), "it must be within 1970-01-01 to ")
				continue
			}
			require.NoError(t, client.Send(patient(t), msg))
			received := c.Received()
			last := received[len(received)-1]
			if format == dataproxy.Text {
				require.Equal(t, fmt.Sprint(at.UnixMilli()), last.Attr["dt"])
			}
		}
	}
}

// A frame bound below what the attributes take leaves no room at all; the text must say where to look.
func TestNoRoomForAnyPayload(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithMaxFrameSize(1024), dataproxy.WithAddColumns(map[string]string{"a": strings.Repeat("x", 1000)}))
	e := fault(t, client.Send(patient(t), message("x")), dataproxy.CodeLogTooLong)
	require.ErrorContains(t, e, "max_frame_size, or the Manager's maxPacketLength, is too small")
	require.Zero(t, c.Count())
}
