package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

func indexNewline(data []byte) int { return bytes.IndexByte(data, '\n') }

func isBlank(data []byte) bool { return len(bytes.TrimSpace(data)) == 0 }

// finalError is a fault of a file that does not pass.
type finalError struct{ error }

func (finalError) Final() bool { return true }

func (e finalError) Unwrap() error { return e.error }

func final(err error) error { return finalError{err} }

var (
	markUTF8    = []byte("\xef\xbb\xbf")
	markUTF16LE = []byte("\xff\xfe")
	markUTF16BE = []byte("\xfe\xff")

	errUTF16 = errors.New("is UTF-16, whose characters would be cut: give --encoding utf-16")
)

// decode puts what an encoding needs before a splitter: the mark at a file's beginning is no part of its first record, and holes are
// none either.
func (f *format) decode(inner splitter, at begin) (splitter, error) {
	if f.encoding == "utf-8" {
		return &utf8Splitter{splitter: inner, atBegin: at.offset == 0, hole: at.rewritten}, nil
	}
	u := &utf16Splitter{splitter: inner, atBegin: at.offset == 0}
	switch f.encoding {
	case "utf-16le":
		u.order = binary.LittleEndian
	case "utf-16be":
		u.order = binary.BigEndian
	default:
		u.order = binary.LittleEndian
		if at.offset > 0 {
			var mark [2]byte
			if _, err := io.ReadFull(at.head, mark[:]); err != nil {
				return nil, err
			}
			u.choose(mark[:])
			u.mark = 0
		}
	}
	return u, nil
}

// decodeReader is the text of a file's beginning.
func (f *format) decodeReader(head io.Reader) (io.Reader, error) {
	if f.encoding == "utf-8" {
		return head, nil
	}
	data, err := io.ReadAll(io.LimitReader(head, 1<<20))
	if err != nil {
		return nil, err
	}
	u := &utf16Splitter{order: binary.LittleEndian}
	if f.encoding == "utf-16be" {
		u.order = binary.BigEndian
	}
	u.choose(data)
	text, _ := u.text(data[u.mark:], true)
	return bytes.NewReader(text), nil
}

// leastHole is how long a run of NUL bytes is taken for a hole at the beginning of a file that nobody saw being truncated.
const leastHole = 4096

// utf8Splitter leaves out the mark, refuses UTF-16, and leaves out the hole that truncation makes where the writer does not append.
type utf8Splitter struct {
	splitter
	data    []byte
	last    bool
	atBegin bool
	hole    bool
	mark    int // bytes of the mark that were not counted yet
}

func (u *utf8Splitter) of(data []byte, last bool) {
	u.data, u.last = data[min(u.mark, len(data)):], last
	u.splitter.of(u.data, last)
}

func (u *utf8Splitter) next() (record, bool, error) {
	if !u.atBegin {
		r, found, err := u.splitter.next()
		if found {
			r.used, u.mark = r.used+u.mark, 0
		}
		return r, found, err
	}
	data := u.data
	if len(data) == 0 {
		return record{}, false, nil
	}
	nuls := len(data) - len(bytes.TrimLeft(data, "\x00"))
	switch {
	case bytes.HasPrefix(data, markUTF8):
		u.atBegin, u.mark = false, len(markUTF8)
		u.leave(u.mark)
		return u.next()
	case len(data) < len(markUTF8) && !u.last && (bytes.HasPrefix(markUTF8, data) || data[0] == 0xff || data[0] == 0xfe):
		return record{}, false, nil
	case bytes.HasPrefix(data, markUTF16LE), bytes.HasPrefix(data, markUTF16BE), looksUTF16(data):
		return record{}, false, final(errUTF16)
	case nuls > 0 && (u.hole || nuls >= leastHole):
		u.hole, u.atBegin = true, nuls == len(data)
		r := u.leave(nuls)
		r.nuls = int64(nuls)
		return r, true, nil
	case nuls == len(data) && !u.last:
		return record{}, false, nil // a hole or not: the next bytes tell
	}
	u.atBegin = false
	return u.splitter.next()
}

func (u *utf8Splitter) leave(n int) record {
	u.data = u.data[n:]
	u.splitter.of(u.data, u.last)
	return record{used: n}
}

// looksUTF16 recognises UTF-16 without a mark: every other byte of its first ASCII characters is 0.
func looksUTF16(data []byte) bool {
	const sample = 64
	if len(data) < 16 {
		return false
	}
	data = data[:min(len(data), sample)]
	var zero, text [2]int
	for i, b := range data {
		switch {
		case b == 0:
			zero[i%2]++
		case b == '\n' || b == '\r' || b == '\t' || b >= ' ' && b < 0x7f:
			text[i%2]++
		}
	}
	half := len(data) / 2
	return zero[0] >= half && text[1] >= half || zero[1] >= half && text[0] >= half
}

// utf16Splitter hands a splitter UTF-8 and counts back what that was in the file.
type utf16Splitter struct {
	splitter
	order   binary.ByteOrder
	atBegin bool
	mark    int // bytes of the mark that were not counted yet
	decoded []byte
	left    []byte // of decoded, not handed out
	plus    int    // a byte too many at the end of the file
}

func (u *utf16Splitter) choose(data []byte) {
	switch {
	case bytes.HasPrefix(data, markUTF16BE):
		u.order, u.mark = binary.BigEndian, 2
	case bytes.HasPrefix(data, markUTF16LE):
		u.order, u.mark = binary.LittleEndian, 2
	}
}

func (u *utf16Splitter) of(data []byte, last bool) {
	if u.atBegin && len(data) >= 2 {
		u.atBegin = false
		u.choose(data)
	}
	data = data[min(u.mark, len(data)):]
	u.decoded, u.plus = u.text(data, last)
	u.left = u.decoded
	u.splitter.of(u.left, last)
}

// text decodes data without half a character at its end, unless it is the last data.
func (u *utf16Splitter) text(data []byte, last bool) (decoded []byte, odd int) {
	decoded = u.decoded[:0]
	for len(data) >= 2 {
		r := rune(u.order.Uint16(data))
		if utf16.IsSurrogate(r) {
			if len(data) < 4 && !last {
				return decoded, 0
			}
			pair := utf8.RuneError
			if len(data) >= 4 {
				pair = utf16.DecodeRune(r, rune(u.order.Uint16(data[2:])))
			}
			if r = pair; pair != utf8.RuneError {
				data = data[2:]
			}
		}
		decoded, data = utf8.AppendRune(decoded, r), data[2:]
	}
	if last {
		odd = len(data)
	}
	return decoded, odd
}

func (u *utf16Splitter) next() (record, bool, error) {
	r, found, err := u.splitter.next()
	if !found || err != nil {
		return r, found, err
	}
	text := u.left[:r.used]
	u.left = u.left[r.used:]
	r.used = u.mark
	u.mark = 0
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		r.used += 2 * max(utf16.RuneLen(c), 1)
		text = text[n:]
	}
	if len(u.left) == 0 {
		r.used += u.plus
		u.plus = 0
	}
	return r, found, nil
}
