package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"
)

// input is one file, with those that rotation put aside from it, or standard input.
type input struct {
	name    string
	stdin   io.Reader // nil for files
	sources []*source // still to be read, in this order
	size    int64     // bytes, -1 when it cannot be known beforehand
	window  window
	log     *slog.Logger
}

// openInputs opens all files before the first record is sent, so that a wrong name sends nothing.
func openInputs(names []string, stdin io.Reader, follow bool, saved *state, log *slog.Logger) (inputs []*input, err error) {
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		in := &input{name: "standard input", stdin: stdin, size: -1}
		if name != "-" {
			if in, err = openFile(name, follow, saved, log); err != nil {
				closeInputs(inputs)
				return nil, err
			}
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

func openFile(name string, follow bool, saved *state, log *slog.Logger) (*input, error) {
	in := &input{name: name, log: log}
	if err := checkFile(name, follow || saved != nil); err != nil {
		return nil, err
	}
	var at position
	if saved != nil {
		at = saved.of(name)
		in.window.done = at
	}
	sources, found, err := locate(name, at)
	switch {
	case err != nil:
		return nil, err
	case len(sources) == 0 && !follow:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case len(sources) == 0:
		log.Warn("waiting for the file to appear", "file", name)
	case !found:
		log.Warn("the file that the state speaks of is gone, and what was not read of it; going on with the next one",
			"file", name, "next", sources[0].path)
	}
	in.sources = sources
	for _, s := range sources {
		info, err := s.file.Stat()
		if err != nil || !info.Mode().IsRegular() || follow {
			in.size = -1
			break
		}
		in.size += info.Size() - s.from.Offset
	}
	return in, nil
}

// checkFile finds out before anything is sent what would go wrong in the middle. A file that is not there yet may come.
func checkFile(name string, again bool) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil
	case info.IsDir():
		return fmt.Errorf("%s is a folder", name)
	case again && !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file: --follow and --state need one", name)
	}
	return nil
}

// nextSource returns the file to be read next, nil when there is none. Following, it waits for one.
func (in *input) nextSource(ctx context.Context, follow bool) *source {
	for len(in.sources) == 0 {
		if !follow || ctx.Err() != nil {
			return nil
		}
		if files, found, err := locate(in.name, position{}); err == nil && found {
			in.sources = files
			break
		}
		select {
		case <-time.After(followPoll):
		case <-ctx.Done():
		}
	}
	s := in.sources[0]
	in.sources = in.sources[1:]
	return s
}

// ended finds what is to be read after a file: the ones that took its name, or what a truncation left. It looks anew also when
// it knows of some: one of them may have been copied and truncated since, and only the copy has what was in it.
func (in *input) ended(s *source, last position, why error) error {
	if !errors.Is(why, errTruncated) {
		newer, err := newerThan(in.name, s.file)
		if err != nil {
			return err
		}
		in.sources = append(deleted(in.sources, newer), newer...)
		return nil
	}
	// It may have been copied before, with records that were not read yet.
	closeSources(in.sources)
	sources, found, err := locate(in.name, last)
	in.sources = sources
	if err == nil && !found {
		in.log.Warn("the file was truncated and is read from the beginning; what was not read before is gone", "file", in.name)
	}
	return err
}

func closeInputs(inputs []*input) {
	for _, in := range inputs {
		closeSources(in.sources)
	}
}

func closeSources(sources []*source) {
	for _, s := range sources {
		s.file.Close()
	}
}

// totalSize returns the bytes of all inputs, or -1 when one's are not known.
func totalSize(inputs []*input) (total int64) {
	for _, in := range inputs {
		if in.size < 0 {
			return -1
		}
		total += in.size
	}
	return total
}

// head returns the file's beginning, for a format that needs it.
func (s *source) head() io.Reader {
	info, err := s.file.Stat()
	if err != nil {
		return io.LimitReader(s.file, 0)
	}
	return io.NewSectionReader(s.file, 0, info.Size())
}
