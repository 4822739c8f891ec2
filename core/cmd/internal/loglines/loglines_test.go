package loglines

import (
	"bytes"
	"testing"
)

// Figures of two machines, or of two languages, compare only if all send the same messages; and lines that repeat are
// compressed better than any log.
func TestLinesAreTheSameAndNoneRepeats(t *testing.T) {
	const lines = 4096
	for _, size := range []int{Shortest, 100, 1024} {
		all := Make(size, lines)
		if !bytes.Equal(all, Make(size, lines)) {
			t.Errorf("%d B: made twice, they differ", size)
		}
		if len(all) != lines*size {
			t.Fatalf("%d B: %d bytes", size, len(all))
		}
		seen := make(map[string]bool)
		for at := 0; at < len(all); at += size {
			line := all[at : at+size]
			if bytes.IndexByte(line, '\n') != size-1 {
				t.Fatalf("%d B: message %d is no line: %q", size, at/size, line)
			}
			seen[string(line)] = true
		}
		if len(seen) != lines {
			t.Errorf("%d B: %d different lines, want %d", size, len(seen), lines)
		}
	}
	if all := Make(1, 3); string(all) != "\n\n\n" {
		t.Errorf("of one byte: %q", all)
	}
}

// A cursor that skips the last message or reads over the end sends other messages than the other programs.
func TestCursorGoesRoundAll(t *testing.T) {
	all := []byte("a1b2c3")
	for n, want := range []string{"a1b2c3a1b2c3", "b2c3a1b2c3a1"} {
		c := NewCursor(all, 2, n) // 97 lines are one of three
		var got []byte
		for range 6 {
			got = append(got, c.Next()...)
		}
		if string(got) != want {
			t.Errorf("the %d-th read %q, want %q", n, got, want)
		}
	}
}
