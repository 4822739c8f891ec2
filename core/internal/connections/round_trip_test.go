package connections

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A bucket whose middle lies outside what it counts would make every percentile wrong.
func TestRoundTripIsRightToAnEighth(t *testing.T) {
	for us := uint64(0); us < 1<<22; us = us + 1 + us/100 {
		got := middleOf(bucketOf(us)).Microseconds()
		require.InDelta(t, float64(us), float64(got), float64(us)/8+0.5, "bucket %d", bucketOf(us))
	}
}

// Percentiles of a known set; nothing counted is zero, and an hour is no reason to write outside the table.
func TestRoundTripPercentiles(t *testing.T) {
	var r roundTrips
	require.Equal(t, []time.Duration{0}, r.percentiles(0.5))
	for i := range 1000 {
		r.add(time.Duration(i+1) * time.Millisecond)
	}
	p := r.percentiles(0.5, 0.99)
	require.InEpsilon(t, 500*time.Millisecond, p[0], 0.13)
	require.InEpsilon(t, 990*time.Millisecond, p[1], 0.13)
	r.add(100 * time.Hour)
	r.add(-time.Second)
}

// A busy bucket counted in 32 bits began anew after some days, and the median jumped by a factor of a thousand.
func TestRoundTripPercentilesOfABusyClientAfterDays(t *testing.T) {
	const usual = 100 * time.Microsecond
	var r roundTrips
	r.add(100 * time.Millisecond)
	r.buckets[bucketOf(uint64(usual.Microseconds()))].Store(math.MaxUint32)
	r.add(usual)
	require.InEpsilon(t, usual, r.percentiles(0.5)[0], 0.13)
}
