package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
)

// UserDialer calls the user's code. If that panics or never returns, the connection fails and the client continues.
type UserDialer struct {
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Most int64 // the most calls that may be overdue: then no further one is made

	late atomic.Int64
}

// Open is for [Config].
func (d *UserDialer) Open(ctx context.Context, address string) (net.Conn, error) {
	if late := d.late.Load(); late >= d.Most {
		return nil, fmt.Errorf("%d calls of the Dialer have not returned though their contexts have ended", late)
	}
	type outcome struct {
		conn net.Conn
		err  error
	}
	done, given := make(chan outcome, 1), new(atomic.Bool)
	go func() {
		o := outcome{err: errors.New("the Dialer did not return: it ended its goroutine")}
		defer func() {
			if r := recover(); r != nil {
				o = outcome{err: fmt.Errorf("the Dialer panicked: %q", fmt.Sprint(r))}
			}
			if given.CompareAndSwap(false, true) {
				done <- o
				return
			}
			d.late.Add(-1) // nobody waits for it now
			if o.conn != nil {
				_ = o.conn.Close()
			}
		}()
		if o.conn, o.err = d.Dial(ctx, "tcp", address); o.conn == nil && o.err == nil {
			o.err = errors.New("the Dialer returned neither a connection nor an error")
		}
	}()
	select {
	case o := <-done:
		return o.conn, o.err
	case <-ctx.Done():
		d.late.Add(1)
		if given.CompareAndSwap(false, true) {
			return nil, fmt.Errorf("the Dialer did not return in time: %w", ctx.Err())
		}
		d.late.Add(-1)
		o := <-done
		return o.conn, o.err
	}
}
