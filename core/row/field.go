package row

import (
	"math"
	"strconv"
	"time"
	"unsafe"
)

// Field is one value of a row, with a name or without. It points to the text it was made of and is used at once, not kept.
type Field struct {
	name  string
	data  *byte  // of a text
	bits  uint64 // its length, or the value
	kind  kind
	named bool
}

func (f *Field) text() string { return unsafe.String(f.data, int(f.bits)) }

type kind uint8

const (
	kindNull kind = iota
	kindText
	kindBytes
	kindInt
	kindUint
	kindFloat
	kindFloat32
	kindBool
	kindTime
)

// Null is no value. See the package's documentation for what a reader gets.
func Null() Field { return Field{} }

// Text is a text in UTF-8.
func Text(text string) Field {
	return Field{data: unsafe.StringData(text), bits: uint64(len(text)), kind: kindText}
}

// Bytes is a text in the stream's encoding. Not any bytes: what is no text in that encoding is refused, since readers decode it to
// characters first; write such data as base64 or hex. It must not change until the row is made.
func Bytes(text []byte) Field {
	return Field{data: unsafe.SliceData(text), bits: uint64(len(text)), kind: kindBytes}
}

// Int is a whole number.
func Int(value int64) Field { return Field{bits: uint64(value), kind: kindInt} }

// Uint is a whole number.
func Uint(value uint64) Field { return Field{bits: value, kind: kindUint} }

// Float is a number in as few digits as tell it from others, written as Java reads it: without an exponent from 1e-6 up to 1e21; NaN,
// Infinity and -Infinity.
func Float(value float64) Field { return Field{bits: math.Float64bits(value), kind: kindFloat} }

// Float32 is [Float] in as few digits as tell it from others of its size.
func Float32(value float32) Field {
	return Field{bits: uint64(math.Float32bits(value)), kind: kindFloat32}
}

// Bool is "true" or "false".
func Bool(value bool) Field {
	f := Field{kind: kindBool}
	if value {
		f.bits = 1
	}
	return f
}

// Time is a time of day and date as "2006-01-02 15:04:05", in its own zone, which the row does not tell: readers take it for theirs. From
// year 0 to 9999. For a column with another format give a Text.
func Time(t time.Time) Field {
	_, offset := t.Zone()
	return Field{bits: uint64(t.Unix() + int64(offset)), kind: kindTime}
}

// Named gives a field its name, the key in a row of KV. Either all fields of a row have one or none.
func (f Field) Named(name string) Field {
	f.name, f.named = name, true
	return f
}

// IsNull reports whether the field is Null.
func (f Field) IsNull() bool { return f.kind == kindNull }

const (
	timeLayout = "2006-01-02 15:04:05"
	yearZero   = -62167219200 // its first second
	year10000  = 253402300800
)

// longestValue is the most bytes that append writes.
const longestValue = 64

// append writes the value of a field that has one as it is without escaping.
func (f *Field) append(dst []byte) (row []byte, fault string) {
	switch f.kind {
	case kindInt:
		return strconv.AppendInt(dst, int64(f.bits), 10), ""
	case kindUint:
		return strconv.AppendUint(dst, f.bits, 10), ""
	case kindFloat:
		return appendFloat(dst, math.Float64frombits(f.bits), 64), ""
	case kindFloat32:
		return appendFloat(dst, float64(math.Float32frombits(uint32(f.bits))), 32), ""
	case kindBool:
		return strconv.AppendBool(dst, f.bits != 0), ""
	case kindTime:
		seconds := int64(f.bits)
		if seconds < yearZero || seconds >= year10000 {
			return dst, "the time lies outside of the years 0 to 9999"
		}
		return time.Unix(seconds, 0).UTC().AppendFormat(dst, timeLayout), ""
	}
	return dst, "is of no kind that this package has made"
}

func appendFloat(dst []byte, value float64, bits int) []byte {
	switch {
	case math.IsInf(value, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(value, -1):
		return append(dst, "-Infinity"...)
	case value != 0 && (math.Abs(value) < 1e-6 || math.Abs(value) >= 1e21):
		return strconv.AppendFloat(dst, value, 'e', -1, bits)
	}
	return strconv.AppendFloat(dst, value, 'f', -1, bits) // a whole number is one to a reader of whole numbers, too
}
