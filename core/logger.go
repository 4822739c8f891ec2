package dataproxy

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
)

// Logger receives the client's log lines. The client never calls Fatal, Fatalf, Panic or Panicf; they are there because the
// existing SDK's interface has them. Its methods run on a goroutine that does nothing else, one line at a time: one that is slow delays
// log lines only, of which 256 wait and the others are counted; one that panics loses its line. They may call any method of the
// client. Close gives the Logger up to a second for what is left, while its own time lasts.
type Logger interface {
	Debug(args ...any)
	Info(args ...any)
	Warn(args ...any)
	Error(args ...any)
	Fatal(args ...any)
	Panic(args ...any)
	Debugf(format string, args ...any)
	Infof(format string, args ...any)
	Warnf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Panicf(format string, args ...any)
}

// NopLogger returns a Logger that drops every line.
func NopLogger() Logger { return slogLogger{slog.New(slog.DiscardHandler)} }

// defaultLogger writes to standard output, as the existing SDK does, but only from level WARN up.
func defaultLogger() Logger {
	return stdLogger{log.New(os.Stdout, "inlong-dataproxy ", log.LstdFlags|log.Lmicroseconds)}
}

type stdLogger struct{ l *log.Logger }

func (s stdLogger) Debug(...any)              {}
func (s stdLogger) Info(...any)               {}
func (s stdLogger) Warn(args ...any)          { s.l.Print("WARN ", fmt.Sprint(args...)) }
func (s stdLogger) Error(args ...any)         { s.l.Print("ERROR ", fmt.Sprint(args...)) }
func (s stdLogger) Fatal(args ...any)         { s.l.Fatal(args...) }
func (s stdLogger) Panic(args ...any)         { s.l.Panic(args...) }
func (s stdLogger) Debugf(string, ...any)     {}
func (s stdLogger) Infof(string, ...any)      {}
func (s stdLogger) Warnf(f string, a ...any)  { s.l.Print("WARN ", fmt.Sprintf(f, a...)) }
func (s stdLogger) Errorf(f string, a ...any) { s.l.Print("ERROR ", fmt.Sprintf(f, a...)) }
func (s stdLogger) Fatalf(f string, a ...any) { s.l.Fatalf(f, a...) }
func (s stdLogger) Panicf(f string, a ...any) { s.l.Panicf(f, a...) }

// WithSlog sends log lines to l; nil means the default of WithLogger.
func WithSlog(l *slog.Logger) Option {
	if l == nil {
		return WithLogger(nil)
	}
	return WithLogger(slogLogger{l})
}

type slogLogger struct{ l *slog.Logger }

func (s slogLogger) print(level slog.Level, args []any) {
	if s.l.Enabled(context.Background(), level) {
		s.l.Log(context.Background(), level, fmt.Sprint(args...))
	}
}

func (s slogLogger) printf(level slog.Level, format string, args []any) {
	if s.l.Enabled(context.Background(), level) {
		s.l.Log(context.Background(), level, fmt.Sprintf(format, args...))
	}
}

func (s slogLogger) Debug(args ...any)         { s.print(slog.LevelDebug, args) }
func (s slogLogger) Info(args ...any)          { s.print(slog.LevelInfo, args) }
func (s slogLogger) Warn(args ...any)          { s.print(slog.LevelWarn, args) }
func (s slogLogger) Error(args ...any)         { s.print(slog.LevelError, args) }
func (s slogLogger) Fatal(args ...any)         { s.print(slog.LevelError, args); os.Exit(1) }
func (s slogLogger) Panic(args ...any)         { s.print(slog.LevelError, args); panic(fmt.Sprint(args...)) }
func (s slogLogger) Debugf(f string, a ...any) { s.printf(slog.LevelDebug, f, a) }
func (s slogLogger) Infof(f string, a ...any)  { s.printf(slog.LevelInfo, f, a) }
func (s slogLogger) Warnf(f string, a ...any)  { s.printf(slog.LevelWarn, f, a) }
func (s slogLogger) Errorf(f string, a ...any) { s.printf(slog.LevelError, f, a) }
func (s slogLogger) Fatalf(f string, a ...any) { s.printf(slog.LevelError, f, a); os.Exit(1) }
func (s slogLogger) Panicf(f string, a ...any) {
	s.printf(slog.LevelError, f, a)
	panic(fmt.Sprintf(f, a...))
}
