package connections

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// roundTrips counts the times between a write and its answer in buckets of microseconds, four to each power of two. So a percentile
// is wrong by an eighth at most, and adding is one atomic add.
type roundTrips struct {
	buckets [160]atomic.Uint64 // 32 bits would wrap within days
	least   atomic.Int64       // ns; 0 before the first
}

func (r *roundTrips) add(d time.Duration) {
	r.buckets[min(bucketOf(uint64(max(d.Microseconds(), 0))), len(r.buckets)-1)].Add(1)
	for {
		least := r.least.Load()
		if least > 0 && int64(d) >= least || r.least.CompareAndSwap(least, int64(max(d, 1))) {
			return
		}
	}
}

// shortest returns the shortest time, 0 when there was none.
func (r *roundTrips) shortest() time.Duration { return time.Duration(r.least.Load()) }

// bucketOf is exact below 4. Above that, the two bits after the highest one choose the bucket.
func bucketOf(us uint64) int {
	if us < 4 {
		return int(us)
	}
	octave := bits.Len64(us) - 3
	return 4*octave + int(us>>octave)
}

// middleOf is the value in the middle of a bucket.
func middleOf(bucket int) time.Duration {
	if bucket < 8 {
		return time.Duration(bucket) * time.Microsecond
	}
	octave := bucket/4 - 1
	low := uint64(bucket%4+4) << octave
	return time.Duration(low+(1<<octave)/2) * time.Microsecond
}

// percentiles returns the values below which the given shares of all round trips are, 0 if there were none.
func (r *roundTrips) percentiles(shares ...float64) []time.Duration {
	var counts [len(r.buckets)]uint64
	total := uint64(0)
	for i := range r.buckets {
		counts[i] = r.buckets[i].Load()
		total += counts[i]
	}
	out := make([]time.Duration, len(shares))
	for k, share := range shares {
		rest := share * float64(total)
		for i, n := range counts {
			if rest -= float64(n); n > 0 && rest <= 0 {
				out[k] = middleOf(i)
				break
			}
		}
	}
	return out
}

// Farthest returns the shortest time in which the farthest node in use answers.
func (s *nodes) Farthest() (trip time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.list {
		if n.lanes > 0 {
			trip = max(trip, n.roundTrips.shortest())
		}
	}
	return trip
}
