package main

import (
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows on a terminal how many runs are over.
type progress struct {
	bars *mpb.Progress
	bar  *mpb.Bar
}

func startProgress(runs int) *progress {
	bars := mpb.New(mpb.WithOutput(os.Stderr), mpb.WithWidth(60))
	return &progress{bars, bars.New(int64(runs), mpb.BarStyle(), mpb.BarRemoveOnComplete(),
		mpb.AppendDecorators(decor.CountersNoUnit(" %d of %d runs")))}
}

func (p *progress) increment() { p.bar.Increment() }

func (p *progress) stop() {
	p.bar.Abort(true)
	p.bars.Wait()
}
