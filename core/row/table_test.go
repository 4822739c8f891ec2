package row_test

import (
	_ "embed"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/row"
)

// The table is the rules' own; the tests of Python read it too.
//
//go:embed testdata/table.json
var table []byte

type line struct {
	KV               bool     `json:"kv"`
	Separator        string   `json:"separator"`
	LineSeparator    string   `json:"line_separator"`
	Escape           *string  `json:"escape"` // missing: a backslash
	Columns          []string `json:"columns"`
	ControlEscapes   bool     `json:"control_escapes"`
	RefuseEmptyFirst bool     `json:"refuse_empty_first"`

	Names  []string `json:"names"`
	Fields []any    `json:"fields"`

	Row     string   `json:"row"`
	Reads   []string `json:"reads"`   // where it is not what was written
	Refused string   `json:"refused"` // with this in the error
}

func (l *line) settings() row.Settings {
	s := row.Settings{Type: row.CSV, Escape: '\\', Columns: l.Columns, ControlEscapes: l.ControlEscapes, RefuseEmptyFirst: l.RefuseEmptyFirst}
	if l.KV {
		s.Type, s.Separator = row.KV, '&'
	}
	if l.Escape != nil {
		s.Escape = first(*l.Escape)
	}
	if l.Separator != "" {
		s.Separator = first(l.Separator)
	}
	s.LineSeparator = first(l.LineSeparator)
	return s
}

func first(text string) rune {
	for _, char := range text {
		return char
	}
	return 0
}

func (l *line) fields() (fields []row.Field) {
	for i, value := range l.Fields {
		var f row.Field
		switch v := value.(type) {
		case nil:
			f = row.Null()
		case string:
			f = row.Text(v)
		case bool:
			f = row.Bool(v)
		case float64:
			f = row.Float(v)
			if v == math.Trunc(v) && math.Abs(v) < 1e15 {
				f = row.Int(int64(v))
			}
		}
		if l.Names != nil {
			f = f.Named(l.Names[i])
		}
		fields = append(fields, f)
	}
	return fields
}

// A row that differs from the rules' by a byte is read differently by somebody.
func TestRowsAreThoseOfTheTable(t *testing.T) {
	var lines []line
	require.NoError(t, json.Unmarshal(table, &lines))
	for _, l := range lines {
		format, err := row.New(l.settings())
		require.NoError(t, err, "%+v", l)
		got, err := format.Append([]byte("before"), l.fields()...)
		if l.Refused != "" {
			require.ErrorContains(t, err, l.Refused, "%+v", l)
			require.Equal(t, "before", string(got), "what was there stays as it was")
			continue
		}
		require.NoError(t, err, "%+v", l)
		require.Equal(t, "before"+l.Row, string(got), "%+v", l)

		got = got[len("before"):]
		var want []string
		for i, value := range l.Fields {
			text, isText := value.(string)
			switch {
			case l.Reads != nil || value == nil || l.KV && l.Columns != nil: // told below
			case !isText:
				encoded, _ := json.Marshal(value)
				text = string(encoded)
				if strings.ContainsAny(text, "e") && value != true && value != false {
					text = strings.Split(l.Row, "|")[i]
				}
				fallthrough
			default:
				if l.Names != nil && l.KV {
					want = append(want, l.Names[i])
				}
				want = append(want, text)
			}
		}
		if l.Reads != nil {
			want = l.Reads
		}
		if l.Columns == nil {
			requireAllRead(t, format, got, want)
		}
	}
}

// requireAllRead requires that each reader and Parse read the fields.
func requireAllRead(t *testing.T, format *row.Format, payload []byte, want []string) {
	t.Helper()
	s := format.Settings()
	m, readers := marks{s.Separator, s.KVSeparator, s.Escape}, csvReaders
	if s.Type == row.KV {
		readers = kvReaders
	}
	text := decode(s.Encoding, payload)
	wanted := make([]string, len(want))
	for i := range want {
		wanted[i] = decode(s.Encoding, []byte(want[i]))
	}
	for _, r := range readers {
		if strings.HasPrefix(text, string(s.Separator)) && strings.HasSuffix(r.name, "deleteHeadDelimiter") {
			continue // no encoding avoids that
		}
		if s.LineSeparator != 0 && s.LineSeparator != '\n' {
			text = strings.ReplaceAll(text, string(s.LineSeparator), "\n")
			for i := range wanted {
				wanted[i] = strings.ReplaceAll(wanted[i], string(s.LineSeparator), "\n")
			}
		}
		got, err := r.read(m, text)
		require.NoError(t, err, "%s reads %q", r.name, payload)
		require.Equal(t, [][]string{wanted}, got, "%s reads %q", r.name, payload)
	}
	pairs, err := format.Parse(payload)
	require.NoError(t, err, "%q", payload)
	var parsed []string
	for _, p := range pairs {
		if s.Type == row.KV {
			parsed = append(parsed, p.Key)
		}
		parsed = append(parsed, string(p.Value))
	}
	require.Equal(t, want, parsed, "%q", payload)
}
