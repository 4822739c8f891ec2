package row_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/row"
)

// A setting that is read otherwise than readers read it makes rows that all of them take apart wrongly.
func TestStreamIsReadAsReadersReadIt(t *testing.T) {
	s, err := row.ParseStream([]byte(`{"dataType":"csv","dataSeparator":"124","kvSeparator":"oops","lineSeparator":null,"dataEscapeChar":"\\",
		"dataEncoding":"GBK","fieldList":[
		{"fieldName":"pre","fieldType":"int","isPredefinedField":1},{"fieldName":"id","fieldType":"long","isMetaField":0},
		{"fieldName":"at","fieldType":"timestamp","fieldFormat":"SECONDS"},{"fieldName":"meta","fieldType":"string","isMetaField":1}],
		"sinkList":[{"password":"secret"}]}`))
	require.NoError(t, err)
	require.Equal(t, &row.Stream{
		Settings: row.Settings{Type: row.CSV, Separator: '|', Escape: '\\', Encoding: row.GBK, Columns: []string{"id", "at"}},
		Columns:  []row.Column{{Name: "id", Type: "long"}, {Name: "at", Type: "timestamp", Format: "SECONDS"}},
	}, s)

	s, err = row.ParseStream([]byte(`{"dataType":"KV","dataSeparator":null,"kvSeparator":null,"lineSeparator":"10","dataEscapeChar":null,"fieldList":[]}`))
	require.NoError(t, err)
	require.Equal(t, row.Settings{Type: row.KV, Separator: '|', KVSeparator: '=', LineSeparator: '\n'}, s.Settings)
	require.Len(t, s.Notes, 3, "each missing setting is told of")
}

// A guess where readers disagree is right for one of them.
func TestStreamThatReadersTakeDifferentlyIsRefused(t *testing.T) {
	for answer, fault := range map[string]string{
		`{"dataType":"JSON"}`:                                                        `its data type is "JSON"`,
		`{}`:                                                                         `its data type is ""`,
		`{"dataType":"CSV","dataSeparator":"|"}`:                                     `dataSeparator "|": must be the decimal number`,
		`{"dataType":"CSV","dataSeparator":"0"}`:                                     `dataSeparator "0": must be`,
		`{"dataType":"CSV","dataSeparator":"70000"}`:                                 `dataSeparator "70000": must be`,
		`{"dataType":"CSV","dataEscapeChar":"92"}`:                                   `dataEscapeChar "92": must be one character`,
		`{"dataType":"CSV","dataSeparator":"10"}`:                                    `must not be LF`,
		`{"dataType":"CSV","dataEncoding":"Big5"}`:                                   `dataEncoding "Big5"`,
		`{"dataType":"KV","dataSeparator":"61"}`:                                     `is used for something else`,
		`{"dataType":"CSV","fieldList":[{"fieldName":"a"},{"fieldName":"a"}]}`:       `there is another one`,
		`{"dataType":7}`:                                                             `field "dataType" is a JSON number`,
		`{"dataType":"CSV","sinkList":[{"password":"secret"}]} and "secret" again`:   `no JSON`,
		`{"dataType":"CSV","dataSeparator":"x","kvSeparator":"secret","sinks":[{}]}`: `dataSeparator "x"`,
	} {
		_, err := row.ParseStream([]byte(answer))
		require.ErrorContains(t, err, fault, answer)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := row.ParseStream([]byte(`{"dataType":"avro"}`))
	require.ErrorIs(t, err, row.ErrNoRows)
}

func FuzzParseStream(f *testing.F) {
	f.Add([]byte(`{"dataType":"CSV","dataSeparator":"124","dataEscapeChar":"\\","fieldList":[{"fieldName":"a"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := row.ParseStream(data)
		if err == nil {
			_, err = row.New(s.Settings)
			require.NoError(t, err)
		}
	})
}
