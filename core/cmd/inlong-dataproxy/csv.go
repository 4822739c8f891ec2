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

// csvRecords reads the rows of a CSV file. A record is the row as it stands there, so that nothing is changed on the way.
type csvRecords struct {
	rows   *csv.Reader
	raw    *capture
	column int // of the stream, -1 for none
	base   int64
	line   int64
}

func openCSV(r io.Reader, f *format, at position, head io.Reader) (*csvRecords, error) {
	c := &csvRecords{raw: &capture{input: r}, column: -1, base: at.Offset, line: at.Line}
	c.rows = newRows(c.raw)
	if f.noHeader {
		if f.keyColumn != "" {
			c.column, _ = strconv.Atoi(f.keyColumn)
			c.column--
		}
		return c, nil
	}
	rows := c.rows
	if at.Offset > 0 {
		rows = newRows(head)
	}
	names, err := rows.Read()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return c, nil // no rows either
		}
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	if rows == c.rows {
		c.line += int64(bytes.Count(c.raw.upTo(c.rows.InputOffset()), newline))
	}
	if f.keyColumn != "" {
		names[0] = strings.TrimPrefix(names[0], "\ufeff")
		if c.column = slices.Index(names, f.keyColumn); c.column < 0 {
			return nil, fmt.Errorf("--key-column %q: the header has only %s", f.keyColumn, strings.Join(names, ", "))
		}
	}
	return c, nil
}

var newline = []byte("\n")

func newRows(r io.Reader) *csv.Reader {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord, rows.ReuseRecord = -1, true
	return rows
}

func (c *csvRecords) next() (record, error) {
	fields, err := c.rows.Read()
	var fault *csv.ParseError
	if err != nil && !errors.As(err, &fault) {
		return record{}, err
	}
	end := c.rows.InputOffset()
	raw := c.raw.upTo(end)
	row := bytes.TrimLeft(raw, "\r\n")
	empty := raw[:len(raw)-len(row)]
	c.line += int64(bytes.Count(raw, newline))
	if !bytes.HasSuffix(raw, newline) {
		c.line++ // the last one of a file
	}
	r := record{payload: bytes.TrimRight(row, "\r\n"), start: c.base + end - int64(len(row)), end: c.base + end, number: c.line,
		skipped: int64(bytes.Count(empty, newline))}
	switch {
	case fault != nil:
		r.fault = fmt.Errorf("the row is not CSV: %w", fault.Err)
	case c.column >= len(fields):
		r.fault = fmt.Errorf("the row has %d columns; the stream is in column %d", len(fields), c.column+1)
	case c.column >= 0:
		r.stream = strings.Clone(fields[c.column])
	}
	return r, nil
}

// capture keeps what was read through it until it is asked for.
type capture struct {
	input io.Reader
	kept  []byte
	from  int64 // offset of kept
}

func (c *capture) Read(p []byte) (int, error) {
	if len(c.kept) > maxLine {
		return 0, fmt.Errorf("a row is longer than %d MiB: is a quote left open?", maxLine>>20)
	}
	n, err := c.input.Read(p)
	c.kept = append(c.kept, p[:n]...)
	return n, err
}

// upTo returns what was not returned before, up to that offset; valid until the next Read.
func (c *capture) upTo(offset int64) []byte {
	n := offset - c.from
	data := c.kept[:n]
	c.kept, c.from = c.kept[n:], offset
	return data
}
