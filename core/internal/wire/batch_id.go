package wire

import "strconv"

const batchIDPrefix = 17 // 16 hex digits and a dash

// BatchID names a batch on the wire ("mid"): a number of the client's, drawn at its start, and a counter.
type BatchID struct{ Client, Seq uint64 }

// Append appends the id's text to dst.
func (id BatchID) Append(dst []byte) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[id.Client>>shift&0xf])
	}
	return strconv.AppendUint(append(dst, '-'), id.Seq, 16)
}

// String returns the id's text.
func (id BatchID) String() string {
	var room [batchIDPrefix + 16]byte
	return string(id.Append(room[:0]))
}

// ParseBatchID reads what Append wrote.
func ParseBatchID(text []byte) (id BatchID, ok bool) {
	if len(text) <= batchIDPrefix || len(text) > batchIDPrefix+16 || text[batchIDPrefix-1] != '-' {
		return id, false
	}
	if id.Client, ok = parseHex(text[:batchIDPrefix-1]); !ok {
		return id, false
	}
	id.Seq, ok = parseHex(text[batchIDPrefix:])
	return id, ok
}

func parseHex(text []byte) (n uint64, ok bool) {
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		n = n<<4 | uint64(c)
	}
	return n, true
}
