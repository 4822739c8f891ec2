//go:build unix

package tail

import (
	"log/slog"
	"testing"
)

// Without a state, and without following, nobody asks how far a file is: what was known of each line was held to the end of the run,
// 34 MB for a million lines.
func TestWhatHasItsResultIsNotHeld(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", many("a", 10000)...)
	o := &outcome{}
	s := Open(Config{Paths: []string{d.path("app.log")}, Log: slog.New(slog.NewTextHandler(o, nil))})
	defer s.Close()
	var c Chunk
	for f := s.Next(t.Context()); f != nil; f = s.Next(t.Context()) {
		end, err := o.take(&c, f, 0)
		s.Release(f, end, err)
		if n := len(f.progress.blocks); n > 0 {
			t.Fatalf("%d blocks are held after %d lines", n, len(o.lines))
		}
	}
	if len(o.lines) != 10000 {
		t.Errorf("%d lines", len(o.lines))
	}
}
