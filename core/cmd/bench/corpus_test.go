package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Figures of two machines, or of two languages, compare only if all send the same messages; and a corpus that repeats itself
// is compressed better than any log.
func TestCorpusIsTheSameAndRepeatsNoLine(t *testing.T) {
	for _, size := range []int{shortestLine, 100, 1024} {
		corpus := makeCorpus(size)
		if !bytes.Equal(corpus, makeCorpus(size)) {
			t.Errorf("%d B: two corpora differ", size)
		}
		if len(corpus) != corpusMessages*size {
			t.Fatalf("%d B: the corpus has %d bytes", size, len(corpus))
		}
		seen := make(map[string]bool)
		for at := 0; at < len(corpus); at += size {
			line := corpus[at : at+size]
			if bytes.IndexByte(line, '\n') != size-1 {
				t.Fatalf("%d B: message %d is no line: %q", size, at/size, line)
			}
			seen[string(line)] = true
		}
		if len(seen) != corpusMessages {
			t.Errorf("%d B: %d different lines, want %d", size, len(seen), corpusMessages)
		}
	}
}

// A corpus left by an older version of the program, or cut short by a full disk, must not be measured with.
func TestStaleCorpusIsWrittenAnew(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "bench")
	path, err := writeCorpus(folder, 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openCorpus(path, 100); err == nil {
		t.Error("a file that holds no whole message was opened")
	}
	if _, err := writeCorpus(folder, 100); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, makeCorpus(100)) {
		t.Errorf("the file was not written anew: %d bytes, %v", len(got), err)
	}
}

// A cursor that skips the last message or reads over the end sends another corpus than the other programs.
func TestCursorGoesRoundTheWholeCorpus(t *testing.T) {
	all := []byte("a1b2c3")
	c := (&cursor{corpus: all, size: 2}).fork(0)
	var got []byte
	for range 6 {
		got = append(got, c.next()...)
	}
	if want := string(all) + string(all); string(got) != want {
		t.Errorf("read %q, want %q", got, want)
	}
}
