package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// record is one message as it stands in a file.
type record struct {
	payload    []byte // valid until the next one is read
	stream     string // "" means the one of --stream
	start, end int64  // in the file: of the payload's first byte, and behind the record
	number     int64  // of its line, the last one of several, from 1
	skipped    int64  // empty lines before it
	fault      error  // why it cannot be sent, now or later
}

// recordReader hands out the records of one file, io.EOF after the last one.
type recordReader interface {
	next() (record, error)
}

// format is how the records of a file are told apart.
type format struct {
	name      string
	keyColumn string // the column or field that names the stream; "" for none
	noHeader  bool   // of csv
}

var formatNames = []string{"lines", "json-lines", "csv", "length"}

func (f *format) check() error {
	known := false
	for _, name := range formatNames {
		known = known || f.name == name
	}
	switch {
	case !known:
		return fmt.Errorf("--format %q: must be one of %s", f.name, strings.Join(formatNames, ", "))
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

// open reads records from r, which stands at that position of the file. head reads the file's beginning again.
func (f *format) open(r io.Reader, at position, head io.Reader) (recordReader, error) {
	switch f.name {
	case "csv":
		return openCSV(r, f, at, head)
	case "length":
		return &lengthRecords{input: r, at: at}, nil
	}
	lines := newLineReader(r, maxLine)
	lines.number = at.Line
	return &lineRecords{lines: lines, format: f, at: at.Offset}, nil
}

// lineRecords takes each line for a record; of JSON it looks up the key.
type lineRecords struct {
	lines  *lineReader
	format *format
	at     int64
}

func (l *lineRecords) next() (record, error) {
	line, cut, err := l.lines.next()
	if err != nil {
		return record{}, err
	}
	r := record{payload: line, start: l.at, number: l.lines.number}
	l.at += l.lines.size
	r.end = l.at
	switch {
	case cut:
		r.fault = fmt.Errorf("the line is longer than %d MiB", maxLine>>20)
	case l.format.name == "json-lines" && len(bytes.TrimSpace(line)) == 0: // "\r\n" is as empty as "\n"
		r.payload = nil
	case l.format.name == "json-lines":
		r.stream, r.fault = jsonKey(line, l.format.keyColumn)
	}
	return r, nil
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
