package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/spf13/pflag"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/row"
)

// rowFlags say that records become rows, and by which settings.
type rowFlags struct {
	kind                         string // "" for none
	separator, kvSeparator       string
	lineSeparator, escape        string
	encoding, columns            string
	refuseEmptyFirst, controlled bool
}

const rowsOfManager = "manager"

var rowKinds = []string{rowsOfManager, "csv", "kv"}

func (f *rowFlags) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.kind, "row", "", "send rows as `SETTINGS` say: manager (those of --stream; --row alone means that), csv or kv")
	flags.Lookup("row").NoOptDefVal = rowsOfManager
	flags.StringVar(&f.separator, "row-separator", "", "`CHARACTER` between two fields of --row=csv and kv (default \"|\")")
	flags.StringVar(&f.kvSeparator, "row-kv-separator", "", "`CHARACTER` between key and value of --row=kv (default \"=\")")
	flags.StringVar(&f.lineSeparator, "row-line-separator", "", "`CHARACTER` at which readers split a message into rows (default: none)")
	flags.StringVar(&f.escape, "row-escape", "", "escape `CHARACTER`; without one values with a separator are refused")
	flags.StringVar(&f.encoding, "row-encoding", "", "`ENCODING` of the stream, utf-8 or gbk (default utf-8)")
	flags.StringVar(&f.columns, "row-columns", "", "`NAMES` of the stream's fields in their order, separated by commas")
	flags.BoolVar(&f.refuseEmptyFirst, "row-refuse-empty-first", false, "refuse rows of CSV whose first field is empty")
	flags.BoolVar(&f.controlled, "row-control-escapes", false, "write newlines as \\n, which no reader of InLong undoes")
}

func (f *rowFlags) byHand() bool {
	return f.separator+f.kvSeparator+f.lineSeparator+f.escape+f.encoding+f.columns != "" || f.refuseEmptyFirst || f.controlled
}

// check finds what is wrong with the flags, seen with the other ones.
func (f *rowFlags) check(s *sendFlags) error {
	switch {
	case f.kind == "" && f.byHand():
		return errors.New("--row-... needs --row=csv or --row=kv")
	case f.kind == "":
		return nil
	case !slices.Contains(rowKinds, f.kind):
		return fmt.Errorf("--row %q: must be one of %s", f.kind, strings.Join(rowKinds, ", "))
	case s.format.name != "csv" && s.format.name != "json-lines":
		return fmt.Errorf("--row: rows are made of --format csv or json-lines, not of %s", s.format.name)
	case s.failed != "":
		return errors.New("--row: cannot be given together with --failed, whose file would hold rows beside lines that became none")
	case f.kind == rowsOfManager && f.byHand():
		return errors.New("--row-...: the Manager says these; to say them by hand give --row=csv or --row=kv")
	case f.kind == rowsOfManager && s.stream == "":
		return errors.New("--row: the Manager is asked for the settings of --stream; without one give --row=csv or --row=kv")
	case f.kind != rowsOfManager:
		_, err := f.format()
		return err
	}
	return nil
}

// format makes the format of settings by hand.
func (f *rowFlags) format() (*row.Format, error) {
	s := row.Settings{Type: row.CSV, RefuseEmptyFirst: f.refuseEmptyFirst, ControlEscapes: f.controlled}
	if f.kind == "kv" {
		s.Type = row.KV
	}
	for _, c := range []struct {
		flag, text string
		to         *rune
	}{{"separator", f.separator, &s.Separator}, {"kv-separator", f.kvSeparator, &s.KVSeparator},
		{"line-separator", f.lineSeparator, &s.LineSeparator}, {"escape", f.escape, &s.Escape}} {
		chars := []rune(strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(c.text))
		if len(chars) > 1 {
			return nil, fmt.Errorf("--row-%s %q: must be one character, or \\t", c.flag, c.text)
		}
		if len(chars) == 1 {
			*c.to = chars[0]
		}
	}
	switch f.encoding {
	case "", "utf-8":
	case "gbk":
		s.Encoding = row.GBK
	default:
		return nil, fmt.Errorf("--row-encoding %q: must be utf-8 or gbk", f.encoding)
	}
	if f.columns != "" {
		s.Columns = strings.Split(f.columns, ",")
	}
	format, err := row.New(s)
	if err != nil {
		return nil, fmt.Errorf("--row-...: %w", err)
	}
	return format, nil
}

// rowMaker makes rows of records.
type rowMaker struct {
	format    *row.Format
	named     bool   // columns of CSV go by the names in the header
	separator []byte // of CSV: what a row begins with whose first field is empty
	log       *slog.Logger
	warned    atomic.Bool
}

func newRowMaker(format *row.Format, log *slog.Logger) *rowMaker {
	s := format.Settings()
	m := &rowMaker{format: format, log: log, named: s.Type == row.KV || len(s.Columns) > 0}
	if s.Type == row.CSV {
		m.separator = []byte(string(s.Separator))
	}
	return m
}

// maker returns what makes the rows, nil for none. It may ask the Manager.
func (f *rowFlags) maker(ctx context.Context, stream string, options []dataproxy.Option, log *slog.Logger) (*rowMaker, error) {
	if f.kind == "" {
		return nil, nil
	}
	if f.kind != rowsOfManager {
		format, err := f.format()
		if err != nil {
			return nil, err
		}
		return newRowMaker(format, log), nil
	}
	found, err := dataproxy.AskStream(ctx, stream, options...)
	if err != nil {
		return nil, err
	}
	for _, note := range found.Notes {
		log.Warn(note, "stream", stream)
	}
	format, err := row.New(found.Settings)
	if err != nil {
		return nil, err
	}
	return newRowMaker(format, log), nil
}

// rowSplitter makes a row of each record that another splitter finds.
type rowSplitter struct {
	splitter
	maker  *rowMaker
	csv    *csvSplitter // nil where the records are JSON
	fields []row.Field
	buffer []byte
}

func (m *rowMaker) of(inner splitter) splitter {
	s := &rowSplitter{splitter: inner, maker: m}
	s.csv, _ = inner.(*csvSplitter)
	return s
}

func (s *rowSplitter) next() (record, bool, error) {
	r, found, err := s.splitter.next()
	if !found || err != nil || r.fault != nil || len(r.payload) == 0 {
		return r, found, err
	}
	s.fields = s.fields[:0]
	if s.csv != nil {
		r.fault = s.ofCSV(s.csv.values(r.payload))
	} else {
		r.fault = s.ofJSON(r.payload)
	}
	if r.fault != nil {
		return r, found, err
	}
	payload, fault := s.maker.format.Append(s.buffer[:0], s.fields...)
	if fault != nil {
		r.fault = fault
		return r, found, err
	}
	s.buffer, r.payload = payload, payload
	s.maker.look(payload)
	return r, found, err
}

// look warns once of a row that some readers shift.
func (m *rowMaker) look(payload []byte) {
	if m.separator != nil && bytes.HasPrefix(payload, m.separator) && m.warned.CompareAndSwap(false, true) {
		m.log.Warn("the first field of a row is empty: a Sort job with deleteHeadDelimiter shifts its columns; --row-refuse-empty-first refuses such rows")
	}
}

func (s *rowSplitter) ofCSV(values [][]byte) error {
	names := s.csv.names
	named := names != nil && s.maker.named
	if named && len(values) != len(names) {
		return fmt.Errorf("the row has %d columns, and the header %d", len(values), len(names))
	}
	for i, value := range values {
		field := row.Bytes(value)
		if named {
			field = field.Named(names[i])
		}
		s.fields = append(s.fields, field)
	}
	return nil
}

func (s *rowSplitter) ofJSON(record []byte) error {
	if !utf8.Valid(record) { // the decoder would put other characters there
		return errors.New("the line is not valid UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(record))
	begin, err := decoder.Token()
	if err != nil || begin != json.Delim('{') && begin != json.Delim('[') {
		return errors.New("the line must be a JSON object, or an array of values")
	}
	for decoder.More() {
		name := ""
		if begin == json.Delim('{') {
			key, err := decoder.Token()
			if err != nil {
				return err
			}
			if name = key.(string); isHalved(name, record) {
				return errHalf
			}
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return err
		}
		field, err := jsonField(raw)
		if err != nil {
			return err
		}
		if begin == json.Delim('{') {
			field = field.Named(name)
		}
		s.fields = append(s.fields, field)
	}
	if _, err := decoder.Token(); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the line holds more than one JSON value")
	}
	return nil
}

// errHalf: a decoder puts another character there.
var errHalf = errors.New(`a text holds one half of a surrogate pair, such as "\ud800", which is no character`)

func isHalved(text string, raw []byte) bool {
	halves := strings.Count(text, "\ufffd")
	return halves > 0 && halves > bytes.Count(raw, []byte("\ufffd"))+bytes.Count(bytes.ToLower(raw), []byte(`\ufffd`))
}

// jsonField takes texts as they are meant and all else as it stands there: a number keeps its digits.
func jsonField(raw json.RawMessage) (row.Field, error) {
	switch {
	case bytes.Equal(raw, []byte("null")):
		return row.Null(), nil
	case raw[0] == '"':
		var text string
		err := json.Unmarshal(raw, &text)
		if err == nil && isHalved(text, raw) {
			err = errHalf
		}
		return row.Text(text), err
	}
	var compact bytes.Buffer
	err := json.Compact(&compact, raw)
	return row.Text(compact.String()), err
}
