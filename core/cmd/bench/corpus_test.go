package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/cmd/internal/loglines"
)

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
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, loglines.Make(100, corpusMessages)) {
		t.Errorf("the file was not written anew: %d bytes, %v", len(got), err)
	}
}
