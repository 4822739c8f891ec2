package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// advance is what a command knows of its own progress.
type advance interface {
	counts() (acked, failed int64)
	// done returns how much is done, in whatever unit, and of how much in all; -1 when that cannot be known.
	done() (n, total int64)
	// unit is what is counted: "lines".
	unit() string
}

// progress draws how far a command is.
type progress struct {
	bars *mpb.Progress
	bar  *mpb.Bar
	quit chan struct{}
	over chan struct{}
}

// startProgress draws to out when that is a terminal, or always.
func startProgress(of advance, out io.Writer, always bool) *progress {
	options := []mpb.ContainerOption{mpb.WithOutput(out), mpb.WithWidth(60)}
	if always {
		options = append(options, mpb.WithAutoRefresh())
	}
	started := time.Now()
	counts := decor.Any(func(decor.Statistics) string {
		acked, failed := of.counts()
		return fmt.Sprintf(" %d acked, %d failed, %.0f %s/s ", acked, failed, float64(acked)/time.Since(started).Seconds(), of.unit())
	})
	_, total := of.done()
	style, after := mpb.BarFillerBuilder(mpb.BarStyle()), []decor.Decorator{counts, decor.Name("eta "), decor.AverageETA(decor.ET_STYLE_GO)}
	if total < 0 {
		style, after = mpb.SpinnerStyle().PositionLeft(), []decor.Decorator{counts}
	}
	p := &progress{bars: mpb.New(options...), quit: make(chan struct{}), over: make(chan struct{})}
	// A total of 0 keeps the bar from completing by itself: a file may grow while it is read.
	p.bar = p.bars.New(0, style, mpb.AppendDecorators(after...))
	p.bar.SetTotal(total, false)
	go p.follow(of)
	return p
}

func (p *progress) follow(of advance) {
	defer close(p.over)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		n, _ := of.done()
		p.bar.SetCurrent(n)
		select {
		case <-tick.C:
		case <-p.quit:
			n, _ := of.done()
			p.bar.SetCurrent(n)
			return
		}
	}
}

// stop draws the last state and ends the line.
func (p *progress) stop() {
	close(p.quit)
	<-p.over
	p.bar.SetTotal(-1, true)
	p.bars.Wait()
}

// progressOutput returns where the bar is drawn, and whether also when that is no terminal.
func progressOutput(cmd *cobra.Command, wanted bool) (out io.Writer, always bool) {
	if cmd.Flags().Changed("progress") {
		if !wanted {
			return io.Discard, false
		}
		return cmd.ErrOrStderr(), true
	}
	return cmd.ErrOrStderr(), false
}
