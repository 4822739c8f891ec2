package row

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrEmpty says that the row has no byte, which no message can be: one empty field alone, or a row of KV with nulls only.
var ErrEmpty = errors.New("the row is empty: no message has no bytes")

// FieldError says which field cannot be written, and why.
type FieldError struct {
	Index  int    // from 0
	Name   string // "" if it has none
	Reason string
}

// Error names the field by its number, from 1, and its name.
func (e *FieldError) Error() string {
	if e.Name != "" {
		return fmt.Sprintf("field %d (%q): %s", e.Index+1, e.Name, e.Reason)
	}
	return fmt.Sprintf("field %d: %s", e.Index+1, e.Reason)
}

// Append appends the row of the fields to dst, as one message's payload, and returns it. It allocates nothing where dst has room.
//
// Without names the fields are the columns in their order. With names, and columns in the settings, a field goes into its column, and
// a column without a field is null. On an error it returns dst as it was, and what is wrong: a *[FieldError], [ErrEmpty], or the number of
// fields.
func (f *Format) Append(dst []byte, fields ...Field) ([]byte, error) {
	if f.settings.Type == CSV {
		if row, ok := f.plainCSV(dst, fields); ok {
			return row, nil
		}
	}
	named, fault := f.shape(fields)
	if fault != nil {
		return dst, fault
	}
	row, index, reason := dst, 0, ""
	if f.settings.Type == KV {
		if row, ok := f.plainKV(dst, fields); ok {
			return row, nil
		}
	}
	if f.settings.Type == CSV {
		row, index, reason = f.csv(dst, fields, named)
	} else {
		row, index, reason = f.pairs(dst, fields, named)
	}
	switch {
	case reason != "":
		return dst, f.fieldError(fields, index, named, reason)
	case len(row) == len(dst):
		return dst, ErrEmpty
	}
	return row, nil
}

// shape looks at names and number of the fields.
func (f *Format) shape(fields []Field) (named bool, fault error) {
	columns := f.settings.Columns
	named = len(fields) > 0 && fields[0].named
	for i := range fields {
		if fields[i].named != named {
			return named, f.fieldError(fields, i, true, "either all fields of a row have a name or none")
		}
	}
	switch {
	case len(fields) == 0:
		return named, ErrEmpty
	case named && len(columns) == 0 && f.settings.Type == CSV:
		return named, errors.New("fields with names: the settings must have columns then, which say where each goes")
	case !named && len(columns) == 0 && f.settings.Type == KV:
		return named, errors.New("fields without names: a row of KV needs them, or columns in the settings")
	case !named && len(columns) > 0 && len(fields) != len(columns):
		return named, fmt.Errorf("the row has %d fields and the stream %d columns", len(fields), len(columns))
	case named && len(columns) > 0:
		for i := range fields {
			if f.column(fields, i) < 0 {
				return named, f.fieldError(fields, i, true, "the stream has no such column")
			}
		}
	}
	if named && !f.inOrder(fields) {
		if i := repeated(fields); i >= 0 {
			return named, f.fieldError(fields, i, true, "there is another one of that name")
		}
	}
	return named, nil
}

// inOrder reports whether the fields are the first columns, of which no two have one name.
func (f *Format) inOrder(fields []Field) bool {
	columns := f.settings.Columns
	if len(fields) > len(columns) {
		return false
	}
	for i := range fields {
		if columns[i] != fields[i].name {
			return false
		}
	}
	return true
}

// column returns the place of field i among the columns, -1 for none. Most come in their order.
func (f *Format) column(fields []Field, i int) int {
	columns := f.settings.Columns
	if i < len(columns) && columns[i] == fields[i].name {
		return i
	}
	for j, name := range columns {
		if name == fields[i].name {
			return j
		}
	}
	return -1
}

// fewNames is up to how many names are compared each with each, which takes no memory.
const fewNames = 32

func repeated(fields []Field) int {
	if len(fields) > fewNames {
		seen := make(map[string]bool, len(fields))
		for i := range fields {
			if seen[fields[i].name] {
				return i
			}
			seen[strings.Clone(fields[i].name)] = true
		}
		return -1
	}
	for i := range fields {
		for j := range i {
			if fields[i].name == fields[j].name {
				return i
			}
		}
	}
	return -1
}

func (f *Format) fieldError(fields []Field, index int, named bool, reason string) error {
	e := &FieldError{Index: index, Reason: reason}
	switch {
	case named && index < len(fields):
		e.Name = strings.Clone(fields[index].name)
	case !named && index < len(f.settings.Columns):
		e.Name = f.settings.Columns[index]
	}
	return e
}

// null is a column without a field.
var null = Field{}

// field returns the place of a column's field among the fields, -1 for none.
func (f *Format) field(fields []Field, column int) int {
	name := f.settings.Columns[column]
	if column < len(fields) && fields[column].name == name {
		return column
	}
	for i := range fields {
		if fields[i].name == name {
			return i
		}
	}
	return -1
}

func (f *Format) csv(dst []byte, fields []Field, named bool) (row []byte, index int, fault string) {
	n := len(fields)
	if named {
		n = len(f.settings.Columns)
	}
	row = dst
	end := len(dst) // after the last field that is not null
	for column := range n {
		switch {
		case column == 0:
		case len(f.separator) == 1:
			row = append(row, f.separator[0])
		default:
			row = append(row, f.separator...)
		}
		field, i := &null, column
		if !named {
			field = &fields[column]
		} else if at := f.field(fields, column); at >= 0 {
			field, i = &fields[at], at
		}
		if field.kind != kindNull {
			if row, fault = f.value(row, field); fault != "" {
				return dst, i, fault
			}
			end = len(row)
		}
		if f.settings.RefuseEmptyFirst && column == 0 && len(row) == len(dst) {
			return dst, i, "the first field is empty: a reader with deleteHeadDelimiter would shift all columns"
		}
	}
	if end > len(dst) {
		row = row[:end] // nulls at the end are left out, which readers know from empty texts
	}
	return row, 0, ""
}

func (f *Format) pairs(dst []byte, fields []Field, named bool) (row []byte, index int, fault string) {
	row = dst
	for i := range fields {
		field := &fields[i]
		if field.kind == kindNull {
			continue
		}
		if len(row) > len(dst) {
			row = append(row, f.separator...)
		}
		switch {
		case len(f.prefixes) > 0 && named:
			row = append(row, f.prefixes[f.column(fields, i)]...)
		case len(f.prefixes) > 0:
			row = append(row, f.prefixes[i]...)
		case field.name == "":
			return dst, i, "its key is empty"
		default:
			if row, fault = f.text(row, field.name, true); fault != "" {
				return dst, i, "its key: " + fault
			}
			row = append(row, f.kv...)
		}
		if row, fault = f.value(row, field); fault != "" {
			return dst, i, fault
		}
	}
	return row, 0, ""
}

func (f *Format) value(dst []byte, field *Field) (row []byte, fault string) {
	switch field.kind {
	case kindText:
		return f.text(dst, field.text(), true)
	case kindBytes:
		return f.text(dst, field.text(), false)
	}
	if f.plain {
		return field.append(dst)
	}
	var room [longestValue]byte
	text, fault := field.append(room[:0])
	if fault != "" {
		return dst, fault
	}
	return f.text(dst, string(text), true)
}

// text appends a text with what cannot stand in it escaped. inUTF8 says that it is in UTF-8 whatever the stream's encoding is.
func (f *Format) text(dst []byte, s string, inUTF8 bool) (row []byte, fault string) {
	i := f.scan(s, 0)
	if i == len(s) {
		return append(dst, s...), ""
	}
	row = dst
	from := 0 // what is not copied yet
	checked := false
	for ; i < len(s); i = f.scan(s, i) {
		size := 1
		if s[i] >= utf8.RuneSelf {
			if f.settings.Encoding == GBK {
				if size, fault = pair(s[i:], inUTF8); fault != "" {
					return dst, fault
				}
				i += size // its second byte may look like a separator, and is none
				continue
			}
			if !checked && !utf8.ValidString(s[i:]) {
				return dst, "is not valid UTF-8, as which readers decode it"
			}
			checked = true
			_, size = utf8.DecodeRuneInString(s[i:])
		}
		for m := range f.marks {
			if mark := &f.marks[m]; mark.text == s[i:i+size] {
				if mark.instead == "" {
					return dst, mark.refusal
				}
				row = append(append(row, s[from:i]...), mark.instead...)
				from = i + size
				break
			}
		}
		i += size
	}
	return append(row, s[from:]...), ""
}

const (
	eachByte = 0x0101010101010101
	eachTop  = 0x8080808080808080
)

// scan returns the first place from i on that is not ordinary. It looks at eight bytes at a time, the last time at the last eight. Less
// one, only a byte that was 0 gets its top bit by that, or one above the lowest that was; so a word without a top bit has none of them.
func (f *Format) scan(s string, i int) int {
	if last := len(s) - 8; f.byWords && i <= last {
		for {
			b := s[i : i+8]
			w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
			w0, w1, w2, w3 := w^f.words[0], w^f.words[1], w^f.words[2], w^f.words[3]
			if ((w0-eachByte)&^w0|(w1-eachByte)&^w1|(w2-eachByte)&^w2|(w3-eachByte)&^w3|w)&eachTop != 0 {
				break
			}
			if i == last {
				return len(s)
			}
			i = min(i+8, last)
		}
	}
	for i < len(s) && f.class[s[i]] == ordinary {
		i++
	}
	return i
}

// pair looks at the character of GBK at the beginning of s, which is not ASCII.
func pair(s string, inUTF8 bool) (size int, fault string) {
	if inUTF8 {
		return 0, "is not ASCII: in a stream in GBK give it as Bytes in that encoding"
	}
	if s[0] == 0x80 || s[0] == 0xff || len(s) < 2 || s[1] < 0x40 || s[1] == 0x7f || s[1] == 0xff {
		return 0, "is not valid GBK, as which readers decode it"
	}
	return 2, ""
}
