package main

/*
#include <stdlib.h>
#include <string.h>
#include "entry.h"
*/
import "C"

import (
	"context"
	"errors"
	"strings"
	"unsafe"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

func askRow(q *call) C.int {
	stream, fault := dataproxy.AskStream(context.Background(), C.GoString((*C.char)(q.data)), options(q)...)
	if fault != nil {
		return failNew(q, fault)
	}
	s, settings := &stream.Settings, q.settings
	settings._type, settings.encoding = C.int32_t(s.Type), C.int32_t(s.Encoding)
	settings.separator, settings.kv_separator = C.uint32_t(s.Separator), C.uint32_t(s.KVSeparator)
	settings.line_separator, settings.escape = C.uint32_t(s.LineSeparator), C.uint32_t(s.Escape)
	columns, fault := columnBlock(s.Columns)
	if fault != nil {
		return fail(q, C.INLONG_ERR_OPTION, fault.Error())
	}
	settings.columns, settings.column_count = columns, C.size_t(len(s.Columns))
	return C.INLONG_OK
}

// columnBlock puts the names and the pointers to them into one block of C's memory, NULL for none.
func columnBlock(names []string) (**C.char, error) {
	if len(names) == 0 {
		return nil, nil
	}
	texts := strings.Join(names, "\x00") + "\x00"
	if strings.Count(texts, "\x00") != len(names) {
		return nil, errors.New("the stream's settings: a column's name holds NUL")
	}
	pointers := len(names) * int(unsafe.Sizeof(uintptr(0)))
	block := C.malloc(C.size_t(pointers + len(texts))) // cgo's malloc does not return NULL
	text := unsafe.Add(block, pointers)
	copy(unsafe.Slice((*byte)(text), len(texts)), texts)
	columns := unsafe.Slice((**C.char)(block), len(names))
	for i, name := range names {
		columns[i] = (*C.char)(text)
		text = unsafe.Add(text, len(name)+1)
	}
	return (**C.char)(block), nil
}
