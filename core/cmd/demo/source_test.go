package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func lines(text ...string) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for _, line := range text {
			if !yield([]byte(line)) {
				return
			}
		}
	}
}

// A comparison that looks at sets, or at sums, calls a run good in which one line came twice and another not at all.
func TestComparisonCountsEachLine(t *testing.T) {
	counted := newTally()
	counted.addFile([]byte("a\nb\n\nb\nc"), 2)
	if counted.total != 8 {
		t.Fatalf("%d lines, want 8", counted.total)
	}
	for name, c := range map[string]struct {
		received []string
		want     difference
	}{
		"all, in any order":  {[]string{"b", "c", "b", "a", "a", "b", "c", "b"}, difference{}},
		"one for another":    {[]string{"a", "a", "a", "b", "b", "b", "c", "c"}, difference{missing: 1, extra: 1}},
		"nothing":            {nil, difference{missing: 8}},
		"one changed":        {[]string{"b", "c", "b", "a", "a", "b", "c", "b\r"}, difference{missing: 1, foreign: 1}},
		"a copy and nothing": {[]string{"a", "a", "b", "b", "b", "b", "c", "c", "c", "c"}, difference{extra: 2}},
	} {
		if got := counted.compare(lines(c.received...)); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if got := counted.compare(lines()); got.missing != 8 {
		t.Errorf("a comparison changed the tally: %+v", got)
	}
}

// What is shipped and what is compared with must be the same lines, also when the file ends without a newline.
func TestRepeatedFileHasTheLinesOfTheTally(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.log")
	if err := os.WriteFile(path, []byte("one\n\ntwo"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	src, err := prepareSource(path, 3, out)
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile(src.path)
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(shipped))
	if want := []string{"one", "two", "one", "two", "one", "two"}; !slices.Equal(fields, want) || src.lines != len(want) {
		t.Errorf("shipped %q, counted %d", fields, src.lines)
	}
	if got := src.tally.compare(lines(fields...)); got != (difference{}) {
		t.Errorf("difference %+v", got)
	}
	if !strings.Contains(src.description, "3 times over") {
		t.Errorf("the repetition is not told: %s", src.description)
	}
}

// A wrong file name or an empty file must be told as such, not end in a table of zeros.
func TestUnusableFilesAreRefused(t *testing.T) {
	folder := t.TempDir()
	empty, blank := filepath.Join(folder, "empty"), filepath.Join(folder, "blank")
	for path, text := range map[string]string{empty: "", blank: "\n\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{empty, blank, filepath.Join(folder, "none")} {
		if _, err := prepareSource(path, 0, t.TempDir()); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v", path, err)
		}
	}
	if _, err := prepareSource(blank+"/..", 0, t.TempDir()); err == nil {
		t.Error("a folder was taken for a file")
	}
}
