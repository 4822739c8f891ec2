package main

import (
	"cmp"
	"slices"
)

// figures collects what the runs of one program with one size of message measured. Each run is compared with the last run of
// the bare loop and of its Go client before it: the machine's mood changes over seconds, and the two of a pair share it.
type figures struct {
	program *program
	size    int
	samples []sample
	long    []sample // of the long runs, which look at memory
	fault   error

	toBare, toGo, overGo, overTrip, gain []float64
}

// last is the latest run of each program in this round, with one size of message.
type last map[string]sample

func (f *figures) add(s sample, before last) {
	f.samples = append(f.samples, s)
	defer func() { before[f.program.key] = s }()
	if f.program.key == keyBare || f.program.key == keyTrip || f.program.key == keyShut || f.program.key == keyDisk {
		return
	}
	own := s.nsPerMessage()
	if bare, ok := before[keyBare]; ok {
		f.toBare = append(f.toBare, own/bare.nsPerMessage())
	}
	pair := cmp.Or(f.program.pair, keyGo)
	if goRun, ok := before[pair]; ok && f.program.key != keyGo {
		f.toGo = append(f.toGo, own/goRun.nsPerMessage())
		f.overGo = append(f.overGo, own-goRun.nsPerMessage())
	}
	if yardstick, ok := before[f.program.yardstick]; ok {
		rate := yardstick.perSecond()
		if other, ok := before[f.program.orSlower]; ok {
			rate = min(rate, other.perSecond())
		}
		f.gain = append(f.gain, s.perSecond()/rate)
	}
	if trip, ok := before[keyTrip]; ok {
		f.overTrip = append(f.overTrip, s.P50-trip.P50)
	}
}

// row is the outcome of one program with one size of message: medians over the rounds.
type row struct {
	Key       string   `json:"program"`
	Label     string   `json:"label"`
	Size      int      `json:"size"`
	Runs      int      `json:"runs"`
	PerSecond float64  `json:"messages_per_second"`
	CPU       float64  `json:"cpu_ns_per_message"`
	Allocs    *float64 `json:"allocs_per_message,omitempty"` // of the long runs if there are any; nil: not counted
	ToBare    float64  `json:"cpu_to_bare,omitempty"`        // median of the pairs' ratios
	ToGo      float64  `json:"cpu_to_go,omitempty"`          // likewise
	OverGo    float64  `json:"cpu_ns_over_go,omitempty"`     // likewise
	Gain      float64  `json:"rate_to_yardstick,omitempty"`  // likewise
	Broker    float64  `json:"broker_cpu_ns_per_message,omitempty"`
	P50       float64  `json:"p50_us,omitempty"`
	P99       float64  `json:"p99_us,omitempty"`
	OverTrip  float64  `json:"p50_us_over_round_trip,omitempty"`
	First     float64  `json:"first_ack_seconds,omitempty"`
	Heap      uint64   `json:"heap,omitempty"`
	Idle      *idle    `json:"idle,omitempty"`
	Fault     string   `json:"fault,omitempty"`
	Samples   []sample `json:"samples"` // of each run

	latency bool
}

func (f *figures) row() row {
	r := row{Key: f.program.key, Label: f.program.label, Size: f.size, Runs: len(f.samples), latency: f.program.latency,
		Samples: f.samples}
	if f.fault != nil {
		r.Fault = f.fault.Error()
	}
	if len(f.long) > 0 {
		r.Idle = f.long[0].Idle
	}
	if len(f.samples) == 0 {
		return r
	}
	of := func(value func(sample) float64) float64 { return medianOf(f.samples, value) }
	r.PerSecond, r.CPU = of(sample.perSecond), of(sample.nsPerMessage)
	if f.program.command == nil {
		look := f.samples
		if len(f.long) > 0 {
			look = f.long
		}
		allocs := medianOf(look, func(s sample) float64 { return s.Allocs })
		r.Allocs = &allocs
	}
	r.Broker = of(func(s sample) float64 { return s.Broker * 1e9 / float64(s.Messages) })
	r.P50, r.P99 = of(func(s sample) float64 { return s.P50 }), of(func(s sample) float64 { return s.P99 })
	r.ToBare, r.ToGo, r.OverGo, r.OverTrip = median(f.toBare), median(f.toGo), median(f.overGo), median(f.overTrip)
	r.Gain = median(f.gain)
	r.First, r.Heap = of(func(s sample) float64 { return s.First }), uint64(of(func(s sample) float64 { return float64(s.Heap) }))
	if r.Key == keyBare {
		r.ToBare = 1
	}
	return r
}

func medianOf(samples []sample, value func(sample) float64) float64 {
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, value(s))
	}
	return median(values)
}

// median of no values is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// percentile returns the smallest of the sorted values that is not below that share of them.
func percentile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
