package main

import (
	"errors"
	"os"
	"runtime"
	"runtime/pprof"
)

// profiles are the files that a job writes of its measured part; empty names are none.
type profiles struct {
	CPU    string `json:"cpu"`
	Allocs string `json:"allocs"`
}

// profiled runs measure under the profilers that are asked for. They cost a little: do not compare the sample.
func (p profiles) profiled(measure func() (sample, error)) (s sample, err error) {
	if p.Allocs != "" {
		runtime.MemProfileRate = 1
		defer func() { err = errors.Join(err, p.writeAllocs()) }()
	}
	if p.CPU != "" {
		file, err := os.Create(p.CPU)
		if err != nil {
			return s, err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return s, err
		}
		defer pprof.StopCPUProfile()
	}
	return measure()
}

func (p profiles) writeAllocs() error {
	file, err := os.Create(p.Allocs)
	if err != nil {
		return err
	}
	runtime.GC() // brings the profile up to date
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}
