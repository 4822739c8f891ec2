package main

import (
	"context"
	"errors"
	"io"
	"os"
)

// piped is a record of an input that is read once, from where it stands: standard input, a pipe.
type piped struct {
	name string
	line int64
	size int64
}

func (p *piped) Name() string { return p.name }
func (p *piped) Line() int64  { return p.line }
func (p *piped) Size() int64  { return p.size }
func (p *piped) Sent()        {}
func (p *piped) Done()        {}

// isStream reports whether a path is something that is read once.
func isStream(path string) bool {
	if path == "-" {
		return true
	}
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// sendStream sends what an input gives. Its reads, and the opening of a pipe without a writer, may never return: anyone who calls it
// does not wait for it when ctx has ended.
func (s *shipment) sendStream(ctx context.Context, path string, stdin io.Reader) error {
	name, r := "standard input", stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		name, r = path, file
	}
	split, err := s.format.open(begin{})
	if err != nil {
		return named(name, err)
	}
	var line, parts, began int64
	var buf, left []byte
	slab := []piped(nil)
	for last := false; !last && ctx.Err() == nil; {
		if want := max(readSize, 2*len(left)); cap(buf)-len(left) < readSize {
			buf = make([]byte, len(left), len(left)+want)
		}
		buf = buf[:copy(buf[:cap(buf)], left)]
		n, err := r.Read(buf[len(buf):cap(buf)])
		if err != nil && !errors.Is(err, io.EOF) {
			return named(name, err)
		}
		buf, last = buf[:len(buf)+n], err != nil
		left = buf
		split.of(left, last)
		for ctx.Err() == nil {
			rec, found, err := split.next()
			if err != nil {
				return named(name, err)
			}
			if !found {
				break
			}
			left = left[rec.used:]
			if rec.part && parts == 0 {
				began = line + 1
			}
			line += rec.lines
			if rec.part {
				parts += int64(rec.used)
				continue
			}
			if s.passed(&rec, name) {
				continue
			}
			if len(slab) == 0 {
				slab = make([]piped, 256)
			}
			slab[0] = piped{name, line, parts + int64(rec.used)}
			if parts > 0 {
				slab[0].line, parts = began, 0
			}
			if !s.submit(ctx, &rec, &slab[0]) {
				return nil
			}
			slab = slab[1:]
		}
	}
	return nil
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: "reading", Path: name, Err: err}
}
