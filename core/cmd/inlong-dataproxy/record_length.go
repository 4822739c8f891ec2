package main

import (
	"encoding/binary"
	"fmt"
)

// longestRecord is more than any client can send: a length over it is none.
const longestRecord = 20 << 20

// lengthSplitter reads records of 4 bytes of length, big endian, and as many bytes.
type lengthSplitter struct {
	longest int
	offset  int64
	data    []byte
	last    bool
	left    int // bytes of a record that is passed over
}

func (l *lengthSplitter) of(data []byte, last bool) { l.data, l.last = data, last }

func (l *lengthSplitter) next() (record, bool, error) {
	if l.left > 0 {
		return l.pass()
	}
	n := 0
	if len(l.data) >= 4 {
		n = int(binary.BigEndian.Uint32(l.data))
	}
	switch {
	case n > longestRecord:
		return record{}, false, final(fmt.Errorf("byte %d: its length %d is over %d MiB: is the file in the format length?", l.offset, n, longestRecord>>20))
	case len(l.data) >= 4 && n > l.longest:
		l.left = n
		return l.take(4, record{used: 4, part: true}), true, nil
	case len(l.data) >= 4+n:
		r := record{payload: l.data[4 : 4+n], used: 4 + n, lines: 1}
		if n == 0 {
			r.skipped = 1
		}
		return l.take(4+n, r), true, nil
	case l.last && len(l.data) > 0:
		return record{}, false, final(fmt.Errorf("byte %d: the file ends in the middle of a record", l.offset))
	}
	return record{}, false, nil
}

func (l *lengthSplitter) pass() (record, bool, error) {
	n := min(l.left, len(l.data))
	if n == 0 {
		if l.last {
			return record{}, false, final(fmt.Errorf("byte %d: the file ends in the middle of a record", l.offset))
		}
		return record{}, false, nil
	}
	if l.left -= n; l.left > 0 {
		return l.take(n, record{used: n, part: true}), true, nil
	}
	return l.take(n, record{used: n, lines: 1, tooLong: true,
		fault: fmt.Errorf("the record is longer than %d bytes, which max_frame_size allows", l.longest)}), true, nil
}

func (l *lengthSplitter) take(n int, r record) record {
	l.data, l.offset = l.data[n:], l.offset+int64(n)
	return r
}
