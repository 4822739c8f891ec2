package row_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The readers of InLong, each as its answers to odd rows show it to be (see TestReadersDisagreeWhereTheRealOnesDo). They split
// characters, not bytes: a row is decoded by the stream's encoding before.

// reader reads rows of CSV as lists of values, and rows of KV as lists of key, value, key, value.
type reader struct {
	name string
	read func(m marks, text string) ([][]string, error)
}

// marks are the characters of the format; escape and kv are 0 for none.
type marks struct{ separator, kv, escape rune }

var errReader = errors.New("the reader throws")

// csvReader is any reader of CSV. lines: a bare LF begins a new row. strict: an escape character at the end is an exception.
// head: separators in front of the first field are dropped.
func csvReader(lines, strict, head bool) func(marks, string) ([][]string, error) {
	return func(m marks, text string) (rows [][]string, err error) {
		var row []string
		var value strings.Builder
		escaped := false
		if head {
			text = strings.TrimLeft(text, string(m.separator))
		}
		for _, char := range text {
			switch {
			case escaped:
				value.WriteRune(char)
				escaped = false
			case m.escape != 0 && char == m.escape:
				escaped = true
			case char == m.separator, lines && char == '\n':
				row = append(row, value.String())
				value.Reset()
				if char != m.separator {
					rows, row = append(rows, row), nil
				}
			default:
				value.WriteRune(char)
			}
		}
		if escaped && strict {
			return nil, errReader
		}
		return append(rows, append(row, value.String())), nil
	}
}

var csvReaders = []reader{
	{"S", csvReader(false, false, false)},
	{"S+LF", csvReader(true, false, false)},
	{"T", csvReader(true, true, false)},
	{"M", csvReader(false, false, false)},
	{"S, deleteHeadDelimiter", csvReader(false, false, true)},
}

// entry is what stands between two separators of KV, unescaped.
type entry struct {
	text  string   // all of it
	parts []string // between kv separators
	wrong bool     // something but a mark was escaped
}

// entries splits a row of KV. sticky: after an escaped ordinary character nothing is a separator any more.
func entries(m marks, text string, sticky bool) (list []entry) {
	var e entry
	var part strings.Builder
	escaped, stuck := false, false
	end := func() { e.parts = append(e.parts, part.String()); part.Reset() }
	for _, char := range text {
		mark := char == m.separator || char == m.kv || m.escape != 0 && char == m.escape
		if !escaped && !stuck && mark {
			switch char {
			case m.separator:
				end()
				list, e = append(list, e), entry{}
				continue
			case m.kv:
				end()
				e.text += string(char)
				continue
			}
			escaped = true
			continue
		}
		if escaped && !mark {
			e.wrong, stuck = true, sticky
		}
		escaped = false
		part.WriteRune(char)
		e.text += string(char)
	}
	end()
	return append(list, e)
}

// readS keeps bare kv separators in a value and glues an entry without one to its neighbour.
func readS(m marks, text string) (row []string) {
	glue := ""
	if text == "" {
		return nil
	}
	for _, e := range entries(m, text, false) {
		switch {
		case len(e.parts) > 1:
			value := strings.Join(e.parts[1:], string(m.kv))
			row, glue = append(row, glue+e.parts[0], value), ""
		case len(row) > 0:
			row[len(row)-1] += string(m.separator) + e.text
		default:
			glue += e.text + string(m.separator)
		}
	}
	return row
}

func readT(m marks, text string) (row []string) {
	for _, e := range entries(m, text, true) {
		switch {
		case len(e.parts) == 2:
			row = append(row, e.parts[0], e.parts[1])
		case len(e.parts) > 2:
			row = append(row, strings.Join(e.parts[1:], string(m.kv)), "")
		default:
			row = append(row, e.parts[0], "")
		}
	}
	return row
}

func rowsOf(text string, read func(string) []string) (rows [][]string) {
	for line := range strings.SplitSeq(text, "\n") {
		rows = append(rows, read(line))
	}
	return rows
}

// escapedLF reports whether an LF is escaped, which no reader of KV that splits rows gets over.
func escapedLF(m marks, text string) bool {
	escaped := false
	for _, char := range text {
		if escaped && char == '\n' {
			return true
		}
		escaped = !escaped && m.escape != 0 && char == m.escape
	}
	return false
}

var kvReaders = []reader{
	{"S", func(m marks, text string) ([][]string, error) { return [][]string{readS(m, text)}, nil }},
	{"S+LF", func(m marks, text string) ([][]string, error) {
		if escapedLF(m, text) {
			return nil, errReader
		}
		return rowsOf(text, func(line string) []string { return readS(m, line) }), nil
	}},
	{"T", func(m marks, text string) ([][]string, error) {
		if escapedLF(m, text) {
			return [][]string{{"one wrong key", ""}}, nil
		}
		return rowsOf(text, func(line string) []string { return readT(m, line) }), nil
	}},
	{"C", func(m marks, text string) ([][]string, error) {
		var row []string
		for _, e := range entries(m, text, false) {
			if e.wrong || len(e.parts) != 2 {
				return nil, errReader
			}
			row = append(row, e.parts...)
		}
		return [][]string{row}, nil
	}},
}

// A model of a reader that is too kind would let a row pass that the real one reads otherwise. Each line was seen of the real ones.
func TestReadersDisagreeWhereTheRealOnesDo(t *testing.T) {
	const throws = "throws"
	row := func(values ...string) [][]string { return [][]string{values} }
	rows := func(rows ...[]string) [][]string { return rows }
	for _, seen := range []struct {
		text string
		by   map[string]any // reader to rows, or throws
	}{
		{"a\nb,c", map[string]any{"S": row("a\nb", "c"), "S+LF": rows([]string{"a"}, []string{"b", "c"}), "T": rows([]string{"a"}, []string{"b", "c"}), "M": row("a\nb", "c")}},
		{`a,b\`, map[string]any{"S": row("a", "b"), "T": throws, "M": row("a", "b")}},
		{"a,b\n", map[string]any{"S": row("a", "b\n"), "S+LF": rows([]string{"a", "b"}, []string{""}), "T": rows([]string{"a", "b"}, []string{""}), "M": row("a", "b\n")}},
		{",a,b", map[string]any{"S": row("", "a", "b"), "S, deleteHeadDelimiter": row("a", "b"), "T": row("", "a", "b"), "M": row("", "a", "b")}},
		{`"x,y",c`, map[string]any{"T": row(`"x`, `y"`, "c"), "M": row(`"x`, `y"`, "c")}},
		{`a\nb,c`, map[string]any{"S": row("anb", "c"), "T": row("anb", "c"), "M": row("anb", "c")}},
		{`k1=a=b&k2=c`, map[string]any{"S": row("k1", "a=b", "k2", "c"), "T": row("a=b", "", "k2", "c"), "C": throws}},
		{`k1=\nb&k2=c`, map[string]any{"S": row("k1", "nb", "k2", "c"), "T": row("k1", "nb&k2=c"), "C": throws}},
		{"k1=a\\\nb&k2=c", map[string]any{"S": row("k1", "a\nb", "k2", "c"), "S+LF": throws, "T": row("one wrong key", ""), "C": throws}},
		{"k1=a\nb&k2=c", map[string]any{"S": row("k1", "a\nb", "k2", "c"), "S+LF": rows([]string{"k1", "a"}, []string{"b&k2", "c"}),
			"T": rows([]string{"k1", "a"}, []string{"b", "", "k2", "c"}), "C": row("k1", "a\nb", "k2", "c")}},
		{`k1=a&&k2=b`, map[string]any{"S": row("k1", "a&", "k2", "b"), "T": row("k1", "a", "", "", "k2", "b"), "C": throws}},
		{`k1=a&`, map[string]any{"S": row("k1", "a&"), "T": row("k1", "a", "", ""), "C": throws}},
		{`k1=a&k2`, map[string]any{"S": row("k1", "a&k2"), "T": row("k1", "a", "k2", ""), "C": throws}},
		{``, map[string]any{"C": throws}},
	} {
		m, readers := marks{',', 0, '\\'}, csvReaders
		if _, ofKV := seen.by["C"]; ofKV {
			m, readers = marks{'&', '=', '\\'}, kvReaders
		}
		for name, want := range seen.by {
			at := slices.IndexFunc(readers, func(r reader) bool { return r.name == name })
			got, err := readers[at].read(m, seen.text)
			if want == throws {
				require.ErrorIs(t, err, errReader, "%s reads %q", name, seen.text)
				continue
			}
			require.NoError(t, err, "%s reads %q", name, seen.text)
			require.Equal(t, want, got, "%s reads %q", name, seen.text)
		}
	}
}
