package dataproxy

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func limited() (*limitedLog, *strings.Builder) {
	text := new(strings.Builder)
	return &limitedLog{to: slogLogger{slog.New(slog.NewTextHandler(text, nil))}}, text
}

// later lets the pause of all kinds pass.
func (l *limitedLog) later() {
	for _, k := range l.kinds {
		k.last = k.last.Add(-logPause)
	}
}

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
	l.close()
	var lines []string
	for line := range strings.Lines(text.String()) {
		_, msg, _ := strings.Cut(line, "msg=")
		lines = append(lines, strings.Trim(msg, "\"\n"))
	}
	require.Equal(t, []string{"3 messages failed with code 1", "5 messages failed with code 2", "29 messages failed with code 1",
		"2 messages failed with code 1"}, lines)
}
