package dataproxy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/fifo"
)

const (
	// mostLogLines is how many lines wait for a Logger that is too slow. The limit of lines of one kind is reached long before.
	mostLogLines = 256
	// longestLogLine bounds the memory of a line, which may contain what a callback panicked with.
	longestLogLine = 16 * kib

	linesDropped = "%d log lines were dropped: the Logger did not keep up"
)

// logQueue passes log lines to the user's Logger on a goroutine of its own, which exists while there are lines. A Logger that is
// slow, never returns, sends through the client, panics or calls runtime.Goexit delays lines and nothing else. While calling is
// set, one goroutine is going to check for lines again.
type logQueue struct {
	to Logger

	mu      sync.Mutex
	lines   fifo.Queue[logLine]
	dropped int // since the queue was full; no line is accepted until it is empty and this number was logged
	calling bool
	ended   bool // takes no more lines
	runs    running
}

type logLine struct {
	text    string
	isError bool
}

func (q *logQueue) put(line logLine) {
	if len(line.text) > longestLogLine {
		line.text = line.text[:longestLogLine] + "..."
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	if q.dropped > 0 || q.lines.Len() == mostLogLines {
		q.dropped++
		return
	}
	q.lines.Push(line)
	if !q.calling {
		q.calling = true
		q.runs.Add(1)
		go q.run()
	}
}

// run calls the Logger until no line is left. insideLogger looks for it on the stack.
func (q *logQueue) run() {
	through := false
	defer func() {
		_ = recover() // a panic of the Logger loses the line
		if !through { // a panic, or runtime.Goexit
			go q.run()
			return
		}
		q.runs.Done()
	}()
	for line, ok := q.next(); ok; line, ok = q.next() {
		if line.isError {
			q.to.Error(line.text)
		} else {
			q.to.Warn(line.text)
		}
	}
	through = true
}

func (q *logQueue) next() (line logLine, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if line, ok = q.lines.Pop(); ok {
		return line, true
	}
	if n := q.dropped; n > 0 {
		q.dropped = 0
		return logLine{text: fmt.Sprintf(linesDropped, n)}, true
	}
	q.calling = false
	return line, false
}

// end waits until the Logger has all lines, as long as running.wait does. Then it drops those that are left, and all that come: no
// Logger is called after its client has ended.
func (q *logQueue) end(ctx context.Context, d time.Duration) {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	if insideLogger() || q.runs.wait(ctx, d) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lines, q.dropped = fifo.Queue[logLine]{}, 0
}

// insideLogger reports whether the caller runs in a Logger. If it waited there for the Logger, it would wait for itself.
func insideLogger() bool { return inside(logQueueRun) }

var logQueueRun = entryOf((*logQueue).run)
