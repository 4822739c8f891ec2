package discovery

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func listOf(nodes string) []byte {
	return []byte(`{"success":true,"errMsg":null,"data":{"clusterId":1,"load":20,"maxPacketLength":524288,"nodeList":[` + nodes + `]}}`)
}

// A node that is dropped without need is capacity lost, one that cannot be dialled is a lane that never connects.
func TestParseListTakesWhatCanBeDialled(t *testing.T) {
	for nodes, want := range map[string]string{
		`{"id":1,"ip":"127.0.0.1","port":46801,"protocolType":"TCP","nodeLoad":65535}`:                                                "127.0.0.1:46801",
		`{"ip":"b","port":2},{"ip":"a","port":1},{"ip":"b","port":2}`:                                                                 "a:1 b:2",
		`{"ip":"a","port":1,"protocolType":"tcp"},{"ip":"a","port":2,"protocolType":"HTTP"},{"ip":"a","port":3,"protocolType":"UDP"}`: "a:1",
		`{"ip":"a","port":1,"protocolType":null}`:                                                                                     "a:1",
		`{"ip":"::1","port":1},{"ip":"[fe80::2]","port":1}`:                                                                           "[::1]:1 [fe80::2]:1",
		`{"ip":" dp.example.org ","port":46801,"unknown":{"x":[1]}}`:                                                                  "dp.example.org:46801",
		`{"ip":"a","port":1},{"ip":"","port":1},{"ip":"b","port":0},{"ip":"c","port":65536},{"ip":"d"},{}`:                            "a:1",
	} {
		list, err := ParseList(listOf(nodes))
		require.NoError(t, err, nodes)
		require.Equal(t, want, strings.Join(list.Nodes, " "), nodes)
		require.Equal(t, 524288, list.MaxPacketLength)
	}
	list, err := ParseList(listOf(`{"ip":"a","port":1},{"ip":"b","port":0},{"ip":"","port":7}`))
	require.NoError(t, err)
	require.Len(t, list.Skipped, 2)
	require.ErrorContains(t, list.Skipped[0], `node "b:0": port "0" must be 1 to 65535`)
	require.ErrorContains(t, list.Skipped[1], `node ":7": it names no host`)
}

// One entry with a port that is a text, or anything else, cost the whole list: no start, and no news for a client that runs.
func TestOddEntriesCostNoOtherNode(t *testing.T) {
	list, err := ParseList(listOf(`{"ip":"a","port":1},{"ip":"b","port":"2"},{"ip":"c","port":"x"},{"ip":7,"port":3},{"ip":"d","port":4.5},null,[],"e:5",{"ip":"f","port":true}`))
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2"}, list.Nodes)
	require.Len(t, list.Skipped, 7)
	for i, want := range []string{`port`, `ip is a JSON number`, `port "4.5" must be 1 to 65535`, `names no host`, `the whole is a JSON array`, `the whole is a JSON string`,
		`port is a JSON bool`} {
		require.ErrorContains(t, list.Skipped[i], want)
		require.Less(t, len(list.Skipped[i].Error()), 200)
	}
	_, err = ParseList(listOf(`{"ip":"c","port":[]}`))
	require.ErrorIs(t, err, ErrNoNodes)
	require.ErrorContains(t, err, "port is a JSON array")
}

func TestParseListSaysWhyNoNodeCanBeUsed(t *testing.T) {
	_, err := ParseList(listOf(`{"ip":"a","port":1,"protocolType":"UDP"}`))
	require.ErrorIs(t, err, ErrNoNodes)
	_, err = ParseList(listOf(`{"ip":"a","port":99999}`))
	require.ErrorIs(t, err, ErrNoNodes)
	require.ErrorContains(t, err, `node "a:99999"`)
}

// The administrator's number bounds our frames; one that means nothing must not.
func TestMaxPacketLengthCountsWhenItIsANumberAboveZero(t *testing.T) {
	for text, want := range map[string]int{"524288": 524288, "null": 0, "0": 0, "-1": 0} {
		list, err := ParseList([]byte(`{"success":true,"data":{"maxPacketLength":` + text + `,"nodeList":[{"ip":"a","port":1}]}}`))
		require.NoError(t, err, text)
		require.Equal(t, want, list.MaxPacketLength, text)
	}
	for _, text := range []string{`"1"`, "1.5", "99999999999999999999", "[]"} {
		_, err := ParseList([]byte(`{"success":true,"data":{"maxPacketLength":` + text + `,"nodeList":[{"ip":"a","port":1}]}}`))
		require.ErrorContains(t, err, "not the JSON of a node list", text)
	}
}

// A hostile or broken Manager must not fill the log through an error text.
func TestManagersTextCannotDriveATerminal(t *testing.T) {
	for sent, want := range map[string]string{
		`group \u001b[2Jnot found`: `the Manager refused: "group \x1b[2Jnot found"`, `a\nb`: `the Manager refused: a b`, `组不存在`: `the Manager refused: 组不存在`,
		`\u202egnp`: `the Manager refused: "\u202egnp"`,
	} {
		_, err := ParseList([]byte(`{"success":false,"errMsg":"` + sent + `"}`))
		require.EqualError(t, err, want)
	}
}

func TestListErrorsAreShort(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, body := range []string{long, `{"success":false,"errMsg":"` + long + `"}`, `{"nothing":"` + long + `"}`} {
		_, err := ParseList([]byte(body))
		require.Error(t, err)
		require.Less(t, len(err.Error()), 1000)
	}
}
