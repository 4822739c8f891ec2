package main

/*
#include <stdlib.h>
#include <string.h>
#include "front/core_abi.h"
*/
import "C"

import (
	"context"
	"errors"
	"strings"
	"unsafe"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/row"
)

//export coreRowAsk
func coreRowAsk(options *C.inlong_core_option, count C.size_t, streamID *C.char, settings *C.inlong_row_settings, err C.inlong_core_text) (code C.int) {
	defer guardAll(&code, err)
	var opts []dataproxy.Option
	for _, o := range unsafe.Slice(options, int(count)) {
		opts = append(opts, dataproxy.WithOption(strings.Clone(zeroTerminated(o.key)), strings.Clone(zeroTerminated(o.value))))
	}
	name := strings.Clone(zeroTerminated(streamID))
	var stream *row.Stream
	if fault := elsewhere(func() (err error) { stream, err = dataproxy.AskStream(context.Background(), name, opts...); return err }); fault != nil {
		return failNew(err, fault)
	}
	s := &stream.Settings
	settings._type, settings.encoding = C.int32_t(s.Type), C.int32_t(s.Encoding)
	settings.separator, settings.kv_separator = C.uint32_t(s.Separator), C.uint32_t(s.KVSeparator)
	settings.line_separator, settings.escape = C.uint32_t(s.LineSeparator), C.uint32_t(s.Escape)
	columns, fault := columnBlock(s.Columns)
	if fault != nil {
		return fail(err, C.INLONG_ERR_OPTION, fault.Error())
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
