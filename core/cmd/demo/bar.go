package main

import (
	"fmt"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// bar shows, on a terminal, how much of the file the nodes have received.
type bar struct {
	bars       *mpb.Progress
	bar        *mpb.Bar
	quit, done chan struct{}
}

func startBar(cluster *dataproxytest.Cluster, a *accident, language string, lines int) *bar {
	b := &bar{
		bars: mpb.New(mpb.WithOutput(os.Stderr), mpb.WithWidth(60), mpb.WithRefreshRate(50*time.Millisecond)),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	b.bar = b.bars.New(0, mpb.BarStyle(),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("%-7s", language))),
		mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
			return fmt.Sprintf(" %s of %s lines  %s", thousands(int(s.Current)), thousands(lines), a.now())
		})))
	b.bar.SetTotal(int64(lines), false)
	go func() {
		defer close(b.done)
		tick := time.NewTicker(25 * time.Millisecond)
		defer tick.Stop()
		for {
			// Duplicates after a lost ack can carry the count past the number of lines.
			b.bar.SetCurrent(int64(min(cluster.Count(), lines)))
			select {
			case <-tick.C:
			case <-b.quit:
				return
			}
		}
	}()
	return b
}

func (b *bar) stop() {
	close(b.quit)
	<-b.done
	b.bar.SetTotal(-1, true)
	b.bars.Wait()
}
