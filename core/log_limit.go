package dataproxy

import (
	"fmt"
	"sync"
	"time"
)

// logPause is the shortest time between two log lines of one kind: a cluster that is down for hours must not fill the disk.
const logPause = 10 * time.Second

// limitedLog passes on the first line of each kind and then one each logPause, with the number of those left out.
type limitedLog struct {
	to Logger

	mu   sync.Mutex
	kind map[string]*logKind
}

type logKind struct {
	last    time.Time
	skipped int
}

// Warnf logs a line; format names its kind. A logger that panics loses the line and does no more harm.
func (l *limitedLog) Warnf(format string, args ...any) {
	defer func() { _ = recover() }()
	if note, ok := l.admit(format); ok {
		l.to.Warn(fmt.Sprintf(format, args...) + note)
	}
}

// Errorf is Warnf at level ERROR.
func (l *limitedLog) Errorf(format string, args ...any) {
	defer func() { _ = recover() }()
	if note, ok := l.admit(format); ok {
		l.to.Error(fmt.Sprintf(format, args...) + note)
	}
}

func (l *limitedLog) admit(format string) (note string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kind[format]
	if k == nil {
		if l.kind == nil {
			l.kind = make(map[string]*logKind)
		}
		k = new(logKind)
		l.kind[format] = k
	}
	now := time.Now()
	if !k.last.IsZero() && now.Sub(k.last) < logPause {
		k.skipped++
		return "", false
	}
	if k.skipped > 0 {
		note = fmt.Sprintf(" (%d lines like this were left out)", k.skipped)
	}
	k.last, k.skipped = now, 0
	return note, true
}
