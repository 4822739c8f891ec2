package dataproxy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/connections"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

const (
	maxBackOff = 10 * time.Second
	// A batch whose connection was lost gets another one within a second, whatever the back-off is.
	maxBackOffLost = 800 * time.Millisecond
	// A node that ends closes all its connections within this time.
	nodeEnds = 250 * time.Millisecond
	// A node learns of a new stream with some delay, so asking again sooner does not help.
	unknownStreamBackOff = 2 * time.Second
	// A node that answered "not now" may take the batch at any moment, so it is asked again at least this often.
	maxBackOffNotNow = connections.MaxBackOffNotNow
)

// The server's error codes on which the client decides; the documentation has all of them.
const (
	serverSinkUnready    = 1 // start-up
	serverServiceClosed  = 2 // switched off by its administrator
	serverChannelFull    = 114
	serverTopicUnknown   = 115
	serverMQFirst        = 116 // to 119: the message queue behind the node
	serverMQLast         = 119
	serverIDUnknown      = 121
	serverIDInconsistent = 122
)

// notNow reports whether this answer says only that the node did not take the batch at this moment. Nothing was written, so it is
// no failed attempt: the batch goes elsewhere or waits, and only the deadlines of its messages end that.
func notNow(code int) bool {
	switch code {
	case serverSinkUnready, serverServiceClosed, serverChannelFull:
		return true
	}
	return code >= serverMQFirst && code <= serverMQLast
}

// retryOtherNode reports whether another node, or the same one later, may accept what this answer refused.
func retryOtherNode(code int) bool { return notNow(code) || code == serverTopicUnknown }

// neverCured reports whether the batch itself is at fault, so that it fails on every node.
func neverCured(code int) bool {
	switch {
	case code == 3, code >= 94 && code <= 112, code >= serverIDUnknown && code <= 123, code == 150, code == 151:
		return true
	}
	return false
}

// refused decides what follows from an error answer to a batch that was written at that time. A guess may concern another batch;
// this one is then treated like a batch without an answer.
func (c *client) refused(b *batch, l *lane, written time.Time, guess bool, a *wire.Answer) {
	c.metrics.failed(CodeServerError)
	b.answered(guess)
	failure := attemptFailure{serverCode: a.Code, serverMessage: answerText(a)}
	base := c.opts.RetryInitialInterval
	if notNow(a.Code) {
		if a.Code == serverSinkUnready || a.Code == serverServiceClosed || c.conns.OthersHaveNoLane(l.Node, b.avoid) {
			c.conns.Suspect(l.Node, fmt.Errorf("it answered code %d", a.Code))
			c.conns.Leave(l.Node)
		}
		c.conns.PutAside(l.Node, written, connections.Answer{Code: a.Code, Text: failure.serverMessage})
		elsewhere := c.conns.Untried(b.avoid, l.Node)
		c.failedAttempt(b, l.Node, CodeServerError, failure, forFree, c.elsewhereOrLater(elsewhere))
		return
	}
	c.conns.NextScout(l.Node, written)
	price := forOneAttempt
	if !retryOtherNode(a.Code) && (!c.opts.RetryOnServerError || neverCured(a.Code)) {
		price = noMore
	}
	if a.Code == serverTopicUnknown {
		base = max(base, unknownStreamBackOff)
	}
	c.failedAttempt(b, l.Node, CodeServerError, failure, price, func(b *batch) time.Duration { return connections.BackOff(base, b.paid, maxBackOff) })
}

// answerText is the text that a node sent with its code.
func answerText(a *wire.Answer) string { return string(a.Text[:min(len(a.Text), 4*kib)]) }

// elsewhereOrLater returns the pause of a batch that a node did not take.
func (c *client) elsewhereOrLater(elsewhere bool) func(*batch) time.Duration {
	return func(b *batch) time.Duration {
		if b.refusals++; elsewhere {
			return 0
		}
		return connections.BackOff(c.opts.RetryInitialInterval, b.refusals, maxBackOffNotNow)
	}
}

// connectionLost decides what happens to a batch that was written to l and has no answer, so it may be stored or not. The first
// time it goes to another lane at once. Only the batch that ended the connection pays an attempt, and only once for the end of a
// node, whose connections close one after the other. Deadlines bound the others. If max_retries is 0 nothing may be written twice.
// tooLong is the length of its frame if the node may have closed because of it.
func (c *client) connectionLost(b *batch, l *lane, reason error, culprit bool, tooLong int) {
	code := CodeConnClosedByPeer
	switch {
	case errors.Is(reason, transport.ErrAckTimeout):
		code = CodeSendTimeout
	case errors.Is(reason, transport.ErrRead):
		code = CodeConnReadFailed
	case errors.Is(reason, transport.ErrWrite):
		code = CodeConnWriteFailed
	}
	c.metrics.failed(code)
	c.countRetry(b, l)
	b.answered(true)
	now := time.Now()
	again := now.Sub(b.lostAt) < nodeEnds && l.Opened.Before(b.lostAt) && len(b.avoid) > 0 && b.avoid[len(b.avoid)-1] == l.Node
	b.lostAt = now
	price := forFree
	if culprit && !again && !c.cannotTell(b) || c.opts.MaxRetries == 0 {
		price = forOneAttempt
	}
	if price == forOneAttempt && tooLong > 0 && c.closedOn(b, l.Node, tooLong, reason) {
		return
	}
	c.failedAttempt(b, l.Node, code, attemptFailure{cause: reason}, price, func(b *batch) time.Duration {
		switch {
		case tooLong > 0 && !c.conns.Untried(b.avoid, l.Node):
			return nodeEnds // otherwise the next close, of a connection that is open already, would prove nothing
		case b.attempts == 1:
			return 0
		}
		return connections.BackOff(c.opts.RetryInitialInterval, b.attempts-1, maxBackOffLost)
	})
}

// cannotTell reports whether a stored batch lost its connection while no node took anything else either. That is an outage, which
// the batch outlives.
func (c *client) cannotTell(b *batch) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kept == nil {
		return false
	}
	before := b.kept.ackedAtLoss
	b.kept.ackedAtLoss = c.spooler.acked.Load()
	return b.kept.ackedAtLoss == before
}

// price is what another attempt costs. max_retries counts attempts that may have been written.
type price int

const (
	forFree price = iota
	forOneAttempt
	noMore
)

// failedAttempt sends b again after a pause, or fails it with code if it may not be tried again.
func (c *client) failedAttempt(b *batch, n *node, code Code, failure attemptFailure, price price, pause func(*batch) time.Duration) {
	b.mu.Lock()
	if b.unsettled == 0 {
		b.mu.Unlock()
		c.spooler.ended(b, false, nil)
		b.st.settled(b)
		return
	}
	b.failure = failure
	if price == forOneAttempt {
		b.paid++
	}
	if price == noMore || b.paid > c.opts.MaxRetries || c.end.swept.Load() {
		b.mu.Unlock()
		if price != noMore && c.end.swept.Load() {
			c.sweep(b)
			return
		}
		c.finish(b, func() *Error { return b.fault(code, "", nil) })
		return
	}
	b.avoid = append(slices.DeleteFunc(b.avoid, func(other *node) bool { return other == n }), n)
	wait := pause(b)
	if wait > 0 {
		now := time.Now()
		b.retryAt = now.Add(wait)
		b.wake(now)
	}
	b.mu.Unlock()
	if wait == 0 {
		c.conns.Dispatch(b)
	}
}
