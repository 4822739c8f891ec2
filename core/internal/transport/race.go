package transport

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/multierr"
)

// namedFailures is how many failures the error of a race lists: a host name may have hundreds of addresses.
const namedFailures = 4

// First races dial(ctx, 0) to dial(ctx, n-1) and returns the first success and its number. The next one starts when the last one
// has run for stagger, and at once when one fails. The first success ends the context of the others; a connection that one of them
// opened in spite of that is given to drop. First fails when all failed, or when ctx ended, with their errors.
//
// Every dial that was started has returned before First does, so dial must end with its context. A panic of dial continues in
// First, on the caller's goroutine.
func First[T any](ctx context.Context, n int, stagger time.Duration, dial func(ctx context.Context, i int) (T, error),
	drop func(T)) (first T, index int, err error) {
	if n < 1 {
		return first, -1, errors.New("there is nothing to dial")
	}
	if n == 1 {
		first, err = dial(ctx, 0)
		return first, 0, err
	}
	type outcome struct {
		i        int
		value    T
		err      error
		panicked any
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outcomes := make(chan outcome)
	timer := time.NewTimer(stagger)
	defer timer.Stop()
	started, running, failed := 0, 0, 0
	var panicked any
	next := func() {
		if started == n || ctx.Err() != nil && started > 0 {
			return
		}
		o := outcome{i: started}
		started++
		running++
		timer.Reset(stagger)
		go func() {
			defer func() {
				if r := recover(); r != nil {
					o.panicked = fmt.Sprintf("%v\n%s", r, debug.Stack())
				}
				outcomes <- o
			}()
			o.value, o.err = dial(ctx, o.i)
		}()
	}
	index = -1
	for next(); running > 0; {
		select {
		case <-timer.C:
			next()
		case o := <-outcomes:
			running--
			switch {
			case o.panicked != nil:
				panicked = o.panicked
				cancel()
			case o.err != nil:
				if failed++; failed <= namedFailures {
					err = multierr.Append(err, o.err)
				}
				next()
			case index < 0:
				first, index = o.value, o.i
				cancel()
			default:
				drop(o.value)
			}
		}
	}
	switch {
	case panicked != nil:
		if index >= 0 {
			drop(first)
		}
		panic(panicked)
	case index >= 0:
		return first, index, nil
	case failed > namedFailures:
		err = fmt.Errorf("%w; and %d more like these", err, failed-namedFailures)
	}
	return first, index, err
}
