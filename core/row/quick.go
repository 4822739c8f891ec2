package row

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// Most rows have nothing to escape. Such a row is joined first and checked as a whole: for bytes that no value may hold, and for the
// number of separators. A row that fails the check is made again, field by field.

// quickly lists what a row is searched for; nil if characters of the settings are not ASCII, or may be part of numbers.
type quickly struct {
	separator byte
	kv        byte   // of KV
	never     []byte // the other marks
}

func (f *Format) setQuickly() {
	s := &f.settings
	q := &quickly{separator: byte(s.Separator), kv: byte(s.KVSeparator)}
	for _, m := range f.marks {
		switch char := m.text[0]; {
		case char >= utf8.RuneSelf:
			return
		case char != q.separator && (s.Type == CSV || char != q.kv):
			q.never = append(q.never, char)
		}
	}
	if f.plain && !s.RefuseEmptyFirst {
		f.quickly = q
	}
}

// plainCSV appends the row of fields without names if none has anything to escape.
func (f *Format) plainCSV(dst []byte, fields []Field) (row []byte, ok bool) {
	q := f.quickly
	if q == nil || len(f.settings.Columns) > 0 && len(fields) != len(f.settings.Columns) {
		return dst, false
	}
	most := len(fields) // bytes that the row may take
	for i := range fields {
		switch field := &fields[i]; {
		case field.named:
			return dst, false
		case field.kind <= kindBytes:
			most += int(field.bits)
		default:
			most += longestValue
		}
	}
	start := len(dst)
	if room := cap(dst) - start; 0 < room && room < most { // it may fit, and then nothing is allocated
		return dst, false
	}
	row = slices.Grow(dst, most)[:start+most]
	at, last, end := start, 0, start // last is the last field that is not null; later ones are left out
	for i := range fields {
		field := &fields[i]
		if i > 0 {
			row[at] = q.separator
			at++
		}
		switch {
		case field.kind == kindNull:
			continue
		case field.kind <= kindBytes:
			text := field.text()
			if n := len(text); n >= 8 && n <= 16 { // most are short, and a call to copy one costs as much as that
				copy(row[at:at+8], text[:8])
				at += n
				copy(row[at-8:at], text[n-8:])
			} else {
				at += copy(row[at:], text)
			}
		default:
			value, fault := field.append(row[:at])
			if fault != "" {
				return dst, false
			}
			at = len(value)
		}
		last, end = i, at
	}
	made := row[start:end]
	return row[:end], len(made) > 0 && bytes.Count(made, []byte{q.separator}) == last && f.clean(made)
}

// plainKV appends the row of fields with names, or with columns in their places, if neither they nor the values have anything to
// escape.
func (f *Format) plainKV(dst []byte, fields []Field) (row []byte, ok bool) {
	q := f.quickly
	if q == nil {
		return dst, false
	}
	row = dst
	pairs := 0
	for i := range fields {
		field := &fields[i]
		if field.kind == kindNull {
			continue
		}
		if pairs > 0 {
			row = append(row, q.separator)
		}
		pairs++
		switch {
		case !field.named:
			row = append(row, f.prefixes[i]...)
		case field.name == "":
			return dst, false
		default:
			row = append(append(row, field.name...), q.kv)
		}
		if field.kind <= kindBytes {
			row = append(row, field.text()...)
			continue
		}
		var fault string
		if row, fault = field.append(row); fault != "" {
			return dst, false
		}
	}
	made := row[len(dst):]
	return row, len(made) > 0 && bytes.Count(made, []byte{q.separator}) == pairs-1 && bytes.Count(made, []byte{q.kv}) == pairs && f.clean(made)
}

// clean reports whether a row has none of the marks that are no separators, and is a text in the stream's encoding.
func (f *Format) clean(row []byte) bool {
	for _, mark := range f.quickly.never {
		if bytes.IndexByte(row, mark) >= 0 {
			return false
		}
	}
	if f.settings.Encoding == UTF8 {
		return utf8.Valid(row)
	}
	return !slices.ContainsFunc(row, func(b byte) bool { return b >= utf8.RuneSelf })
}
