package row

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Type is the kind of a stream's rows.
type Type int

// The kinds of rows.
const (
	// CSV: the values, in the order of the columns, with a separator between two.
	CSV Type = iota + 1
	// KV: key, kv separator and value of each field, with a separator between two fields.
	KV
)

// String returns "CSV" or "KV".
func (t Type) String() string {
	switch t {
	case CSV:
		return "CSV"
	case KV:
		return "KV"
	}
	return fmt.Sprintf("Type(%d)", int(t))
}

// Encoding is how characters are written as bytes.
type Encoding int

// The encodings that a stream may have.
const (
	UTF8 Encoding = iota
	// GBK: Bytes are in GBK; a Text must be ASCII, since this package converts nothing. It does not check which pairs of bytes are a character.
	GBK
)

// String returns "UTF-8" or "GBK".
func (e Encoding) String() string {
	switch e {
	case UTF8:
		return "UTF-8"
	case GBK:
		return "GBK"
	}
	return fmt.Sprintf("Encoding(%d)", int(e))
}

// Settings say how a stream's rows are written. They must be those of the stream. Separators and the escape character differ from each
// other, and are none of NUL, LF, what UTF-16 writes as two, and, with GBK, what is not ASCII.
type Settings struct {
	// Type is required.
	Type Type
	// Separator stands between two fields; 0 means '|', the Manager's default.
	Separator rune
	// KVSeparator stands between key and value; 0 means '='. Of KV only.
	KVSeparator rune
	// LineSeparator is where readers split a message into several rows; 0 means none. Readers that know none still split at LF, so
	// that LF is always treated like it: escaped in CSV, refused in KV, which no reader unescapes there.
	LineSeparator rune
	// Escape stands before a character that would have a meaning; 0 means none, as in a stream without one: a value with such a character is
	// refused then.
	Escape rune
	// Encoding is UTF8 unless set.
	Encoding Encoding
	// Columns are the names of the fields in their order. With them the number of fields is checked, fields may be given by name in any order,
	// and rows of KV by place. Empty means that they are not known.
	Columns []string
	// RefuseEmptyFirst refuses a row of CSV whose first field is empty or null: for readers with deleteHeadDelimiter.
	RefuseEmptyFirst bool
	// ControlEscapes writes LF, CR and NUL as the escape character with n, r and 0. No reader of InLong undoes that: Sort makes an "n" of it.
	// It is for loaders behind InLong that do, as some databases' are. Of CSV only, with an Escape.
	ControlEscapes bool
}

// Format makes rows by settings that were checked. It does not change and may be used from many goroutines.
type Format struct {
	settings  Settings
	class     [256]byte // what to do about a byte of a value
	words     [4]uint64 // what is special, each eight times in a word; see scan
	byWords   bool
	marks     []mark // what begins with a byte of class special
	separator []byte
	kv        []byte   // between key and value
	escape    []byte   // nil for none
	prefixes  [][]byte // of KV with columns: each key, escaped, and the kv separator
	plain     bool     // no mark is a character of a number, bool or time
	quickly   *quickly // nil if rows are made field by field
}

// What happens to a byte of a value.
const (
	ordinary byte = iota
	special       // a mark begins with it
	beyond        // it is not ASCII
)

// mark is a character that cannot stand in a value as it is.
type mark struct {
	text    string
	instead string // "" if it is refused
	refusal string
}

// New checks the settings. The error names all that is wrong with them.
func New(s Settings) (*Format, error) {
	if s.Separator == 0 {
		s.Separator = '|'
	}
	if s.KVSeparator == 0 && s.Type == KV {
		s.KVSeparator = '='
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	s.Columns = append([]string(nil), s.Columns...)
	f := &Format{settings: s, separator: []byte(string(s.Separator)), kv: []byte(string(s.KVSeparator))}
	if s.Escape != 0 {
		f.escape = []byte(string(s.Escape))
	}
	f.setMarks()
	f.setQuickly()
	for i, name := range s.Columns {
		if s.Type != KV {
			break
		}
		prefix, fault := f.text(nil, name, true)
		if fault != "" {
			return nil, fmt.Errorf("column %d (%q): %s", i+1, name, fault)
		}
		f.prefixes = append(f.prefixes, append(prefix, f.kv...))
	}
	return f, nil
}

// Settings returns the settings, with their defaults.
func (f *Format) Settings() Settings {
	s := f.settings
	s.Columns = append([]string(nil), s.Columns...)
	return s
}

func (s *Settings) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if s.Type != CSV && s.Type != KV {
		fault("type %d: must be CSV or KV", int(s.Type))
	}
	if s.Encoding != UTF8 && s.Encoding != GBK {
		fault("encoding %d: must be UTF8 or GBK", int(s.Encoding))
	}
	if s.KVSeparator != 0 && s.Type == CSV {
		fault("kv separator %q: CSV has none", s.KVSeparator)
	}
	var used []rune
	for _, c := range []struct {
		what string
		char rune
	}{{"separator", s.Separator}, {"kv separator", s.KVSeparator}, {"line separator", s.LineSeparator}, {"escape character", s.Escape}} {
		switch {
		case c.char == 0:
			continue
		case c.char == '\n' && c.what == "line separator":
		case s.ControlEscapes && strings.ContainsRune("\rnr0", c.char): // escaped it would be what a control character is written as
			fault("%s %q: must not be CR, n, r or 0 with control escapes", c.what, c.char)
		case c.char == '\n':
			fault("%s: must not be LF, at which readers split rows", c.what)
		case !utf8.ValidRune(c.char) || c.char > 0xffff || c.char == utf8.RuneError:
			fault("%s U+%04X: must be a character up to U+FFFF", c.what, c.char)
		case s.Encoding == GBK && c.char >= utf8.RuneSelf:
			fault("%s %q: must be ASCII with GBK", c.what, c.char)
		}
		for _, u := range used {
			if u == c.char {
				fault("%s %q: is used for something else already", c.what, c.char)
			}
		}
		used = append(used, c.char)
	}
	seen := make(map[string]bool, len(s.Columns))
	for i, name := range s.Columns {
		switch {
		case name == "":
			fault("column %d: has no name", i+1)
		case seen[name]:
			fault("column %d (%q): there is another one of that name", i+1, name)
		}
		seen[name] = true
	}
	if s.ControlEscapes && (s.Type != CSV || s.Escape == 0) {
		fault("control escapes need CSV and an escape character")
	}
	if s.RefuseEmptyFirst && s.Type != CSV {
		fault("refuse empty first: only rows of CSV have a first field")
	}
	return errors.Join(faults...)
}

func (f *Format) setMarks() {
	s := &f.settings
	add := func(char rune, what string) {
		m := mark{text: string(char), refusal: "holds " + what + ", which takes an escape character, and the stream has none"}
		switch ends := char == '\n' || char == s.LineSeparator; {
		case s.Type == KV && ends:
			m.refusal = "holds " + what + ", which readers of KV take for the end of a row, also when it is escaped"
		case s.ControlEscapes && char == '\n':
			m.instead = string(s.Escape) + "n"
		case s.ControlEscapes && char == '\r':
			m.instead = string(s.Escape) + "r"
		case s.ControlEscapes && char == 0:
			m.instead = string(s.Escape) + "0"
		case s.Escape != 0:
			m.instead = string(s.Escape) + m.text
		}
		f.marks = append(f.marks, m)
	}
	add(s.Separator, "the separator")
	if s.Type == KV {
		add(s.KVSeparator, "the kv separator")
	}
	if s.Escape != 0 {
		add(s.Escape, "the escape character")
	}
	add('\n', "a newline")
	if s.LineSeparator != 0 && s.LineSeparator != '\n' {
		add(s.LineSeparator, "the line separator")
	}
	if s.ControlEscapes {
		add('\r', "a control character")
		add(0, "a control character")
	}
	for b := utf8.RuneSelf; b < 256; b++ {
		f.class[b] = beyond
	}
	f.plain, f.byWords = true, true
	n := 0
	for _, m := range f.marks {
		if m.text[0] < utf8.RuneSelf {
			f.class[m.text[0]] = special
			for i := min(n, len(f.words)); i < len(f.words); i++ {
				f.words[i] = uint64(m.text[0]) * eachByte
			}
			n++
			f.byWords = n <= len(f.words)
		}
		f.plain = f.plain && !strings.Contains("0123456789+-.:eE aIinNftruelsy", m.text) // of numbers, bools and times
	}
}
