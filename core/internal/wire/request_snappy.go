package wire

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/klauspost/compress/s2"
)

var (
	errSnappyBad  = errors.New("body is not a Snappy block")
	errSnappyHuge = errors.New("the Snappy block announces 2 GiB or more")
)

// DecodeSnappy decodes one raw Snappy block into dst's capacity, or into a new buffer if that is too small. It
// refuses the S2 extension, which the library would accept and a DataProxy does not know.
func DecodeSnappy(dst, src []byte) ([]byte, error) {
	n, err := s2.DecodedLen(src)
	switch {
	case err != nil:
		return nil, errSnappyBad
	case n > math.MaxInt32:
		return nil, errSnappyHuge
	case n > len(src)*maxSnappyExpansion || hasRepeat(src):
		return nil, errSnappyBad
	}
	if n == 0 {
		if len(src) != 1 {
			return nil, errSnappyBad
		}
		return dst[:0], nil
	}
	out, err := s2.Decode(dst[:cap(dst)], src)
	if err != nil {
		return nil, errSnappyBad
	}
	return out, nil
}

// hasRepeat finds a copy of offset zero, the form in which S2 writes "the same offset again".
func hasRepeat(src []byte) bool {
	_, head := binary.Uvarint(src)
	for at := head; at < len(src); {
		tag := src[at]
		switch tag & 3 {
		case 0:
			n := int(tag >> 2)
			extra := 0
			if n >= 60 {
				extra = n - 59
				if at+1+extra > len(src) {
					return false
				}
				n = 0
				for i := extra; i > 0; i-- {
					n = n<<8 | int(src[at+i])
				}
				if n < 0 || n > len(src) {
					return false
				}
			}
			at += 1 + extra + n + 1
		case 1:
			if at+1 < len(src) && tag>>5 == 0 && src[at+1] == 0 {
				return true
			}
			at += 2
		case 2:
			at += 3
		case 3:
			at += 5
		}
	}
	return false
}
