package dataproxy

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lines is what a Logger has got, once it has got all.
type lines struct {
	text strings.Builder
	of   *limitedLog
}

func (l *lines) String() string {
	<-l.of.out.runs.none()
	return l.text.String()
}

func limited() (*limitedLog, *lines) {
	text := &lines{of: new(limitedLog)}
	text.of.out.to = slogLogger{slog.New(slog.NewTextHandler(&text.text, nil))}
	return text.of, text
}

// later lets the pause of all kinds pass.
func (l *limitedLog) later() {
	for _, k := range l.kinds {
		k.last = k.last.Add(-logPause)
	}
}

// Lines for a Logger that does not keep up must not fill the memory, and it must be told how many it missed.
func TestLinesThatASlowLoggerCannotTakeAreCounted(t *testing.T) {
	const sent = 10 * mostLogLines
	entered, gate := make(chan struct{}), make(chan struct{})
	l := &limitedLog{}
	var told []string
	l.out.to = loggerOf(func(text string) {
		if len(told) == 0 {
			close(entered)
			<-gate
		}
		told = append(told, text)
	})
	l.out.put(logLine{text: strings.Repeat("x", 10*longestLogLine)})
	<-entered
	for i := range sent {
		l.out.put(logLine{text: fmt.Sprint("line ", i)})
	}
	require.Equal(t, mostLogLines, l.out.lines.Len())
	close(gate)
	<-l.out.runs.none()
	require.Len(t, told, 1+mostLogLines+1)
	require.Len(t, told[0], longestLogLine+len("..."))
	require.Equal(t, fmt.Sprintf("line %d", mostLogLines-1), told[mostLogLines])
	require.Equal(t, fmt.Sprintf("%d log lines were dropped: the Logger did not keep up", sent-mostLogLines), told[mostLogLines+1])
	l.out.put(logLine{text: "again"})
	<-l.out.runs.none()
	require.Equal(t, "again", told[len(told)-1])
}

// A Logger that panics, or ends its goroutine, costs its own line and none of the others.
func TestEachLineIsTakenByItself(t *testing.T) {
	l := &limitedLog{}
	gate := make(chan struct{})
	var told []string
	l.out.to = loggerOf(func(text string) {
		<-gate
		told = append(told, text)
		switch text {
		case "panics":
			panic(text)
		case "ends":
			runtime.Goexit()
		}
	})
	all := []string{"one", "panics", "two", "ends", "three"}
	for _, text := range all {
		l.out.put(logLine{text: text})
	}
	close(gate)
	<-l.out.runs.none()
	require.Equal(t, all, told)
}

// After the end of its client no Logger is called: what it would write to may be gone.
func TestNoLineReachesALoggerBehindTheEnd(t *testing.T) {
	l := &limitedLog{}
	entered, gate := make(chan struct{}), make(chan struct{})
	lines := 0
	l.out.to = loggerOf(func(string) {
		if lines++; lines == 1 {
			close(entered)
			<-gate
		}
	})
	l.Warnf("one")
	l.Warnf("two")
	l.Countf(1, "%d")
	<-entered
	l.close(t.Context(), time.Millisecond)
	l.Warnf("three") // from a callback that is stuck, or a sweep that continues
	close(gate)
	<-l.out.runs.none()
	l.Warnf("four")
	<-l.out.runs.none()
	require.Equal(t, 1, lines)
}

// loggerOf is a Logger that does f with each line.
func loggerOf(f func(text string)) Logger { return logsTo{NopLogger(), f} }

type logsTo struct {
	Logger
	f func(text string)
}

func (l logsTo) Warn(args ...any)  { l.f(fmt.Sprint(args...)) }
func (l logsTo) Error(args ...any) { l.f(fmt.Sprint(args...)) }

// A node that flaps all night must not fill the disk, and what was left out must be said.
func TestRepeatedLogLinesAreLimitedByKind(t *testing.T) {
	l, text := limited()
	for i := range 100 {
		l.Warnf("time %d", i)
	}
	l.Errorf("something else")
	require.Equal(t, 2, strings.Count(text.String(), "\n"))
	l.later()
	l.Warnf("time %d", 100)
	require.Contains(t, text.String(), "time 100 (99 lines like this were left out)")
	l.later()
	l.Warnf("time %d", 101)
	require.Contains(t, text.String(), "time 101\"\n")
}

// When three nodes die one after the other, the first must not be the only one whose name is told. Nodes may come and go for
// ever: neither memory nor the log may grow with them.
func TestLogLinesAboutOneSubjectDoNotHideThoseAboutAnother(t *testing.T) {
	l, text := limited()
	sent := 0
	warn := func(node int) {
		sent++
		l.Warnf("node %s is gone: %d", subject(fmt.Sprint(node)), sent)
	}
	told := func() int { return strings.Count(text.String(), "\n") }
	for range 10 {
		for node := range 3 {
			warn(node)
		}
	}
	require.Equal(t, 3, told())
	l.later()
	warn(2)
	require.Contains(t, text.String(), "node 2 is gone: 31 (9 lines like this were left out)")

	for range 2 {
		before := told()
		for node := range 10 * mostLogKinds {
			warn(node)
		}
		require.LessOrEqual(t, told()-before, mostLogKinds+1)
		require.LessOrEqual(t, len(l.kinds), mostLogKinds+1, "the format itself is one more")
		l.later()
		warn(-1)
		require.Contains(t, text.String(), fmt.Sprintf("node -1 is gone: %d", sent), "old subjects make room")
		l.later()
	}
	left := 0
	for line := range strings.Lines(text.String()) {
		if _, note, ok := strings.Cut(line, "("); ok {
			var n int
			_, err := fmt.Sscanf(note, "%d lines", &n)
			require.NoError(t, err)
			left += n
		}
	}
	for _, k := range l.kinds {
		left += k.left
	}
	require.Equal(t, sent, told()+left, "every line is told or counted")
}

// What is counted must be told as a whole: in the next line, or when the client is closed.
func TestCountsReachTheLog(t *testing.T) {
	l, text := limited()
	for range 10 {
		l.Countf(3, "%d messages failed with code %s", subject("1"))
	}
	l.Countf(5, "%d messages failed with code %s", subject("2"))
	l.later()
	l.Countf(2, "%d messages failed with code %s", subject("1"))
	l.Countf(1, "%d messages failed with code %s", subject("1"))
	l.Countf(1, "%d messages failed with code %s", subject("1"))
	l.close(t.Context(), time.Minute)
	var lines []string
	for line := range strings.Lines(text.String()) {
		_, msg, _ := strings.Cut(line, "msg=")
		lines = append(lines, strings.Trim(msg, "\"\n"))
	}
	require.Equal(t, []string{"3 messages failed with code 1", "5 messages failed with code 2", "29 messages failed with code 1",
		"2 messages failed with code 1"}, lines)
}
