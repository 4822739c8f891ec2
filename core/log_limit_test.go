package dataproxy

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A node that flaps all night must not fill the disk, and what was left out must be said.
func TestRepeatedLogLinesAreLimitedByKind(t *testing.T) {
	var text strings.Builder
	l := limitedLog{to: slogLogger{slog.New(slog.NewTextHandler(&text, nil))}}
	for i := range 100 {
		l.Warnf("node %d flaps", i)
	}
	l.Errorf("something else")
	require.Equal(t, 2, strings.Count(text.String(), "\n"))
	l.kind["node %d flaps"].last = time.Now().Add(-logPause)
	l.Warnf("node %d flaps", 100)
	require.Contains(t, text.String(), "node 100 flaps (99 lines like this were left out)")
}
