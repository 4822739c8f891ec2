package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// lengthRecords reads records of 4 bytes of length, big endian, and as many bytes.
type lengthRecords struct {
	input io.Reader
	at    position
	buf   []byte
}

func (l *lengthRecords) next() (record, error) {
	var head [4]byte
	if _, err := io.ReadFull(l.input, head[:]); err != nil {
		return record{}, l.ended(err)
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n > maxLine {
		return record{}, fmt.Errorf("record %d at byte %d: its length %d is over %d MiB: is the file in the format length?",
			l.at.Line+1, l.at.Offset, n, maxLine>>20)
	}
	if int64(cap(l.buf)) < n {
		l.buf = make([]byte, n)
	}
	l.buf = l.buf[:n]
	if _, err := io.ReadFull(l.input, l.buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return record{}, l.ended(err)
	}
	r := record{payload: l.buf, start: l.at.Offset + 4, end: l.at.Offset + 4 + n, number: l.at.Line + 1}
	l.at.Offset, l.at.Line = r.end, r.number
	return r, nil
}

func (l *lengthRecords) ended(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("record %d at byte %d: the file ends in the middle of it", l.at.Line+1, l.at.Offset)
	}
	return err
}
