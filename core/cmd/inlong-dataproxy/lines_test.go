package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// A line that loses or gains a byte at its end, or at the edge of the read buffer, arrives changed and nobody notices.
func TestLinesComeWithoutTheirNewlineAndOtherwiseUntouched(t *testing.T) {
	long := strings.Repeat("x", 1<<20+5) // longer than the read buffer
	edge := strings.Repeat("y", 1<<20-1) // fills the read buffer together with its "\n"
	for name, c := range map[string]struct {
		input string
		lines []string
	}{
		"none":                   {"", nil},
		"last without a newline": {"a\nb", []string{"a", "b"}},
		"last with a newline":    {"a\nb\n", []string{"a", "b"}},
		"empty lines":            {"\n\na\n\n", []string{"", "", "a", ""}},
		"carriage return stays":  {"a\r\n", []string{"a\r"}},
		"NUL and high bytes":     {"\x00\xff\n\x00", []string{"\x00\xff", "\x00"}},
		"longer than the buffer": {long + "\n" + long, []string{long, long}},
		"as long as the buffer":  {edge + "\n" + "a", []string{edge, "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			reader := newLineReader(strings.NewReader(c.input), 4<<20)
			total := int64(0)
			for i, want := range c.lines {
				line, cut, err := reader.next()
				if err != nil || cut || string(line) != want {
					t.Fatalf("line %d: %d bytes, cut %v, error %v; want %d bytes", i+1, len(line), cut, err, len(want))
				}
				if reader.number != int64(i+1) {
					t.Errorf("line %d has number %d", i+1, reader.number)
				}
				total += reader.size
			}
			if _, _, err := reader.next(); !errors.Is(err, io.EOF) {
				t.Errorf("after the last line: %v, want io.EOF", err)
			}
			if total != int64(len(c.input)) {
				t.Errorf("the sizes add up to %d of %d bytes", total, len(c.input))
			}
		})
	}
}

// A file without newlines must not be read into memory whole, and its neighbours must not suffer.
func TestLongLineIsCutAndTheNextOneIsWhole(t *testing.T) {
	for _, length := range []int{11, 1 << 20, 3<<20 + 7} {
		reader := newLineReader(strings.NewReader("before\n"+strings.Repeat("x", length)+"\nafter\n"), 10)
		if line, cut, err := reader.next(); string(line) != "before" || cut || err != nil {
			t.Fatalf("before: %q %v %v", line, cut, err)
		}
		if line, cut, err := reader.next(); len(line) != 10 || !cut || err != nil {
			t.Fatalf("a line of %d bytes: got %d, cut %v, error %v", length, len(line), cut, err)
		}
		if cap(reader.long) > 1<<10 {
			t.Errorf("%d bytes are kept of a line that is cut to 10", cap(reader.long))
		}
		if line, cut, err := reader.next(); string(line) != "after" || cut || err != nil {
			t.Fatalf("after: %q %v %v", line, cut, err)
		}
	}
}

// A disk error in the middle of a file must not look like its end.
func TestReadErrorIsReported(t *testing.T) {
	broken := errors.New("broken disk")
	reader := newLineReader(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), 10)
	if line, _, err := reader.next(); string(line) != "a" || err != nil {
		t.Fatalf("%q %v", line, err)
	}
	if _, _, err := reader.next(); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}
