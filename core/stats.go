package dataproxy

import "sync"

// failureCounts counts failed messages by code; failures are rare enough for a lock.
type failureCounts struct {
	mu sync.Mutex
	by map[Code]int64
}

func (f *failureCounts) add(code Code, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = make(map[Code]int64)
	}
	f.by[code] += n
}

func (f *failureCounts) snapshot() map[Code]int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	by := make(map[Code]int64, len(f.by))
	for code, n := range f.by {
		by[code] = n
	}
	return by
}

func (c *client) Stats() Stats {
	report := c.reportNow()
	select {
	case <-c.closed: // a sweep of very many messages may still be counting what the report has
		report = c.report
	default:
	}
	s := Stats{
		Acked: report.Acked, Failed: report.Failed, Refused: c.refusedCount.Load(), Retries: c.retries.Load(),
		Batches: c.doneBatches.Load(), Spool: c.spooler.stats(),
	}
	s.PendingMessages, s.PendingBytes = c.budget.pending()
	s.Accepted = c.streams.accepted() // read after the results, so it is never less
	c.streams.mu.RLock()
	s.Streams = len(c.streams.all)
	c.streams.mu.RUnlock()
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
