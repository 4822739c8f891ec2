package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// csvSplitter finds the rows of a CSV file. A record is the row as it stands there, so that nothing is changed on the way.
type csvSplitter struct {
	data    []byte
	last    bool
	longest int
	column  int  // of the stream, -1 for none
	header  bool // the next row names the columns
	key     string
	names   []string // of the header
	columns int      // of the last row without a fault, or the header; 0: unknown
	held    []byte   // of a quoted field with quotes in it
	long    *longRow // is passed over; nil for none
}

// choose finds the column that names the stream.
func (c *csvSplitter) choose(f *format, at begin) error {
	c.key = f.keyColumn
	switch {
	case f.noHeader && f.keyColumn != "":
		n, _ := strconv.Atoi(f.keyColumn)
		c.column = n - 1
	case c.header && at.offset > 0:
		c.header = false
		text, err := f.decodeReader(at.head)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(text)
		if err != nil {
			return err
		}
		// As it was read first: after a hole or the mark, and empty lines.
		data = bytes.TrimLeft(bytes.TrimPrefix(bytes.TrimLeft(data, "\x00"), markUTF8), "\r\n")
		return c.readHeader(data)
	}
	return nil
}

// readHeader takes the names of the columns from a text that begins with them.
func (c *csvSplitter) readHeader(data []byte) error {
	end, fields, _, fault := c.row(data, true)
	if fault != nil {
		return final(fmt.Errorf("reading the header: %w", fault))
	}
	if end == 0 {
		return nil
	}
	c.names, c.columns = nil, fields
	for _, name := range c.values(withoutEnd(data[:end])) {
		c.names = append(c.names, string(name))
	}
	names := c.names
	if c.key == "" {
		return nil
	}
	if c.column = slices.Index(names, c.key); c.column < 0 {
		return final(fmt.Errorf("--key-column %q: the header has only %s", c.key, strings.Join(names, ", ")))
	}
	return nil
}

func (c *csvSplitter) of(data []byte, last bool) { c.data, c.last = data, last }

func (c *csvSplitter) next() (record, bool, error) {
	data := c.data
	if c.long != nil {
		return c.pass()
	}
	if len(data) == 0 {
		return record{}, false, nil
	}
	if i := indexNewline(data); i == 0 || i == 1 && data[0] == '\r' {
		c.data = data[i+1:]
		return record{used: i + 1, lines: 1, skipped: 1}, true, nil
	}
	end, fields, value, fault := c.row(data, c.last)
	switch {
	case end == 0 && len(data) <= c.longest:
		return record{}, false, nil
	case end == 0 && c.header:
		return record{}, false, final(fmt.Errorf("reading the header: it is longer than %d bytes: is a quote left open?", c.longest))
	case end == 0 && !c.isLeftOpen(data):
		return c.beginLong(), true, nil
	case end == 0: // a quote that was left open must not take all rows with it
		end, fault = indexNewline(data)+1, errors.New("the row does not end: is a quote left open?")
	}
	row := data[:end]
	c.data = data[end:]
	r := record{payload: withoutEnd(row), used: end, lines: max(int64(bytes.Count(row, newline)), 1)}
	if !bytes.HasSuffix(row, newline) && bytes.Contains(row, newline) {
		r.lines++ // the last one of a file
	}
	if c.header {
		c.header = false
		if err := c.readHeader(row); err != nil {
			return record{}, false, err
		}
		r.payload = nil
		return r, true, nil
	}
	if fault == nil {
		c.columns = fields
	}
	switch {
	case len(r.payload) == 0:
		r.skipped = 1 // "\r" at the end of a file
	case fault != nil:
		r.fault = fmt.Errorf("the row is not CSV: %w", fault)
	case len(r.payload) > c.longest:
		r.tooLong, r.fault = true, fmt.Errorf("the row is longer than %d bytes, which max_frame_size allows", c.longest)
	case c.column >= fields:
		r.fault = fmt.Errorf("the row has %d columns; the stream is in column %d", fields, c.column+1)
	case c.column >= 0:
		r.stream = string(value)
	}
	return r, true, nil
}

var newline, comma = []byte("\n"), []byte(",")

// row finds where the first row ends, 0 when it does not yet, how many fields it has, and the one in the stream's column.
func (c *csvSplitter) row(data []byte, last bool) (end, fields int, value []byte, fault error) {
	at := 0
	for {
		var field []byte
		if at < len(data) && data[at] == '"' {
			length, text, whole := c.quoted(data[at:], last)
			if length == 0 {
				if whole {
					return lineEnd(data, 0), fields, nil, csv.ErrQuote // open at the end of the file
				}
				return 0, 0, nil, nil
			}
			at, field = at+length, text
			if at < len(data) && data[at] != ',' && data[at] != '\n' && !bytes.HasPrefix(data[at:], []byte("\r\n")) && !(last && string(data[at:]) == "\r") {
				if data[at] == '\r' && at+1 == len(data) {
					return 0, 0, nil, nil
				}
				return lineEndOr(data, at, last), fields, nil, csv.ErrQuote
			}
		} else {
			i := bytes.IndexAny(data[at:], ",\n")
			if i < 0 {
				if !last {
					return 0, 0, nil, nil
				}
				i = len(data) - at
			}
			field = data[at : at+i]
			if bytes.IndexByte(field, '"') >= 0 {
				return lineEndOr(data, at, last), fields, nil, csv.ErrBareQuote
			}
			at += i
		}
		if fields == c.column {
			value = bytes.TrimSuffix(field, []byte("\r"))
		}
		fields++
		switch {
		case at == len(data) && !last:
			return 0, 0, nil, nil
		case at == len(data):
			return at, fields, value, nil
		case data[at] == ',':
			at++
		default:
			return lineEnd(data, at), fields, value, nil
		}
	}
}

// values are the fields of a row that has no fault and no end of a line. They are the bytes that stand there: a package for CSV would make
// "\n" of "\r\n" in a field.
func (c *csvSplitter) values(row []byte) (values [][]byte) {
	for at := 0; ; at++ {
		length, value := 0, []byte(nil)
		if at < len(row) && row[at] == '"' {
			length, value, _ = c.quoted(row[at:], true)
			value = slices.Clone(value) // the next one may be held in the same place
		} else {
			value, _, _ = bytes.Cut(row[at:], comma)
			length = len(value)
		}
		values = append(values, value)
		if at += length; at >= len(row) {
			return values
		}
	}
}

// withoutEnd leaves out the end of a line.
func withoutEnd(row []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(row, newline), []byte("\r"))
}

// quoted is a field in quotes: its length with them, and its text. whole tells that no more will come.
func (c *csvSplitter) quoted(data []byte, last bool) (length int, text []byte, whole bool) {
	at, escaped := 1, false
	for {
		i := bytes.IndexByte(data[at:], '"')
		if i < 0 {
			return 0, nil, last
		}
		at += i + 1
		switch {
		case at < len(data) && data[at] == '"':
			at, escaped = at+1, true
			continue
		case at == len(data) && !last:
			return 0, nil, false
		}
		text = data[1 : at-1]
		if escaped {
			c.held = append(c.held[:0], bytes.ReplaceAll(text, []byte(`""`), []byte(`"`))...)
			text = c.held
		}
		return at, text, true
	}
}

// lineEnd is the place after the line that has that byte.
func lineEnd(data []byte, at int) int {
	if i := indexNewline(data[at:]); i >= 0 {
		return at + i + 1
	}
	return len(data)
}

// lineEndOr is 0 when the line does not end yet.
func lineEndOr(data []byte, at int, last bool) int {
	if end := lineEnd(data, at); last || data[end-1] == '\n' {
		return end
	}
	return 0
}
