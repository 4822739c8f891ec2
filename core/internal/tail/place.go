package tail

import (
	"errors"
	"io"

	"github.com/cespare/xxhash/v2"
)

// printLength is how many bytes of a file's beginning, and before a place, prove it. It is more than the headers that files of one
// program begin with alike.
const printLength = 1024

// Head is what is known of a file's first bytes, up to printLength of them: it grows with the file.
type Head struct {
	Length int64  `json:"length"`
	Sum    uint64 `json:"sum,string"`
}

// Place is a place between two records of a file. Tail is the sum of the bytes before it, up to printLength of them: a file that
// was truncated has other ones there, however long it has grown since.
type Place struct {
	Offset int64  `json:"offset"`
	Line   int64  `json:"line"`
	Tail   uint64 `json:"tail,string"`
}

func window(offset int64) int64 { return min(offset, printLength) }

// fits reports whether text is that of which this was seen.
func (h Head) fits(text io.ReaderAt) (bool, error) {
	if h.Length == 0 {
		return true, nil
	}
	_, sum, err := sumAt(text, 0, h.Length)
	return err == nil && sum == h.Sum, notShort(err)
}

// fits reports whether the place is in text.
func (p Place) fits(text io.ReaderAt) (bool, error) {
	if p.Offset == 0 {
		return true, nil
	}
	w := window(p.Offset)
	_, sum, err := sumAt(text, p.Offset-w, w)
	return err == nil && sum == p.Tail, notShort(err)
}

// holds reports whether text begins as that of which this head was seen, and has the place.
func holds(text io.ReaderAt, h Head, p Place) (bool, error) {
	if ok, err := h.fits(text); !ok {
		return false, err
	}
	return p.fits(text)
}

var errShort = errors.New("too short")

func sumAt(text io.ReaderAt, at, n int64) (bytes []byte, sum uint64, err error) {
	if n == 0 {
		return nil, xxhash.Sum64(nil), nil
	}
	bytes = make([]byte, n)
	got, err := text.ReadAt(bytes, at)
	if int64(got) < n {
		if err == nil || errors.Is(err, io.EOF) {
			err = errShort
		}
		return nil, 0, err
	}
	return bytes, xxhash.Sum64(bytes), nil
}

func notShort(err error) error {
	if errors.Is(err, errShort) {
		return nil
	}
	return err
}

// headOf looks at a file's beginning; size is what it has at least.
func headOf(text io.ReaderAt, size int64) (Head, error) {
	n := min(size, printLength)
	_, sum, err := sumAt(text, 0, n)
	if errors.Is(err, errShort) { // shrunk, or of unknown length
		bytes := make([]byte, n)
		got, err := text.ReadAt(bytes, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return Head{}, err
		}
		return Head{int64(got), xxhash.Sum64(bytes[:got])}, nil
	}
	return Head{n, sum}, err
}
