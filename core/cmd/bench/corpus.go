package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/cmd/internal/loglines"
)

const corpusMessages = 4096

// writeCorpus puts the corpus of a size into the folder and returns the file's path. A file that holds it already is kept.
func writeCorpus(folder string, size int) (string, error) {
	path := filepath.Join(folder, fmt.Sprintf("corpus-%d.log", size))
	corpus := loglines.Make(size, corpusMessages)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, corpus) {
		return path, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, corpus, 0o644)
}

// openCorpus returns the lines of a corpus.
func openCorpus(path string, size int) ([]byte, error) {
	corpus, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if size <= 0 || len(corpus) == 0 || len(corpus)%size != 0 {
		return nil, fmt.Errorf("%s: its %d bytes are not a number of messages of %d bytes", path, len(corpus), size)
	}
	return corpus, nil
}
