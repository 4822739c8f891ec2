package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/row"
)

const rowsCheck = "rows"

// checkRows tells how the stream's rows are written, and compares one with its fields.
func (d *doctor) checkRows(ctx context.Context) {
	if len(d.options.StaticNodes) > 0 {
		if d.row != nil {
			d.add(levelWarn, rowsCheck, "Give --url alone.", "the row is not checked: static_nodes are given, and only a Manager knows the stream's fields")
		}
		return
	}
	stream, err := dataproxy.AskStream(ctx, d.config.stream, d.config.clientOptions()...)
	switch {
	case errors.Is(err, row.ErrNoRows):
		if d.row == nil {
			d.ok(rowsCheck, "none: %v", err)
			return
		}
		d.add(levelFail, rowsCheck, "Send what the stream's data type says, or have it changed in the Manager.", "%v", err)
		return
	case errors.Is(err, dataproxy.ErrNoEndpoint):
		d.add(levelFail, rowsCheck, "Check the stream's name. A user sees only the streams of groups that are theirs.", "%v", err)
		return
	case err != nil:
		d.add(levelFail, rowsCheck, "Have it fixed in the Manager; until then give the settings by hand, as your readers take them.", "%v", err)
		return
	}
	d.ok(rowsCheck, "%s", strings.Join(append([]string{describe(stream)}, stream.Notes...), "; "))
	if d.row != nil {
		d.compareRow(stream, *d.row)
	}
}

func describe(s *row.Stream) string {
	text := fmt.Sprintf("%v in %v, separator %q", s.Settings.Type, s.Settings.Encoding, s.Settings.Separator)
	if s.Settings.Type == row.KV {
		text += fmt.Sprintf(", kv separator %q", s.Settings.KVSeparator)
	}
	if s.Settings.LineSeparator != 0 {
		text += fmt.Sprintf(", line separator %q", s.Settings.LineSeparator)
	}
	if s.Settings.Escape != 0 {
		text += fmt.Sprintf(", escape character %q", s.Settings.Escape)
	}
	if len(s.Columns) > 0 {
		text += ", " + plural(len(s.Columns), "field") + ": " + strings.Join(s.Settings.Columns, ", ")
	}
	return text
}

func (d *doctor) compareRow(stream *row.Stream, text string) {
	format, err := row.New(stream.Settings)
	if err != nil {
		d.add(levelFail, rowsCheck, "Have the stream's settings fixed in the Manager.", "%v", err)
		return
	}
	pairs, err := format.Parse([]byte(text))
	if err != nil {
		d.add(levelFail, rowsCheck, "Make rows by send --row, or by the library: they escape what must be.", "not every reader reads this row as it is meant: %v", err)
		return
	}
	failed := d.failed
	var unknown []string
	if len(stream.Columns) > 0 {
		unknown = d.compareNames(stream, pairs)
	}
	for i, p := range pairs {
		at := i
		if stream.Settings.Type == row.KV {
			at = slices.Index(stream.Settings.Columns, p.Key)
		}
		if at < 0 || at >= len(stream.Columns) {
			continue
		}
		column := stream.Columns[at]
		if fault := misfit(column, string(p.Value)); fault != "" {
			d.add(levelFail, rowsCheck, "Readers make null of it, or skip the row.", "field %d (%q, %s): %q %s", i+1, column.Name, column.Type, p.Value, fault)
		}
		if layout, known := layouts[strings.ToLower(column.Type)]; known && !layout.fits(column, string(p.Value)) {
			d.add(levelWarn, rowsCheck, "Write it like that, unless the readers were told another format.",
				"field %d (%q, %s): %q is not written like %q", i+1, column.Name, column.Type, p.Value, layout.example)
		}
	}
	if stream.Settings.Type == row.CSV && len(pairs[0].Value) == 0 {
		d.add(levelWarn, rowsCheck, "Put a column first that is never empty.", "the first field is empty: a Sort job with deleteHeadDelimiter shifts all columns")
	}
	if d.failed == failed && len(unknown) == 0 {
		d.ok(rowsCheck, "every reader reads this row as %s", plural(len(pairs), "field"))
	}
}

// compareNames compares the fields that are there with those of the stream.
func (d *doctor) compareNames(stream *row.Stream, pairs []row.Pair) (unknown []string) {
	if stream.Settings.Type == row.CSV {
		switch n := len(stream.Columns); {
		case len(pairs) > n:
			d.add(levelFail, rowsCheck, "Readers ignore what is too much. Is a separator not escaped?", "the row has %d fields and the stream %d", len(pairs), n)
		case len(pairs) < n:
			d.add(levelWarn, rowsCheck, "Nothing, if they are meant to be null.", "the row has no %s", strings.Join(stream.Settings.Columns[len(pairs):], ", "))
		}
		return nil
	}
	missing := slices.Clone(stream.Settings.Columns)
	for _, p := range pairs {
		if i := slices.Index(missing, p.Key); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
		} else {
			unknown = append(unknown, p.Key)
		}
	}
	if len(unknown) > 0 {
		d.add(levelFail, rowsCheck, "Readers ignore them. Check their spelling.", "the stream has no field %s", strings.Join(unknown, ", "))
	}
	if len(missing) > 0 {
		d.add(levelWarn, rowsCheck, "Nothing, if they are meant to be null.", "the row has no %s", strings.Join(missing, ", "))
	}
	return unknown
}

// misfit says why a value is none of a column's type, "" when it may be one. An empty value is null to all but texts.
func misfit(column row.Column, value string) string {
	if value == "" {
		return ""
	}
	bits, isWhole := map[string]int{"byte": 8, "tinyint": 8, "short": 16, "smallint": 16, "int": 32, "integer": 32, "long": 64, "bigint": 64}[strings.ToLower(column.Type)]
	switch kind := strings.ToLower(column.Type); {
	case isWhole:
		if _, err := strconv.ParseInt(value, 10, bits); err != nil {
			return "is no whole number of " + strconv.Itoa(bits) + " bits"
		}
	case kind == "float" || kind == "double" || kind == "decimal":
		if _, err := strconv.ParseFloat(value, 64); err != nil && !errors.Is(err, strconv.ErrRange) {
			return "is no number"
		}
	case kind == "boolean" || kind == "bool":
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return `is neither "true" nor "false"`
		}
	}
	return ""
}

// layouts are how readers take dates and times of fields whose format says nothing else.
var layouts = map[string]layout{
	"date":      {"yyyy-MM-dd", "2006-1-2", "2006-01-02"},
	"time":      {"HH:mm:ss", "15:4:5", "15:04:05"},
	"timestamp": {"yyyy-MM-dd HH:mm:ss", "2006-1-2 15:4:5", "2006-01-02 15:04:05"},
}

type layout struct{ format, lenient, example string }

// fits reports whether a value is written like that, is null, or its column has a format of its own.
func (l layout) fits(column row.Column, value string) bool {
	if value == "" || column.Format != "" && column.Format != l.format {
		return true
	}
	_, err := time.Parse(l.lenient, value)
	return err == nil
}
