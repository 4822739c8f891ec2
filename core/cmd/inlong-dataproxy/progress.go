package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// advance is what a command knows of its own progress.
type advance interface {
	counts() (acked, failed int64)
	// done returns how much is done, in whatever unit, and of how much in all; -1 when that cannot be known.
	done() (n, total int64)
	// unit is what is counted: "lines".
	unit() string
}

// screen is standard error: log lines, and below them a bar that shows how far a command is.
type screen struct {
	stderr io.Writer
	drawn  bool // a bar is wanted, and can be drawn or was asked for

	mu    sync.Mutex
	lines io.Writer // where log lines go: while there is a bar, through it
}

// openScreen draws bars on a terminal that can erase them, unless the flag --progress says otherwise.
func openScreen(cmd *cobra.Command, progress, quiet bool) *screen {
	s := &screen{stderr: cmd.ErrOrStderr(), drawn: progress}
	if file, ok := s.stderr.(*os.File); ok && !cmd.Flags().Changed("progress") {
		s.drawn = term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb" && !quiet
	}
	s.lines = s.stderr
	return s
}

// Write writes lines above the bar.
func (s *screen) Write(lines []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines.Write(lines)
}

func (s *screen) writeTo(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = w
}

// logger logs warnings to the screen.
func (s *screen) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// sayWhatIsRead tells who sits there that the program waits for what is typed.
func (s *screen) sayWhatIsRead(streams []string, stdin io.Reader) {
	if file, ok := stdin.(*os.File); ok && slices.Contains(streams, "-") && term.IsTerminal(int(file.Fd())) {
		fmt.Fprintln(s, "reading lines from the terminal; end with Ctrl-D")
	}
}

// pace tells how fast a command is, and whether it makes any progress.
type pace interface {
	rate() float64
	stalled(now time.Time) (since time.Duration, why string)
}

// bar draws how far a command is, until the returned function is called; whole tells whether all was done. Without a pace the rate is
// that since the beginning.
func (s *screen) bar(of advance, pace pace) (stop func(whole bool)) {
	if !s.drawn {
		return func(bool) {}
	}
	started := time.Now()
	counts := decor.Any(func(decor.Statistics) string {
		acked, failed := of.counts()
		if pace == nil {
			return fmt.Sprintf(" %d acked, %d failed, %.0f %s/s ", acked, failed, float64(acked)/time.Since(started).Seconds(), of.unit())
		}
		if since, why := pace.stalled(time.Now()); since > 0 {
			// The reason first: a narrow terminal cuts off the end.
			return fmt.Sprintf(" nothing acked for %.0f s: %s; %d acked, %d failed ", since.Seconds(), why, acked, failed)
		}
		return fmt.Sprintf(" %d acked, %d failed, %.0f %s/s ", acked, failed, pace.rate(), of.unit())
	})
	_, total := of.done()
	style, after := mpb.BarFillerBuilder(mpb.BarStyle()), []decor.Decorator{counts, decor.Name("eta "), decor.AverageETA(decor.ET_STYLE_GO)}
	if total < 0 {
		style, after = mpb.SpinnerStyle().PositionLeft(), []decor.Decorator{counts}
	}
	bars := mpb.New(mpb.WithOutput(s.stderr), mpb.WithWidth(80), mpb.WithAutoRefresh())
	// A total of 0 keeps the bar from completing by itself: a file may grow while it is read.
	bar := bars.New(0, style, mpb.AppendDecorators(after...))
	bar.SetTotal(total, false)
	s.writeTo(bars)
	quit, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			n, _ := of.done()
			bar.SetCurrent(n)
			select {
			case <-tick.C:
			case <-quit:
				n, _ := of.done()
				bar.SetCurrent(n)
				return
			}
		}
	}()
	return func(whole bool) {
		close(quit)
		<-over
		s.writeTo(s.stderr)
		if whole {
			bar.SetTotal(-1, true) // draws the last state and ends the line
		} else {
			bar.Abort(false) // it stays where it is: not all was done
		}
		bars.Wait()
	}
}
