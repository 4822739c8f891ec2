package dataproxy

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/multierr"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/connections"
)

// readyLook is how often Ready checks while it waits. Connections come and go for many reasons, and nothing else needs to tell
// Ready about them.
const readyLook = 20 * time.Millisecond

func (c *client) Ready(ctx context.Context) error {
	ctx = given(ctx)
	if c.isReady() {
		return nil
	}
	if !insideCallback() {
		ticker := time.NewTicker(readyLook)
		defer ticker.Stop()
		for !c.end.closing.Load() && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
			if c.isReady() {
				return nil
			}
		}
	}
	if c.end.closing.Load() {
		return errClosed
	}
	return c.whyNotReady()
}

// isReady reports whether a batch that is sealed now is written now, as far as the client knows.
func (c *client) isReady() bool { return !c.end.closing.Load() && c.conns.Takes() }

// whyNotReady is the error of a client without a connection that takes batches.
func (c *client) whyNotReady() error {
	causes := c.conns.Causes()
	asides, known := c.conns.Asides()
	for _, n := range asides {
		if len(causes) < connections.MostCauses {
			causes = append(causes, &Error{Code: CodeServerError, Message: "it takes nothing now", Node: n.Addr,
				ServerCode: n.Answer.Code, ServerMessage: n.Answer.Text})
		}
	}
	kind, missing := ErrNoAvailableWorker, "no node takes messages now"
	if known == 0 {
		kind, missing = ErrNoEndpoint, "no node is known yet"
	}
	if len(causes) == 0 {
		return fmt.Errorf("%w: %s", kind, missing)
	}
	return fmt.Errorf("%w: %s: %w", kind, missing, multierr.Combine(causes...))
}
