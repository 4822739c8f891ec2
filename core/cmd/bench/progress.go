package main

import (
	"fmt"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows on a terminal which run is on.
type progress struct {
	bars *mpb.Progress
	bar  *mpb.Bar
	on   chan string
}

func startProgress(runs int) *progress {
	p := &progress{bars: mpb.New(mpb.WithOutput(os.Stderr), mpb.WithWidth(60)), on: make(chan string, 1)}
	label := ""
	p.bar = p.bars.New(int64(runs), mpb.BarStyle(), mpb.BarRemoveOnComplete(),
		mpb.AppendDecorators(decor.Any(func(st decor.Statistics) string {
			select {
			case label = <-p.on:
			default:
			}
			return fmt.Sprintf(" %d of %d  %-32s", min(st.Current+1, st.Total), st.Total, label)
		})))
	return p
}

func (p *progress) next(st step) {
	select {
	case <-p.on:
	default:
	}
	p.on <- fmt.Sprintf("%s, %d B", st.program.label, st.size)
	p.bar.Increment()
}

func (p *progress) stop() {
	p.bar.Abort(true)
	p.bars.Wait()
}
