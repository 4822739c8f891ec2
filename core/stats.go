package dataproxy

import (
	"sync"
	"sync/atomic"
)

// counts is what a client has counted since it was made.
type counts struct {
	acked, refused, batches, retries atomic.Int64

	mu     sync.Mutex // failures are rare enough for a lock
	failed map[Code]int64
}

// results counts n messages that were acked, or failed with err.
func (t *counts) results(err *Error, n int64) {
	if err == nil {
		t.acked.Add(n)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = make(map[Code]int64)
	}
	t.failed[err.Code] += n
}

// report returns the messages that have a result by now.
func (t *counts) report() CloseReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := CloseReport{Acked: t.acked.Load(), ByCode: make(map[Code]int64, len(t.failed))}
	for code, n := range t.failed {
		r.ByCode[code] = n
		r.Failed += n
	}
	return r
}

func (c *client) Stats() Stats {
	report := c.counts.report()
	select {
	case <-c.end.closed: // a sweep of very many messages may still be counting what the report has
		report = c.end.report
	default:
	}
	s := Stats{
		Acked: report.Acked, Failed: report.Failed, Refused: c.counts.refused.Load(), Retries: c.counts.retries.Load(),
		Batches: c.counts.batches.Load(), Spool: c.spooler.stats(),
	}
	s.PendingMessages, s.PendingBytes = c.budget.pending()
	s.Accepted = c.streams.accepted() // read after the results, so it is never less
	s.Streams = c.streams.count()
	for _, l := range c.conns.LaneStats() {
		s.Lanes = append(s.Lanes, LaneStats(l))
	}
	s.Nodes = []NodeStats{}
	for _, n := range c.conns.NodeStats() {
		s.Nodes = append(s.Nodes, NodeStats{
			Addr: n.Addr, Lanes: n.Lanes, Suspect: n.Suspect, Batches: n.Batches, Errors: n.Errors, RoundTrip: RoundTrip(n.RoundTrip),
		})
	}
	return s
}
