package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// lastWait bounds the wait for results after an interruption: who interrupts wants an end.
const lastWait = 30 * time.Second

// resultsTake is how much longer than the last deadline the close waits: in an outage all results come at that moment, and those that came
// later than the close's own end were counted as none.
const resultsTake = 5 * time.Second

// close waits for the results of what was sent: as long as the client's deadline allows, or shorter once ctx, which an interruption
// ends, has ended. A second interruption ends the wait; the summary is still printed.
func (s *shipment) close(ctx context.Context, timeout time.Duration, screen *screen) {
	wait, end := context.WithCancel(context.Background())
	defer end()
	closed := make(chan struct{})
	defer close(closed)
	go func() {
		select {
		case <-ctx.Done():
		case <-closed:
			return
		case <-time.After(timeout + resultsTake):
			end()
			return
		}
		bound := min(lastWait, timeout)
		select {
		case <-time.After(200 * time.Millisecond): // mostly it is over by then
		case <-closed:
			return
		}
		fmt.Fprintf(screen, "waiting for %s to be acked, %v at most; interrupt again to end at once\n", plural(s.waiting(), "line"), bound)
		select {
		case <-secondSignal(ctx):
			end()
		case <-time.After(bound):
			end()
		case <-closed:
		}
	}()
	_, _ = s.client.Shutdown(wait) // what it left without a result is counted by the callbacks
}

// patiently repeats what a full disk refuses while files are followed, and says so each minute: such a disk has room again some day. It
// returns another error, and that of the disk once ctx has ended.
func (s *shipment) patiently(ctx context.Context, try func() error) error {
	for told := (time.Time{}); ; {
		err := try()
		if !s.follow || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
			return err
		}
		if time.Since(told) >= tellEvery {
			told = time.Now()
			s.log.Error("the disk is full: nothing is read until what this program writes can be written; it is tried again each second", "error", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(resendAfter):
		}
	}
}

// keepState saves how far the files are, now and then until the returned function is called, which saves a last time.
func (s *shipment) keepState() (stop func() error) {
	if s.state == nil {
		return func() error { return nil }
	}
	quit, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		rest, told := time.Duration(0), time.Time{}
		for {
			select {
			case <-quit:
				return
			case <-time.After(rest):
			}
			select {
			case <-quit:
				return
			case <-s.files.Met():
			case <-time.After(stateInterval - rest):
			}
			began := time.Now()
			err := s.files.Save()
			// A state of many files takes its time: most of it is left to the files.
			rest = 20 * time.Since(began)
			switch {
			case err == nil:
			case !s.follow:
				s.halt(&exitError{exitInput, fmt.Errorf("writing the state: %w", err)})
				return
			case time.Since(told) >= stalledTold:
				told = time.Now()
				s.log.Error("the state cannot be written; it is tried again, and after a kill more lines would be sent twice", "error", err)
			}
		}
	}()
	return func() error {
		close(quit)
		<-over
		return s.files.Save()
	}
}

var stateInterval = 200 * time.Millisecond

// resend sends lines again that failed while files are followed, until the returned function is called.
func (s *shipment) resend(ctx context.Context) (stop func()) {
	if !s.follow {
		return func() {}
	}
	s.again = &resender{s: s, refused: map[string]bool{}}
	return inBackground(ctx, s.again.run)
}

// inBackground runs f until ctx ends, or the returned function is called, which waits for its end.
func inBackground(ctx context.Context, f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		f(ctx)
	}()
	return func() {
		cancel()
		<-over
	}
}
