package main

import (
	"bytes"
	"fmt"
)

// longRow is a row of CSV that is longer than can be sent: it is passed over without being held, to where its quotes end it.
type longRow struct {
	state rowState
	bytes int
	lines int64
}

type rowState int

const (
	atField rowState = iota
	inField
	inQuotes
	afterQuote  // it ends the field, or is the first of two
	afterReturn // after that quote
	inFault     // which the end of the line ends
)

// end finds where the row ends in what comes next of it, -1 when it does not there: at the byte where csvSplitter.row ends it.
func (r *longRow) end(data []byte) int {
	for i, b := range data {
		switch {
		case r.state == inQuotes:
			if b == '"' {
				r.state = afterQuote
			}
		case b == '\n':
			return i + 1
		case r.state == inFault:
		case b == ',' && r.state != afterReturn:
			r.state = atField
		case b == '"' && (r.state == atField || r.state == afterQuote):
			r.state = inQuotes
		case b == '\r' && r.state == afterQuote:
			r.state = afterReturn
		case b == '"' || r.state == afterQuote || r.state == afterReturn:
			r.state = inFault
		default:
			r.state = inField
		}
	}
	return -1
}

// isLeftOpen reports whether a row that does not end in data seems to do so for a quote that was left open: what follows its first
// line are rows of as many columns as the others have. The lines of a long text are not.
func (c *csvSplitter) isLeftOpen(data []byte) bool {
	if c.columns < 2 { // each line is such a row
		return false
	}
	rows := 0
	for data = data[indexNewline(data)+1:]; ; rows++ {
		end, fields, _, fault := c.row(data, false)
		empty := end > 0 && len(withoutEnd(data[:end])) == 0
		switch {
		case end == 0:
			return rows > 0
		case fault != nil || fields != c.columns && !empty:
			return false
		}
		data = data[end:]
	}
}

// beginLong takes the first part of a long row, within its first line: it is named by that.
func (c *csvSplitter) beginLong() record {
	c.long = &longRow{}
	n := indexNewline(c.data)
	if n <= 0 {
		n = len(c.data)
	}
	c.long.end(c.data[:n])
	return c.take(n, record{part: true})
}

func (c *csvSplitter) pass() (record, bool, error) {
	end := c.long.end(c.data)
	switch {
	case end < 0 && c.last:
		end = len(c.data)
	case end < 0 && len(c.data) == 0:
		return record{}, false, nil
	case end < 0:
		return c.take(len(c.data), record{part: true}), true, nil
	}
	ends := end > 0 && c.data[end-1] == '\n'
	r := c.take(end, record{tooLong: true})
	if !ends { // the last one of a file
		r.lines, c.long.lines = r.lines+1, c.long.lines+1
	}
	r.fault = fmt.Errorf("the row that begins there is longer than %d bytes, which max_frame_size allows: it has %d, in %s", c.longest, c.long.bytes,
		plural(c.long.lines, "line"))
	if !ends && c.long.state == inQuotes {
		r.fault = fmt.Errorf("%w; a quote is open at the end of the file", r.fault)
	}
	c.long = nil
	return r, true, nil
}

// take passes bytes of the long row.
func (c *csvSplitter) take(n int, r record) record {
	r.used, r.lines = n, int64(bytes.Count(c.data[:n], newline))
	c.long.bytes, c.long.lines = c.long.bytes+n, c.long.lines+r.lines
	c.data = c.data[n:]
	return r
}
