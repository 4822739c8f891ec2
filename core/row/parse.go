package row

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Pair is one field of a row that was read.
type Pair struct {
	// Key is that of KV, the column's name of CSV where the settings have it, else "".
	Key string
	// Value is in the stream's encoding.
	Value []byte
}

// Parse reads one row back, as all readers of InLong do: what they read differently, or a part of them as several rows, is an error. It is
// for tests and tools. It undoes no ControlEscapes, as they do not.
func (f *Format) Parse(payload []byte) ([]Pair, error) {
	if len(payload) == 0 {
		return nil, ErrEmpty
	}
	p := parser{f: f, rest: payload}
	var pairs []Pair
	for {
		pair, more, err := p.field()
		if err != nil {
			return nil, fmt.Errorf("field %d: %w", len(pairs)+1, err)
		}
		if f.settings.Type == CSV && len(pairs) < len(f.settings.Columns) {
			pair.Key = f.settings.Columns[len(pairs)]
		}
		for i := range pairs {
			if f.settings.Type == KV && pairs[i].Key == pair.Key {
				return nil, fmt.Errorf("field %d: the key %q is there twice, and the last one wins", len(pairs)+1, pair.Key)
			}
		}
		pairs = append(pairs, pair)
		if !more {
			return pairs, nil
		}
	}
}

type parser struct {
	f    *Format
	rest []byte
}

// field reads up to the next separator.
func (p *parser) field() (pair Pair, more bool, err error) {
	s := &p.f.settings
	var text []byte
	keyed := s.Type == CSV
	for {
		char, err := p.char()
		switch {
		case err != nil:
			return pair, false, err
		case len(char) == 0 || bytes.Equal(char, p.f.separator):
			switch {
			case !keyed:
				return pair, false, errors.New("it has no kv separator")
			case s.Type == KV && pair.Key == "":
				return pair, false, errors.New("its key is empty")
			}
			pair.Value = text
			return pair, len(char) > 0, nil
		case p.f.escape != nil && bytes.Equal(char, p.f.escape):
			escaped, err := p.char()
			switch {
			case err != nil:
				return pair, false, err
			case len(escaped) == 0:
				return pair, false, errors.New("the escape character stands at its end")
			case s.Type == KV && !bytes.Equal(escaped, p.f.separator) && !bytes.Equal(escaped, p.f.kv) && !bytes.Equal(escaped, p.f.escape):
				return pair, false, fmt.Errorf("an escaped %q: readers of KV disagree about it", escaped)
			}
			text = append(text, escaped...)
		case s.Type == KV && bytes.Equal(char, p.f.kv):
			if keyed {
				return pair, false, errors.New("a second kv separator: readers disagree about it")
			}
			pair.Key, text, keyed = string(text), nil, true
		case len(char) == 1 && char[0] == '\n' || s.LineSeparator != 0 && string(char) == string(s.LineSeparator):
			return pair, false, errors.New("readers begin a new row at a line separator, or at LF")
		default:
			text = append(text, char...)
		}
	}
}

// char takes the next character, nothing at the end.
func (p *parser) char() ([]byte, error) {
	size := min(1, len(p.rest))
	if size == 1 && p.rest[0] >= utf8.RuneSelf {
		if p.f.settings.Encoding == GBK {
			n, fault := pair(string(p.rest[:min(2, len(p.rest))]), false)
			if fault != "" {
				return nil, errors.New(fault)
			}
			size = n
		} else if r, n := utf8.DecodeRune(p.rest); r == utf8.RuneError && n <= 1 {
			return nil, errors.New("is not valid UTF-8, as which readers decode it")
		} else {
			size = n
		}
	}
	char := p.rest[:size]
	p.rest = p.rest[size:]
	return char, nil
}
