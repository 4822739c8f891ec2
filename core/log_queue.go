package dataproxy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/fifo"
)

const (
	// mostLogLines is how many lines wait for a Logger that does not keep up. The limit of lines a kind is met long before.
	mostLogLines = 256
	// longestLogLine bounds what a line costs: it may hold what a callback panicked with.
	longestLogLine = 16 * kib

	linesDropped = "%d log lines were dropped: the Logger did not keep up"
)

// logQueue takes log lines to the user's Logger, on a goroutine of its own that exists while there are lines: a Logger that is slow,
// never returns, sends through the client, panics or calls runtime.Goexit holds up lines and nothing else. While calling is set
// there is one goroutine that will look at the lines again.
type logQueue struct {
	to Logger

	mu      sync.Mutex
	lines   fifo.Queue[logLine]
	dropped int // since the queue was full; none is taken until it is empty and the log has been told
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

// run calls the Logger until no line is left. It is what insideLogger looks for on the stack.
func (q *logQueue) run() {
	through := false
	defer func() {
		_ = recover() // the Logger's panic costs it the line
		if !through { // that, or it ended this goroutine
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

// end waits until the Logger has all lines, as long as running.wait does, and drops those that are left then, and all that come: no Logger is called
// behind the end of its client.
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

// insideLogger reports whether the caller runs in a Logger: waiting there for the Logger would wait for itself.
func insideLogger() bool { return inside(logQueueRun) }

var logQueueRun = entryOf((*logQueue).run)
