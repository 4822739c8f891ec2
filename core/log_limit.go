package dataproxy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// logPause is the shortest time between two log lines of one kind: a cluster that is down for hours must not fill the disk.
	logPause = 10 * time.Second
	// mostLogKinds bounds the memory and the lines that subjects cost: nodes may come and go without end.
	mostLogKinds = 100
)

// limitedLog passes on the first line of each kind, and then one in each logPause, with the number of those left out. A kind is a
// format together with the subjects among its arguments.
type limitedLog struct {
	out logQueue

	mu    sync.Mutex
	kinds map[string]*logKind
}

type logKind struct {
	last time.Time
	left int       // left out since then: lines, or what Countf counts
	rest func(int) // logs that count
}

// Warnf logs a line.
func (l *limitedLog) Warnf(format string, args ...any) { l.line(false, format, args) }

// Errorf is Warnf at level ERROR.
func (l *limitedLog) Errorf(format string, args ...any) { l.line(true, format, args) }

func (l *limitedLog) line(isError bool, format string, args []any) {
	if lines, ok := l.admit(1, format, args, nil); ok {
		l.out.put(logLine{fmt.Sprintf(format, args...) + leftOut(lines-1), isError})
	}
}

// Countf is Warnf for n of something; the format begins with a %d for all of them since the last line.
func (l *limitedLog) Countf(n int, format string, args ...any) {
	log := func(n int) { l.out.put(logLine{text: fmt.Sprintf(format, append([]any{n}, args...)...)}) }
	if n, ok := l.admit(n, format, args, log); ok {
		log(n)
	}
}

func leftOut(lines int) string {
	if lines == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d lines like this were left out)", lines)
}

// admit returns how many came since the last line, and whether it is time for another line. If not, log is called for the rest
// later.
func (l *limitedLog) admit(n int, format string, args []any, log func(int)) (all int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	k := l.kind(format, args, now)
	k.left += n
	if !k.last.IsZero() && now.Sub(k.last) < logPause {
		k.rest = log
		return 0, false
	}
	all = k.left
	*k = logKind{last: now}
	return all, true
}

// kind returns the line's kind, or that of its format alone if there are too many. The caller holds mu.
func (l *limitedLog) kind(format string, args []any, now time.Time) *logKind {
	key := format
	for _, a := range args {
		if s, ok := a.(subject); ok {
			key += subjectMark + string(s)
		}
	}
	if k := l.kinds[key]; k != nil {
		return k
	}
	if len(l.kinds) >= mostLogKinds {
		l.forgetOld(now)
		if len(l.kinds) >= mostLogKinds {
			key = format
		}
	}
	return l.add(key)
}

// subjectMark precedes each subject in a kind's key.
const subjectMark = "\x00"

func (l *limitedLog) add(key string) *logKind {
	if l.kinds == nil {
		l.kinds = make(map[string]*logKind)
	}
	k := l.kinds[key]
	if k == nil {
		k = new(logKind)
		l.kinds[key] = k
	}
	return k
}

// forgetOld forgets subjects without a line for a while. The next line of their format counts what they left out.
func (l *limitedLog) forgetOld(now time.Time) {
	for key, k := range l.kinds {
		format, _, ofSubject := strings.Cut(key, subjectMark)
		if !ofSubject || k.rest != nil || now.Sub(k.last) < logPause {
			continue
		}
		delete(l.kinds, key)
		if k.left > 0 {
			l.add(format).left += k.left
		}
	}
}

// close logs what Countf has counted since its last lines, so that nothing is left out for good. It waits for the Logger as
// running.wait does.
func (l *limitedLog) close(ctx context.Context, d time.Duration) {
	l.mu.Lock()
	kinds := slices.Collect(maps.Values(l.kinds))
	l.kinds = nil
	l.mu.Unlock()
	for _, k := range kinds {
		if k.rest != nil {
			k.rest(k.left)
		}
	}
	l.out.end(ctx, d)
}
