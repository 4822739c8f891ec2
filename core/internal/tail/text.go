package tail

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// text is what a file says: its bytes, or what they unpack to.
type text interface {
	io.ReaderAt
	// stat looks at the file. Of a packed one the size is that of its text as far as it is known, -1 before.
	stat() (meta, error)
	file() handle
	packed() bool
	Close() error
}

type plainText struct{ handle }

func (p plainText) stat() (meta, error) { return inspectFile(p.handle) }
func (p plainText) file() handle        { return p.handle }
func (p plainText) packed() bool        { return false }

var openFile = func(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDONLY|openFlags, 0) }

// openText opens a file for reading; it does not wait for a writer where the name is a pipe's.
func openText(d *disk, path string) (text, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	m, err := inspectFile(f)
	switch {
	case err == nil && m.folder:
		err = fmt.Errorf("%s is a folder", path)
	case err == nil && !m.regular:
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	var magic [4]byte
	switch n, err := f.ReadAt(magic[:], 0); {
	case err != nil && !errors.Is(err, io.EOF):
		return plainText{d.handle(f)}, nil // the fault shows again where it is read
	case n < len(magic) && packedEnding.MatchString(path):
		f.Close()
		return nil, errUnfinished // the packer has just made it: taken for plain, what it writes would be sent as lines
	case n < len(magic):
		return plainText{d.handle(f)}, nil
	}
	for _, p := range packers {
		if !strings.HasPrefix(string(magic[:]), p.magic) {
			continue
		}
		if p.unpack == nil {
			f.Close()
			return nil, fmt.Errorf("%w %s; unpack it first", errForeign, p.name)
		}
		return &packedText{f: d.handle(f), unpack: p.unpack}, nil
	}
	return plainText{d.handle(f)}, nil
}

var packers = []struct {
	name, magic string
	unpack      func(io.Reader) (io.Reader, func(), error)
}{
	{"gzip", "\x1f\x8b\x08", ungzip},
	{"zstd", "\x28\xb5\x2f\xfd", unzstd},
	{"bzip2", "BZh", unbzip2},
	{"xz", "\xfd7zX", nil},
	{"lz4", "\x04\x22\x4d\x18", nil},
	{"zip", "PK\x03\x04", nil},
	{"compress", "\x1f\x9d", nil},
}

// errForeign is a packed file that cannot be unpacked: its bytes are no lines.
var errForeign = errors.New("gzip, zstd and bzip2 are unpacked, and it is packed by")

func ungzip(r io.Reader) (io.Reader, func(), error) {
	z, err := gzip.NewReader(r)
	return z, func() {}, err
}

func unbzip2(r io.Reader) (io.Reader, func(), error) { return bzip2.NewReader(r), func() {}, nil }

func unzstd(r io.Reader) (io.Reader, func(), error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
	if err != nil {
		return nil, nil, err
	}
	return z, z.Close, nil
}

// packedText unpacks a file from its beginning; a read before the last one begins anew. Reads go forward nearly always.
type packedText struct {
	f      handle
	unpack func(io.Reader) (io.Reader, func(), error)
	r      io.Reader
	free   func()
	at     int64
	near   []byte // the last bytes before at, for reads that begin a little before the last one ended
	size   int64  // of the text, 0 before its end was seen
	ended  bool
	began  meta // the file, before the unpacking began
}

const nearLength = 4 * printLength

func (p *packedText) file() handle { return p.f }
func (p *packedText) packed() bool { return true }

func (p *packedText) stat() (meta, error) {
	m, err := inspectFile(p.f)
	m.size = -1
	if p.ended {
		m.size = p.size
	}
	return m, err
}

func (p *packedText) Close() error {
	p.stop()
	return p.f.Close()
}

func (p *packedText) stop() {
	if p.r != nil {
		p.free()
		p.r, p.near, p.at = nil, nil, 0
	}
}

func (p *packedText) ReadAt(b []byte, off int64) (int, error) {
	if p.r != nil && p.ended { // the unpacker does not read again after an end, where the packer may have appended
		if m, err := inspectFile(p.f); err != nil || m.size != p.began.size {
			p.stop()
		}
	}
	if p.r == nil || off < p.at-int64(len(p.near)) {
		p.stop()
		m, err := inspectFile(p.f)
		if err != nil {
			return 0, err
		}
		p.began = m
		r, free, err := p.unpack(bufio.NewReaderSize(io.NewSectionReader(p.f, 0, 1<<62), 64<<10))
		if err != nil {
			return 0, unfinished(err)
		}
		p.r, p.free = r, free
	}
	for p.at < off {
		n, err := io.CopyN(io.Discard, io.TeeReader(p.r, nearWriter{p}), min(off-p.at, 1<<20))
		if err != nil && n == 0 {
			return 0, p.failed(err)
		}
	}
	n := copy(b, p.near[int64(len(p.near))-(p.at-off):])
	for n < len(b) {
		m, err := p.r.Read(b[n:])
		_, _ = nearWriter{p}.Write(b[n : n+m])
		n += m
		if err != nil {
			return n, p.failed(err)
		}
	}
	return n, nil
}

// failed ends the unpacking. A fault may be one of a file that is still being written, so that the next read begins anew.
func (p *packedText) failed(err error) error {
	if errors.Is(err, io.EOF) {
		p.size, p.ended = p.at, true
		return io.EOF
	}
	p.stop()
	return unfinished(err)
}

// errUnfinished is what a packed file that is still being written looks like.
var errUnfinished = errors.New("it ends in the middle")

// errDamaged is what no packer has left so.
var errDamaged = errors.New("cannot be unpacked")

func unfinished(err error) error {
	var read *fs.PathError
	switch {
	case errors.As(err, &read) || errors.Is(err, errHangs): // one of the disk, which may pass
		return err
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return errUnfinished
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

// isBroken reports whether an error is that of a packed text, which comes again until the file changes.
func isBroken(err error) bool { return errors.Is(err, errUnfinished) || errors.Is(err, errDamaged) }

// nearWriter counts what was unpacked and keeps the end of it.
type nearWriter struct{ p *packedText }

func (w nearWriter) Write(b []byte) (int, error) {
	p := w.p
	p.at += int64(len(b))
	if len(b) >= nearLength {
		p.near = append(p.near[:0], b[len(b)-nearLength:]...)
		return len(b), nil
	}
	if over := len(p.near) + len(b) - nearLength; over > 0 {
		p.near = p.near[:copy(p.near, p.near[over:])]
	}
	p.near = append(p.near, b...)
	return len(b), nil
}

// sameBeginning reports whether the shorter one of two texts is the beginning of the other, by samples of its first and last bytes.
func sameBeginning(short, long text, size int64) bool {
	w := window(size)
	for _, at := range []int64{0, size - w} {
		a, _, err := sumAt(short, at, w)
		if err != nil {
			return false
		}
		if b, _, err := sumAt(long, at, w); err != nil || !bytes.Equal(a, b) {
			return false
		}
	}
	return true
}
