package spool

import (
	"math"
	"math/bits"
)

// bitmap is a set of small numbers that grows as it is used.
type bitmap []uint64

func (m bitmap) has(i uint32) bool { return int(i/64) < len(m) && m[i/64]&(1<<(i%64)) != 0 }

// set adds i, and reports whether it was not in m.
func (m *bitmap) set(i uint32) bool {
	for int(i/64) >= len(*m) {
		*m = append(*m, 0)
	}
	if m.has(i) {
		return false
	}
	(*m)[i/64] |= 1 << (i % 64)
	return true
}

func (m bitmap) clear(i uint32) {
	if m.has(i) {
		m[i/64] &^= 1 << (i % 64)
	}
}

// least is the least number that is not in m.
func (m bitmap) least() uint32 {
	for i, word := range m {
		if word != math.MaxUint64 {
			return uint32(i*64 + bits.TrailingZeros64(^word))
		}
	}
	return uint32(len(m) * 64)
}

// count is how many are in m.
func (m bitmap) count() (n int) {
	for _, word := range m {
		n += bits.OnesCount64(word)
	}
	return n
}

// without returns, as ranges, what is in m and not in other.
func (m bitmap) without(other bitmap) (ranges []ackRange) {
	for i := uint32(0); int(i/64) < len(m); i++ {
		word := m[i/64]
		if int(i/64) < len(other) {
			word &^= other[i/64]
		}
		if word>>(i%64) == 0 {
			i |= 63
			continue
		}
		if word&(1<<(i%64)) == 0 {
			continue
		}
		if last := len(ranges) - 1; last >= 0 && ranges[last].first+ranges[last].count == i {
			ranges[last].count++
		} else {
			ranges = append(ranges, ackRange{i, 1})
		}
	}
	return ranges
}
