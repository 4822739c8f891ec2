package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

const (
	corpusMessages = 4096
	corpusSeed     = 20260314
	shortestLine   = 64 // the fixed part of a line, which makes it different from all others, must fit
)

var (
	levels     = []string{"INFO ", "INFO ", "INFO ", "INFO ", "DEBUG", "WARN ", "ERROR"}
	components = []string{"OrderService", "PaymentGateway", "SessionStore", "ApiFilter", "CacheLoader", "ReportJob"}
	fields     = []string{"user", "latency_ms", "status", "bytes", "shard", "attempt", "trace", "queue", "tenant", "path"}
	words      = []string{"accepted", "timeout", "retry", "completed", "checkout", "inventory", "upstream", "refused", "eu-west", "de"}
)

// makeCorpus returns corpusMessages different log-like lines of size bytes, one behind the other. The last byte of each is a
// newline, so that a reader by size and a reader by line find the same messages. The seed makes it the same everywhere.
func makeCorpus(size int) []byte {
	random := rand.New(rand.NewPCG(corpusSeed, uint64(size)))
	corpus := make([]byte, 0, corpusMessages*size)
	var line []byte
	for i := range corpusMessages {
		ms := i*37 + random.IntN(37)
		line = fmt.Appendf(line[:0], "2026-03-14 09:%02d:%02d.%03d %s [w-%02d] %s #%05d", ms/60000, ms/1000%60, ms%1000,
			levels[random.IntN(len(levels))], random.IntN(32), components[random.IntN(len(components))], i)
		for len(line) < size {
			field := fields[random.IntN(len(fields))]
			if random.IntN(3) == 0 {
				line = fmt.Appendf(line, " %s=%s", field, words[random.IntN(len(words))])
			} else {
				line = fmt.Appendf(line, " %s=%d", field, random.IntN(100_000))
			}
		}
		corpus = append(append(corpus, line[:size-1]...), '\n')
	}
	return corpus
}

// writeCorpus puts the corpus of a size into the folder and returns the file's path. A file that holds it already is kept.
func writeCorpus(folder string, size int) (string, error) {
	path := filepath.Join(folder, fmt.Sprintf("corpus-%d.log", size))
	corpus := makeCorpus(size)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, corpus) {
		return path, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, corpus, 0o644)
}

// cursor goes round a corpus.
type cursor struct {
	corpus   []byte
	size, at int
}

func openCorpus(path string, size int) (*cursor, error) {
	corpus, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if size <= 0 || len(corpus) == 0 || len(corpus)%size != 0 {
		return nil, fmt.Errorf("%s: its %d bytes are not a number of messages of %d bytes", path, len(corpus), size)
	}
	return &cursor{corpus: corpus, size: size}, nil
}

// fork returns a cursor of its own over the same corpus, the n-th of several that start apart.
func (c *cursor) fork(n int) *cursor {
	return &cursor{corpus: c.corpus, size: c.size, at: n * 97 * c.size % len(c.corpus)}
}

func (c *cursor) next() []byte {
	message := c.corpus[c.at : c.at+c.size]
	if c.at += c.size; c.at == len(c.corpus) {
		c.at = 0
	}
	return message
}
