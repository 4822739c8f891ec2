package main

import (
	"bufio"
	"errors"
	"io"
)

// lineReader hands out the lines of one input, without their "\n". A last line without one counts.
type lineReader struct {
	input  *bufio.Reader
	max    int // a longer line is handed out cut to max bytes
	long   []byte
	number int64 // of the line handed out last, from 1
	size   int64 // bytes of that line in the input, "\n" included
}

func newLineReader(r io.Reader, maxLine int) *lineReader {
	return &lineReader{input: bufio.NewReaderSize(r, 1<<20), max: maxLine}
}

// next returns the next line, valid until the next call, and whether it was longer than max; io.EOF after the last line.
func (l *lineReader) next() (line []byte, cut bool, err error) {
	l.long, l.size = l.long[:0], 0
	for {
		part, err := l.input.ReadSlice('\n')
		l.size += int64(len(part))
		if errors.Is(err, bufio.ErrBufferFull) {
			// Kept up to one byte over max: the rest of an endless line must not fill the memory.
			l.long = append(l.long, part[:min(len(part), l.max+1-len(l.long))]...)
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || l.size == 0) {
			return nil, false, err
		}
		l.number++
		if n := len(part); n > 0 && part[n-1] == '\n' {
			part = part[:n-1]
		}
		if len(l.long) > 0 {
			l.long = append(l.long, part[:min(len(part), l.max+1-len(l.long))]...)
			part = l.long
		}
		if len(part) > l.max {
			return part[:l.max], true, nil
		}
		return part, false, nil
	}
}
