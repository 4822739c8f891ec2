// Package loglines makes the messages that benchmarks send: like lines of a log, since zeros or random bytes compress as no
// real message does.
package loglines

import (
	"fmt"
	"math/rand/v2"
)

const seed = 20260314

// Shortest is the size from which on no two messages are the same: the fixed part of a line fits.
const Shortest = 64

var (
	levels     = []string{"INFO ", "INFO ", "INFO ", "INFO ", "DEBUG", "WARN ", "ERROR"}
	components = []string{"OrderService", "PaymentGateway", "SessionStore", "ApiFilter", "CacheLoader", "ReportJob"}
	fields     = []string{"user", "latency_ms", "status", "bytes", "shard", "attempt", "trace", "queue", "tenant", "path"}
	words      = []string{"accepted", "timeout", "retry", "completed", "checkout", "inventory", "upstream", "refused", "eu-west", "de"}
)

// Make returns so many lines of size bytes, one after the other. The last byte of each is a newline, so that a reader by size
// and a reader by line find the same messages. They are the same everywhere.
func Make(size, lines int) []byte {
	random := rand.New(rand.NewPCG(seed, uint64(size)))
	all := make([]byte, 0, lines*size)
	var line []byte
	for i := range lines {
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
		all = append(append(all, line[:size-1]...), '\n')
	}
	return all
}

// Cursor goes round the lines.
type Cursor struct {
	lines    []byte
	size, at int
}

// NewCursor begins at the n-th of several places that lie apart.
func NewCursor(lines []byte, size, n int) *Cursor {
	return &Cursor{lines: lines, size: size, at: n * 97 * size % len(lines)}
}

// Next returns the next line, to be read only.
func (c *Cursor) Next() []byte {
	line := c.lines[c.at : c.at+c.size]
	if c.at += c.size; c.at == len(c.lines) {
		c.at = 0
	}
	return line
}
