package main

/*
#include "entry.h"
*/
import "C"

import (
	"errors"
	"strings"
	"unicode/utf8"
	"unsafe"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// copyText writes s and a NUL, cut between two characters when there is no room for more.
func copyText(dst []C.char, s string) {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "?")
	}
	if len(s) >= len(dst) {
		n := len(dst) - 1
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst))), len(dst)), s)
	dst[len(s)] = 0
}

// copyError is copyText for an error's text: if there is no room, its code and what follows it are kept.
func copyError(dst []C.char, s string) {
	const cut = "..."
	end := strings.LastIndex(s, " [code ")
	if head := len(dst) - 1 - len(cut) - len(s[max(end, 0):]); len(s) >= len(dst) && head > 0 {
		s = strings.ToValidUTF8(s[:head], "") + cut + s[end:]
	}
	copyText(dst, s)
}

// copyOut follows snprintf: it writes what fits and returns the whole length.
func copyOut(q *call, text string) C.int {
	if q.text.buf != nil && q.text.len > 0 {
		copyText(unsafe.Slice(q.text.buf, int(q.text.len)), text)
	}
	return C.int(len(text))
}

// text is a string over C's memory: valid as long as the call.
func text(s *C.char, n C.size_t) string {
	if s == nil {
		return ""
	}
	return unsafe.String((*byte)(unsafe.Pointer(s)), int(n))
}

// zeroTerminated is text for a C string of unknown length.
func zeroTerminated(s *C.char) string {
	if s == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(s), n)) != 0 {
		n++
	}
	return text(s, C.size_t(n))
}

// failError writes an error of the core and returns its code.
func failError(q *call, err error) C.int {
	var e *dataproxy.Error
	if errors.As(err, &e) {
		return fail(q, C.int(e.Code), e.Error())
	}
	return fail(q, C.INLONG_ERR_UNKNOWN, err.Error())
}
