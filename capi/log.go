package main

/*
#include "entry.h"
*/
import "C"

import (
	"context"
	"log/slog"
	"strings"
	"unsafe"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// hostLog hands log lines to the front.
type hostLog struct{ c *client }

func (c *client) logger() dataproxy.Option {
	if c.logLevel == C.INLONG_LOG_OFF {
		return dataproxy.WithLogger(dataproxy.NopLogger())
	}
	return dataproxy.WithSlog(slog.New(hostLog{c}))
}

func (h hostLog) Enabled(_ context.Context, level slog.Level) bool {
	return levelOf(level) <= h.c.logLevel
}

func (h hostLog) Handle(_ context.Context, record slog.Record) error {
	text := append([]byte(strings.ToValidUTF8(record.Message, "?")), 0)
	C.inlong_host_log(C.uintptr_t(h.c.handle), levelOf(record.Level), (*C.char)(unsafe.Pointer(&text[0])))
	return nil
}

// The client's lines have neither.
func (h hostLog) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h hostLog) WithGroup(string) slog.Handler      { return h }

func levelOf(level slog.Level) C.int {
	switch {
	case level >= slog.LevelError:
		return C.INLONG_LOG_ERROR
	case level >= slog.LevelWarn:
		return C.INLONG_LOG_WARN
	case level >= slog.LevelInfo:
		return C.INLONG_LOG_INFO
	}
	return C.INLONG_LOG_DEBUG
}
