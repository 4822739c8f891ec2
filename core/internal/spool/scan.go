package spool

import (
	"bytes"
	"io"
)

// window is how much a scanner reads at a time, unless it reads only heads.
const window = 128 << 10

// block is the unit that a faulty disk fails to return.
const block = 4 << 10

// scanner reads the records of one segment in order, and finds the next one after damage.
type scanner struct {
	f     io.ReaderAt
	size  int64  // of the file, or of the part to be read
	salt  uint64 // 0: not known, the segment's header is damaged
	off   int64
	next  uint32 // the least index that may come
	heads bool   // most records are skipped, so no more is read than needed

	buf   []byte // bytes of the file from bufAt on
	bufAt int64

	tried   int64   // bytes that were searched for a record of unknown salt
	damaged int64   // bytes that are neither record nor a record that was cut off at the end
	closed  *footer // was found
}

// scanned is a record in its segment; its Body is valid until the scanner continues.
type scanned struct {
	Record
	head recordHead
}

// fetch returns n bytes at off, which exist by the size of the file.
func (s *scanner) fetch(off int64, n int) ([]byte, error) {
	if at := off - s.bufAt; at >= 0 && at+int64(n) <= int64(len(s.buf)) {
		return s.buf[at:][:n], nil
	}
	want := int(min(max(int64(n), window), s.size-off))
	if s.heads {
		want = n
	}
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	s.buf, s.bufAt = s.buf[:want], off
	got, err := s.f.ReadAt(s.buf, off)
	if got < n && got < want && err != nil && err != io.EOF && want > n { // perhaps only what follows cannot be read
		got, err = s.f.ReadAt(s.buf[:n], off)
	}
	s.buf = s.buf[:got]
	if got >= n {
		return s.buf[:n], nil
	}
	if err == io.EOF || err == nil { // it was cut off while it was read
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// record returns the next record for which skip is false, or io.EOF. Any other error is the disk's: something here cannot be read,
// and the next call continues after it.
func (s *scanner) record(skip func(recordHead) bool) (scanned, error) {
	for s.off < s.size {
		left := s.size - s.off
		b, err := s.fetch(s.off, int(min(left, recordHeader)))
		if err != nil {
			s.leap(s.off)
			return scanned{}, err
		}
		if end, ok := parseFooter(b, s.salt, s.off); ok && left == footerSize {
			s.closed = &end
			s.off = s.size
			break
		}
		h, ok := parseRecordHead(b, s.salt, s.off)
		ok = ok && h.at.index >= s.next && s.tried <= 4*s.size // otherwise heads inside heads could keep it busy for ever
		switch {
		case ok && h.size > left: // cut off by the end of a process, or of the power
			s.off = s.size
			return scanned{}, io.EOF
		case ok && s.salt != 0 && skip != nil && skip(h):
			s.pass(h)
			continue
		case ok:
			if b, err = s.fetch(s.off, int(h.size)); err != nil {
				s.pass(h)
				return scanned{}, err
			}
			r, valid := h.record(b)
			if !valid && s.salt == 0 {
				s.tried += h.size
				break
			}
			s.salt = h.at.salt
			s.pass(h)
			if valid && (skip == nil || !skip(h)) {
				return scanned{r, h}, nil
			}
			if !valid {
				s.damaged += h.size
			}
			continue
		}
		if err := s.resync(left); err != nil {
			return scanned{}, err
		}
	}
	return scanned{}, io.EOF
}

func (s *scanner) pass(h recordHead) {
	s.off += h.size
	s.next = h.at.index + 1
}

// resync continues to what may be the next record, or to the end. Zeros up to there are a length that was kept without its data.
func (s *scanner) resync(left int64) error {
	start, empty := s.off, true
	for pos := s.off; pos < s.size; {
		b, err := s.fetch(pos, int(min(s.size-pos, block-pos%block)))
		if err != nil {
			s.leap(pos)
			return err
		}
		empty = empty && len(bytes.TrimLeft(b, "\x00")) == 0
		i := bytes.IndexByte(b, recordMagic[0])
		if i < 0 {
			pos += int64(len(b))
			continue
		}
		pos += int64(i)
		if b, err = s.fetch(pos, int(min(s.size-pos, recordHeader))); err != nil {
			s.leap(pos)
			return err
		}
		_, isRecord := parseRecordHead(b, s.salt, pos)
		_, isFooter := parseFooter(b, s.salt, pos)
		if pos > start && (isRecord || isFooter) {
			s.damaged += pos - start
			s.off = pos
			return nil
		}
		pos++
	}
	s.off = s.size
	b, err := s.fetch(start, int(min(left, recordHeader)))
	if err != nil { // and it could be read before
		return err
	}
	if !cutOff(b) && !empty {
		s.damaged += left
	}
	return nil
}

// leap continues after what cannot be read at off, at the first block that can be. It takes few reads, since a failing disk takes
// seconds for each. Of several blocks between bad ones it may find the last.
func (s *scanner) leap(off int64) {
	last := (s.size + block - 1) / block // one more than that of the last block
	bad, good := off/block, last
	for step := int64(1); bad+step < last; step *= 2 {
		if s.readable(bad + step) {
			good = bad + step
			break
		}
		bad += step
	}
	for good-bad > 1 {
		if mid := bad + (good-bad)/2; s.readable(mid) {
			good = mid
		} else {
			bad = mid
		}
	}
	s.off = min(good*block, s.size)
	s.buf = s.buf[:0]
}

func (s *scanner) readable(n int64) bool {
	var b [1]byte
	_, err := s.f.ReadAt(b[:], n*block)
	return err == nil
}

// cutOff reports whether these last bytes of a file are the start of something that was being written.
func cutOff(b []byte) bool {
	begins := func(magic []byte) bool { return bytes.HasPrefix(b, magic[:min(len(b), len(magic))]) }
	return len(b) < recordHeader && begins(recordMagic) || len(b) < footerSize && begins(footerMagic)
}
