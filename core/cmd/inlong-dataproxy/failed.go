package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// failedRecord is a line of the file of --failed, and of the format failed, which sends it again.
type failedRecord struct {
	Reason  string `json:"reason"`
	Code    int    `json:"code"`
	File    string `json:"file"`
	Line    int64  `json:"line"`
	Stream  string `json:"stream"`
	Text    string `json:"text,omitempty"`
	Base64  []byte `json:"base64,omitempty"`   // instead of a text that is not UTF-8
	LeftOut int64  `json:"left_out,omitempty"` // bytes of a record that is too long to be held, which is where it was
}

// failedFile keeps what can never be sent.
type failedFile struct {
	path string

	mu      sync.Mutex // of what waits to be written
	lines   []byte
	results []func(error)

	writing sync.Mutex // of the rest
	file    *os.File
	torn    bool // it ends in a part of a line: a full disk or a kill took the rest
}

const (
	// unwrittenFor is how long a record waits for others, and mostUnwritten how many bytes wait.
	unwrittenFor  = 50 * time.Millisecond
	mostUnwritten = 1 << 20
)

func openFailed(path string) (*failedFile, error) {
	f := &failedFile{path: path}
	return f, f.open()
}

func (f *failedFile) open() error {
	// The opening of a pipe that nobody reads would never return, nor be interrupted.
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ENXIO) {
		return fmt.Errorf("%s is a pipe that nobody reads", f.path)
	}
	if err != nil {
		return err
	}
	if f.file != nil {
		_ = f.file.Close()
	}
	f.file, f.torn = file, endsTorn(f.path)
	return nil
}

// isGone reports whether the path does not lead to the open file any more: somebody may have removed it, having sent its lines again.
func (f *failedFile) isGone() bool {
	own, err := f.file.Stat()
	if err != nil || !own.Mode().IsRegular() {
		return false
	}
	now, err := os.Stat(f.path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(own, now)
}

// endsTorn reports whether a file ends in the middle of a line.
func endsTorn(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	var end [1]byte
	_, err = file.ReadAt(end[:], info.Size()-1)
	return err == nil && end[0] != '\n'
}

// keep has the record written. result is called when it is on the disk, for the state passes it then, or cannot be. One sync is for all that
// wait: a sync takes as long as the sending of a thousand lines.
func (f *failedFile) keep(r *failedRecord, payload []byte, result func(error)) {
	if utf8.Valid(payload) {
		r.Text = string(payload)
	} else {
		r.Base64 = payload
	}
	line, err := json.Marshal(r)
	if err != nil {
		result(err)
		return
	}
	f.mu.Lock()
	if len(f.results) == 0 {
		time.AfterFunc(unwrittenFor, f.flush)
	}
	f.lines, f.results = append(append(f.lines, line...), '\n'), append(f.results, result)
	full := len(f.lines) >= mostUnwritten
	f.mu.Unlock()
	if full {
		f.flush()
	}
}

// flush writes what waits. It returns when all that were kept before have their result.
func (f *failedFile) flush() {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.mu.Lock()
	lines, results := f.lines, f.results
	f.lines, f.results = nil, nil
	f.mu.Unlock()
	if len(results) == 0 {
		return
	}
	err := f.add(lines)
	for _, result := range results {
		result(err)
	}
}

// add writes lines to the file that the path leads to.
func (f *failedFile) add(lines []byte) error {
	for {
		if f.isGone() {
			if err := f.open(); err != nil {
				return err
			}
		}
		if err := f.write(lines); err != nil {
			return err
		}
		if !f.isGone() { // else they are in a file that nobody sees
			return nil
		}
	}
}

// syncFile is a variable for tests.
var syncFile = (*os.File).Sync

// write does not return before the lines are on the disk. Those of which that is not known are taken back: they are written again.
func (f *failedFile) write(lines []byte) error {
	if f.torn { // else the first one would be lost with it
		lines = append([]byte{'\n'}, lines...)
	}
	before, err := f.file.Stat()
	if err != nil {
		return err
	}
	n, err := f.file.Write(lines)
	if err == nil && before.Mode().IsRegular() { // what cannot be synced, such as a pipe, need not be
		err = syncFile(f.file)
	}
	switch {
	case err == nil:
		f.torn = false
	case f.file.Truncate(before.Size()) != nil:
		f.torn = n > 0 && n < len(lines) || n == 0 && f.torn
	}
	return err
}

func (f *failedFile) Close() error {
	f.flush()
	f.writing.Lock()
	defer f.writing.Unlock()
	return f.file.Close()
}

// longestFailed is how long a line can be that holds a record of that length: JSON writes one byte as six at most, and has room for the
// names and the reason.
func longestFailed(record int) int { return 6*record + 64<<10 }

// failedSplitter reads such a file again.
type failedSplitter struct{ lineSplitter }

func (s *failedSplitter) next() (record, bool, error) {
	r, found, err := s.lineSplitter.next()
	if !found || err != nil || r.fault != nil || len(r.payload) == 0 {
		return r, found, err
	}
	var kept failedRecord
	err = json.Unmarshal(r.payload, &kept)
	switch {
	case err != nil || kept.Reason == "":
		r.fault = errors.New("the line is none that --failed wrote")
	case kept.LeftOut > 0:
		r.fault = errors.New("the record was too long to be kept: " + kept.Reason)
	default:
		r.stream, r.payload = kept.Stream, []byte(kept.Text)
		if kept.Base64 != nil {
			r.payload = kept.Base64
		}
	}
	return r, true, nil
}

// topicUnknown is the server's code for a group or stream that it does not know. Another node may know it, which the client has tried.
const topicUnknown = 115

// isHopeless reports whether a message fails with that error however often it is sent.
func isHopeless(e *dataproxy.Error) bool {
	switch e.Code {
	case dataproxy.CodeLogInvalid, dataproxy.CodeLogTooLong:
		return true
	case dataproxy.CodeServerError:
		return e.ServerCode == topicUnknown || !e.Retriable()
	}
	return false
}
