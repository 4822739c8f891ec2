package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// record is one message as it stands in a file.
type record struct {
	payload []byte // valid until the next one is asked for; empty for what is no message
	stream  string // "" means the one of --stream
	used    int    // bytes of the file
	lines   int64  // of them, line ends
	skipped int64  // empty lines among them
	nuls    int64  // bytes left out at the beginning of a file that has a hole there
	fault   error  // why it cannot be sent, now or later
	tooLong bool
	part    bool // of a record that is passed over: its end comes later
}

// splitter finds the records of one file in what is read of it, part by part.
type splitter interface {
	// of takes what follows the last record. last: nothing will follow data.
	of(data []byte, last bool)
	// next returns false when the rest is no whole record yet. An error is one of the whole file.
	next() (record, bool, error)
}

// format is how the records of a file are told apart.
type format struct {
	name      string
	keyColumn string // the column or field that names the stream; "" for none
	noHeader  bool   // of csv
	encoding  string
	longest   int       // bytes of a record that a client can send
	rows      *rowMaker // nil where records are sent as they are
}

var (
	formatNames   = []string{"lines", "json-lines", "csv", "length", "failed"}
	encodingNames = []string{"utf-8", "utf-16", "utf-16le", "utf-16be"}
)

func (f *format) check() error {
	switch {
	case !slices.Contains(formatNames, f.name):
		return fmt.Errorf("--format %q: must be one of %s", f.name, strings.Join(formatNames, ", "))
	case !slices.Contains(encodingNames, f.encoding):
		return fmt.Errorf("--encoding %q: must be one of %s", f.encoding, strings.Join(encodingNames, ", "))
	case f.encoding != "utf-8" && (f.name == "length" || f.name == "failed"):
		return fmt.Errorf("--encoding: the format %s is not text of another encoding", f.name)
	case f.keyColumn != "" && f.name != "json-lines" && f.name != "csv":
		return fmt.Errorf("--key-column: the format %s has no columns; json-lines and csv have", f.name)
	case f.noHeader && f.name != "csv":
		return errors.New("--no-header: only the format csv has a header")
	case f.noHeader && f.keyColumn != "" && !isColumn(f.keyColumn):
		return fmt.Errorf("--key-column %q: with --no-header it must be the column's number, from 1", f.keyColumn)
	}
	return nil
}

func isColumn(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 1
}

// begin is what a splitter has to know of the file's place.
type begin struct {
	offset    int64
	rewritten bool      // the file had other content before: it may begin with a hole
	head      io.Reader // the file's beginning again
}

func (f *format) open(at begin) (splitter, error) {
	if f.name == "length" {
		return &lengthSplitter{longest: f.longest, offset: at.offset}, nil
	}
	var inner splitter
	lines := lineSplitter{longest: f.longest}
	switch f.name {
	case "csv":
		c := &csvSplitter{longest: f.longest, column: -1, header: !f.noHeader}
		if err := c.choose(f, at); err != nil {
			return nil, err
		}
		inner = c
	case "json-lines":
		inner = &jsonSplitter{lines, f.keyColumn}
	case "failed":
		lines.longest = longestFailed(f.longest)
		inner = &failedSplitter{lines}
	default:
		inner = &lines
	}
	if f.rows != nil {
		inner = f.rows.of(inner)
	}
	return f.decode(inner, at)
}

// lineSplitter takes each line for a record, without its "\n". What stands after the last "\n" is a line once nothing follows.
type lineSplitter struct {
	longest int
	data    []byte
	last    bool
	passing bool // in a line that is too long
}

func (l *lineSplitter) of(data []byte, last bool) { l.data, l.last = data, last }

func (l *lineSplitter) next() (record, bool, error) {
	i := indexNewline(l.data)
	switch {
	case i >= 0:
		r := record{payload: l.data[:i], used: i + 1, lines: 1}
		l.data = l.data[i+1:]
		return l.whole(r), true, nil
	case l.last && (len(l.data) > 0 || l.passing):
		r := record{payload: l.data, used: len(l.data), lines: 1}
		l.data = nil
		return l.whole(r), true, nil
	case len(l.data) > l.longest || l.passing && len(l.data) > 0:
		l.passing = true
		r := record{used: len(l.data), part: true}
		l.data = nil
		return r, true, nil
	}
	return record{}, false, nil
}

func (l *lineSplitter) whole(r record) record {
	switch {
	case l.passing || len(r.payload) > l.longest:
		l.passing = false
		r.payload, r.tooLong = nil, true
		r.fault = fmt.Errorf("the line is longer than %d bytes, which max_frame_size allows", l.longest)
	case len(r.payload) == 0:
		r.skipped = 1
	}
	return r
}

// jsonSplitter wants each line to be JSON, and looks up the key.
type jsonSplitter struct {
	lineSplitter
	key string
}

func (j *jsonSplitter) next() (record, bool, error) {
	r, found, err := j.lineSplitter.next()
	switch {
	case !found || err != nil || r.fault != nil || len(r.payload) == 0:
	case isBlank(r.payload): // "\r\n" is as empty as "\n"
		r.payload, r.skipped = nil, 1
	default:
		r.stream, r.fault = jsonKey(r.payload, j.key)
	}
	return r, found, err
}

// jsonKey returns the text of a field of a JSON object, "" when it has none.
func jsonKey(line []byte, field string) (string, error) {
	if field == "" {
		if !json.Valid(line) {
			return "", errors.New("the line is not JSON")
		}
		return "", nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		if json.Valid(line) { // the error speaks of types of Go
			return "", errors.New("the line is not a JSON object")
		}
		return "", fmt.Errorf("the line is not JSON: %w", err)
	}
	raw, found := object[field]
	if !found {
		return "", nil
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", err
	}
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case float64:
		return string(raw), nil
	}
	return "", fmt.Errorf("the field %q must be a string or a number, to name the stream", field)
}
