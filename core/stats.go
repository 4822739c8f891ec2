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
	case <-c.closed: // a sweep of very many may still be counting what the report has
		report = c.report
	default:
	}
	s := Stats{
		Acked: report.Acked, Failed: report.Failed, Refused: c.refusedCount.Load(), Retries: c.retries.Load(),
		Batches: c.doneBatches.Load(), Spool: c.spooler.stats(), Nodes: c.nodes.stats(),
	}
	s.PendingMessages, s.PendingBytes = c.budget.pending()
	s.Accepted = c.streams.accepted() // behind the results: never fewer
	c.streams.mu.RLock()
	s.Streams = len(c.streams.all)
	c.streams.mu.RUnlock()
	for i := range c.dispatcher.lanes {
		s.Lanes = append(s.Lanes, c.dispatcher.lanes[i].Load().stats())
	}
	return s
}
