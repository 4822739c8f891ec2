package main

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// interrupts ends a command in good order with the first signal. The second one kills the program, which may be waiting for a server
// that is silent; a command that has taken it ends by itself then, and the third one kills.
type interrupts struct {
	taken  atomic.Bool
	second chan struct{}
}

type interruptsKey struct{}

func withInterrupts(parent context.Context) (ctx context.Context, stop func()) {
	in := &interrupts{second: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.WithValue(parent, interruptsKey{}, in))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		if !in.taken.Load() {
			signal.Stop(signals)
		}
		cancel()
		<-signals
		signal.Stop(signals)
		close(in.second)
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// takeSecondSignal says that the command ends by itself when secondSignal comes.
func takeSecondSignal(ctx context.Context) {
	if in, ok := ctx.Value(interruptsKey{}).(*interrupts); ok {
		in.taken.Store(true)
	}
}

func secondSignal(ctx context.Context) <-chan struct{} {
	if in, ok := ctx.Value(interruptsKey{}).(*interrupts); ok {
		return in.second
	}
	return nil
}
