package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

const followPoll = 100 * time.Millisecond

// rotationGrace is how long a file that was put aside must be quiet: its writer takes a moment to open the new one.
var rotationGrace = 2 * time.Second

var (
	errTruncated = errors.New("the file was truncated")
	errStopped   = errors.New("stopped")
)

// follower reads a file that grows. It gives io.EOF when another file has taken the name and this one is quiet, errTruncated
// when it became shorter than what was read, errStopped when ctx ends.
type follower struct {
	ctx     context.Context
	file    *os.File
	path    string // under which the newest file is found
	at      int64
	aside   bool      // another file has the name
	quietAt time.Time // since when a file put aside gave nothing
}

func (f *follower) Read(p []byte) (int, error) {
	for f.ctx.Err() == nil {
		n, err := f.file.Read(p)
		if n > 0 {
			f.at += int64(n)
			f.quietAt = time.Now()
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		own, err := f.file.Stat()
		if err != nil {
			return 0, err
		}
		if own.Size() < f.at {
			return 0, errTruncated
		}
		if f.aside && time.Since(f.quietAt) >= rotationGrace {
			return 0, io.EOF
		}
		if now, err := os.Stat(f.path); !f.aside && err == nil && !os.SameFile(own, now) {
			f.aside, f.quietAt = true, time.Now()
		}
		select {
		case <-time.After(followPoll):
		case <-f.ctx.Done():
		}
	}
	return 0, errStopped
}
