package dataproxytest

import "github.com/cespare/xxhash/v2"

// Digest stands for a multiset of payloads: two are equal if, but for an accident of hashing, the same payloads were
// added equally often, in whatever order.
type Digest struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	Sum      uint64 `json:"sum"`     // sum of the 64-bit hashes
	Squares  uint64 `json:"squares"` // sum of their squares: tells apart what the plain sum cannot
}

// Add adds payloads.
func (d *Digest) Add(payloads ...[]byte) {
	for _, p := range payloads {
		h := xxhash.Sum64(p)
		d.Messages++
		d.Bytes += uint64(len(p))
		d.Sum += h
		d.Squares += h * h
	}
}

func (d *Digest) merge(other Digest) {
	d.Messages += other.Messages
	d.Bytes += other.Bytes
	d.Sum += other.Sum
	d.Squares += other.Squares
}
