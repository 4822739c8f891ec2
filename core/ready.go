package dataproxy

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/multierr"
)

// readyLook is how often Ready looks while it waits: connections come and go for many reasons, and nobody else has to tell it.
const readyLook = 20 * time.Millisecond

func (c *client) Ready(ctx context.Context) error {
	ctx = given(ctx)
	if c.isReady() {
		return nil
	}
	if !insideCallback() {
		ticker := time.NewTicker(readyLook)
		defer ticker.Stop()
		for !c.closing.Load() && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
			if c.isReady() {
				return nil
			}
		}
	}
	if c.closing.Load() {
		return errClosed
	}
	return c.nodes.whyNotReady()
}

// isReady reports whether a batch that is sealed now is written now, as far as the client knows.
func (c *client) isReady() bool {
	if c.closing.Load() {
		return false
	}
	for _, l := range c.dispatcher.usable() {
		if !l.node.aside.Load() {
			return true
		}
	}
	return false
}

// whyNotReady is the error of a client without a connection that takes batches.
func (s *nodes) whyNotReady() error {
	causes := s.causes()
	s.mu.Lock()
	known := len(s.list)
	for _, n := range s.list {
		if n.aside.Load() && len(causes) < mostCauses {
			causes = append(causes, &Error{Code: CodeServerError, Message: "it takes nothing now", Node: n.addr,
				ServerCode: n.answer.serverCode, ServerMessage: n.answer.serverMessage})
		}
	}
	s.mu.Unlock()
	kind := ErrNoAvailableWorker
	if known == 0 {
		kind = ErrNoEndpoint
	}
	if len(causes) == 0 {
		return fmt.Errorf("%w: no connection is proven yet", kind)
	}
	return fmt.Errorf("%w: %w", kind, multierr.Combine(causes...))
}
