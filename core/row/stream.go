package row

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Column is one field of a stream, as the Manager lists it.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"` // such as string, int, long, double, timestamp
	// Format is that of a time, "" for the reader's own: SECONDS, MILLIS and the like, or a pattern such as yyyy-MM-dd.
	Format string `json:"format,omitempty"`
}

// Stream is what the Manager says of a stream's rows.
type Stream struct {
	// Settings have the names of Columns.
	Settings Settings
	Columns  []Column
	// Notes are what a user should know: a setting that is missing and what readers take for it.
	Notes []string
}

// ErrNoRows says that the messages of a stream are no rows, but JSON, text or another type, which the error names.
var ErrNoRows = errors.New("the stream has no rows of CSV or KV")

// ParseStream reads the data of the Manager's answer to openapi/stream/get. What readers would take differently is an error: give such
// settings by hand. The answer may hold credentials of sinks and sources, of which it takes no notice; do not log it.
func ParseStream(data []byte) (*Stream, error) {
	var answer struct {
		DataType       string  `json:"dataType"`
		DataSeparator  *string `json:"dataSeparator"`
		KVSeparator    *string `json:"kvSeparator"`
		LineSeparator  *string `json:"lineSeparator"`
		DataEscapeChar *string `json:"dataEscapeChar"`
		DataEncoding   string  `json:"dataEncoding"`
		FieldList      []struct {
			Name       string  `json:"fieldName"`
			Type       string  `json:"fieldType"`
			Format     *string `json:"fieldFormat"`
			Predefined int     `json:"isPredefinedField"`
			Meta       int     `json:"isMetaField"`
		} `json:"fieldList"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		var wrong *json.UnmarshalTypeError // any other error could show a part of what must not be shown
		if errors.As(err, &wrong) {
			return nil, fmt.Errorf("the stream's settings: field %q is a JSON %s", wrong.Field, wrong.Value)
		}
		return nil, errors.New("the stream's settings are no JSON")
	}
	s := &Stream{}
	switch strings.ToUpper(answer.DataType) {
	case "CSV":
		s.Settings.Type = CSV
	case "KV":
		s.Settings.Type = KV
	default:
		return nil, fmt.Errorf("%w: its data type is %q", ErrNoRows, answer.DataType)
	}
	switch strings.ToUpper(answer.DataEncoding) {
	case "", "UTF-8", "UTF8":
	case "GBK":
		s.Settings.Encoding = GBK
	default:
		return nil, fmt.Errorf("dataEncoding %q: must be UTF-8 or GBK", answer.DataEncoding)
	}
	var faults []error
	separator := func(field string, value *string, to *rune) {
		char, err := separatorOf(value)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s %q: %w", field, *value, err))
		}
		*to = char
	}
	separator("dataSeparator", answer.DataSeparator, &s.Settings.Separator)
	if s.Settings.Type == KV {
		separator("kvSeparator", answer.KVSeparator, &s.Settings.KVSeparator)
	}
	separator("lineSeparator", answer.LineSeparator, &s.Settings.LineSeparator)
	if answer.DataSeparator == nil || *answer.DataSeparator == "" {
		s.Notes = append(s.Notes, "the stream has no separator in the Manager: '|' is used, which not all readers take then")
	}
	if text := answer.DataEscapeChar; text != nil && *text != "" {
		char, size := utf8.DecodeRuneInString(*text)
		if size < len(*text) {
			faults = append(faults, fmt.Errorf("dataEscapeChar %q: must be one character itself: of more, readers take different ones", *text))
		}
		s.Settings.Escape = char
	} else {
		s.Notes = append(s.Notes, "the stream has no escape character: values that hold a separator or a newline are refused")
	}
	for _, f := range answer.FieldList {
		if f.Predefined == 1 || f.Meta == 1 {
			continue // they come from elsewhere than the row
		}
		column := Column{Name: f.Name, Type: f.Type}
		if f.Format != nil {
			column.Format = *f.Format
		}
		s.Columns = append(s.Columns, column)
		s.Settings.Columns = append(s.Settings.Columns, f.Name)
	}
	if len(s.Columns) == 0 {
		s.Notes = append(s.Notes, "the stream lists no fields: their number is not checked")
	}
	if len(faults) == 0 {
		format, err := New(s.Settings)
		if err == nil {
			s.Settings = format.Settings()
			return s, nil
		}
		faults = append(faults, err)
	}
	return nil, fmt.Errorf("the stream's settings: %w", errors.Join(faults...))
}

// separatorOf reads the code point of a character, 0 for none.
func separatorOf(text *string) (rune, error) {
	if text == nil || *text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(*text, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("must be the decimal number of a character, such as 124, as all readers take it")
	}
	return rune(n), nil
}
