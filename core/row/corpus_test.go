package row_test

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/row"
)

// Rows for the tests of other languages, which have an implementation of their own: the file that INLONG_ROW_CORPUS names gets the
// table and random rows, with what this package makes of them. A line is
//
//	csv|kv utf8|gbk SEPARATOR KV LINE ESCAPE control|- first|- COLUMNS FIELDS ROW
//
// with code points in decimal (0 for none), COLUMNS as hex with a comma after each, FIELDS as KIND:NAME:VALUE with a comma after each
// (NAME "-" for none, texts in hex, numbers in decimal, a double as the hex of its bits), ROW in hex, "!" where it is refused.
func TestOtherLanguagesGetTheSameRows(t *testing.T) {
	path := os.Getenv("INLONG_ROW_CORPUS")
	if path == "" {
		t.Skip("INLONG_ROW_CORPUS names no file")
	}
	file, err := os.Create(path)
	require.NoError(t, err)
	out := bufio.NewWriter(file)
	var lines []line
	require.NoError(t, json.Unmarshal(table, &lines))
	for _, l := range lines {
		var values []value
		for i, v := range l.Fields {
			values = append(values, tableValue(v))
			if l.Names != nil {
				values[i].named, values[i].name = true, l.Names[i]
			}
		}
		writeRow(t, out, l.settings(), values)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		s := randomSettings(r)
		s.RefuseEmptyFirst = s.Type == row.CSV && r.IntN(8) == 0
		s.ControlEscapes = s.Type == row.CSV && s.Escape != 0 && !strings.ContainsAny(string([]rune{s.Separator, s.Escape, s.LineSeparator}), "\rnr0") && r.IntN(4) == 0
		named := s.Type == row.KV
		for i := range r.IntN(4) {
			s.Columns = append(s.Columns, string(rune('A'+i)))
		}
		if s.Columns != nil {
			named = r.IntN(2) == 0
		}
		var values []value
		n := r.IntN(5)
		if s.Columns != nil && r.IntN(8) > 0 {
			n = len(s.Columns)
		}
		for i := range n {
			v := randomValue(r, &s)
			if named {
				v.named, v.name = true, string(rune('A'+i))
				if r.IntN(16) == 0 {
					v.name = "A"
				}
				if s.Columns == nil && s.Encoding == row.UTF8 {
					v.name += string(randomText(r, &s, false))
				}
			}
			values = append(values, v)
		}
		writeRow(t, out, s, values)
	}
	require.NoError(t, out.Flush())
	require.NoError(t, file.Close())
}

// value is a field as the file has it.
type value struct {
	kind  string
	text  string
	name  string
	named bool
	field row.Field
}

func textValue(kind, text string, field row.Field) value {
	return value{kind: kind, text: hex.EncodeToString([]byte(text)), field: field}
}

func tableValue(v any) value {
	switch v := v.(type) {
	case string:
		return textValue("t", v, row.Text(v))
	case bool:
		return value{kind: "o", text: fmt.Sprint(v), field: row.Bool(v)}
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return value{kind: "i", text: fmt.Sprint(int64(v)), field: row.Int(int64(v))}
		}
		return doubleValue(v)
	}
	return value{kind: "n", field: row.Null()}
}

func doubleValue(v float64) value {
	return value{kind: "d", text: fmt.Sprintf("%016x", math.Float64bits(v)), field: row.Float(v)}
}

func randomValue(r *rand.Rand, s *row.Settings) value {
	switch r.IntN(12) {
	case 0:
		return value{kind: "n", field: row.Null()}
	case 1:
		n := int64(r.Uint64()) >> r.IntN(64)
		return value{kind: "i", text: fmt.Sprint(n), field: row.Int(n)}
	case 2:
		n := r.Uint64() >> r.IntN(64)
		return value{kind: "u", text: fmt.Sprint(n), field: row.Uint(n)}
	case 3:
		return doubleValue([]float64{math.Float64frombits(r.Uint64()), float64(r.IntN(1e6)) / 1000, r.NormFloat64(), 1e-6, 1e-7, 1e21, 1e20, math.Inf(-1), 0,
			math.Copysign(0, -1), math.Trunc(r.ExpFloat64() * 1e7)}[r.IntN(11)])
	case 4:
		b := r.IntN(2) == 0
		return value{kind: "o", text: fmt.Sprint(b), field: row.Bool(b)}
	case 5:
		ms := r.Int64N(600_000_000_000_000) - 200_000_000_000_000
		return value{kind: "m", text: fmt.Sprint(ms), field: row.Time(time.UnixMilli(ms).UTC())}
	case 6:
		text := randomText(r, s, r.IntN(4) == 0)
		return textValue("b", string(text), row.Bytes(text))
	case 8:
		if s.Encoding == row.GBK {
			text := randomText(r, s, false)
			return textValue("b", string(text), row.Bytes(text))
		}
	}
	text := strings.ToValidUTF8(string(randomText(r, s, false)), "?")
	text = strings.ReplaceAll(text, "\x00", "") // that ends a text of C
	return textValue("t", text, row.Text(text))
}

func writeRow(t *testing.T, out *bufio.Writer, s row.Settings, values []value) {
	format, err := row.New(s)
	require.NoError(t, err, "%+v", s)
	var fields []row.Field
	for _, v := range values {
		f := v.field
		if v.named {
			f = f.Named(v.name)
		}
		fields = append(fields, f)
	}
	made, err := format.Append(nil, fields...)
	s = format.Settings()
	word := func(is bool, yes, no string) {
		if !is {
			yes = no
		}
		fmt.Fprint(out, yes, " ")
	}
	word(s.Type == row.KV, "kv", "csv")
	word(s.Encoding == row.GBK, "gbk", "utf8")
	fmt.Fprintf(out, "%d %d %d %d ", s.Separator, s.KVSeparator, s.LineSeparator, s.Escape)
	word(s.ControlEscapes, "control", "-")
	word(s.RefuseEmptyFirst, "first", "-")
	for _, name := range s.Columns {
		fmt.Fprintf(out, "%x,", name)
	}
	fmt.Fprint(out, " ")
	for _, v := range values {
		name := "-"
		if v.named {
			name = hex.EncodeToString([]byte(v.name))
		}
		fmt.Fprintf(out, "%s:%s:%s,", v.kind, name, v.text)
	}
	fmt.Fprint(out, " ")
	if err != nil {
		fmt.Fprintln(out, "!")
		return
	}
	fmt.Fprintf(out, "%x\n", made)
}
