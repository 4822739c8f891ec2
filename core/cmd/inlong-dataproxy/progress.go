package main

import (
	"fmt"
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress draws how far a shipment is.
type progress struct {
	bars *mpb.Progress
	bar  *mpb.Bar
	quit chan struct{}
	done chan struct{}
}

// startProgress draws to out when that is a terminal, or always.
func startProgress(s *shipment, out io.Writer, always bool) *progress {
	options := []mpb.ContainerOption{mpb.WithOutput(out), mpb.WithWidth(60)}
	if always {
		options = append(options, mpb.WithAutoRefresh())
	}
	started := time.Now()
	counts := decor.Any(func(decor.Statistics) string {
		acked := s.acked.Load()
		return fmt.Sprintf(" %d acked, %d failed, %.0f lines/s ", acked, s.failed.Load(), float64(acked)/time.Since(started).Seconds())
	})
	total := totalSize(s.inputs)
	style, after := mpb.BarFillerBuilder(mpb.BarStyle()), []decor.Decorator{counts, decor.AverageETA(decor.ET_STYLE_GO)}
	if total < 0 {
		style, after = mpb.SpinnerStyle().PositionLeft(), []decor.Decorator{counts}
	}
	p := &progress{bars: mpb.New(options...), quit: make(chan struct{}), done: make(chan struct{})}
	// A total of 0 keeps the bar from completing by itself: a file may grow while it is read.
	p.bar = p.bars.New(0, style, mpb.AppendDecorators(after...))
	p.bar.SetTotal(total, false)
	go p.follow(s)
	return p
}

func (p *progress) follow(s *shipment) {
	defer close(p.done)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		p.bar.SetCurrent(s.doneBytes.Load())
		select {
		case <-tick.C:
		case <-p.quit:
			p.bar.SetCurrent(s.doneBytes.Load())
			return
		}
	}
}

// stop draws the last state and ends the line.
func (p *progress) stop() {
	close(p.quit)
	<-p.done
	p.bar.SetTotal(-1, true)
	p.bars.Wait()
}
