package dataproxy

import (
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// spoolCounts are the values that a spooler shares with other goroutines.
type spoolCounts struct {
	open     atomic.Pointer[[]*spool.Spool] // its own slot first, unless it has none
	state    atomic.Value                   // of the last batch that was to be stored: a SpoolState
	replayed atomic.Int64                   // messages
	givenUp  atomic.Int64                   // messages

	// Of slots that are closed; errors also of opening them.
	lost, quarantined, errors atomic.Int64
}

// stored notes that batches were stored. A store that was full counts as full until a sixteenth is free, because small batches find
// room longer than large ones.
func (n *spoolCounts) stored(store *spool.Spool, most int64) {
	if n.state.Load() != SpoolFull || store.Stats().Bytes <= most-most/16 {
		n.state.Store(SpoolOK)
	}
}

// opened publishes which slots are open now.
func (n *spoolCounts) opened(stores []*spool.Spool) { n.open.Store(&stores) }

// closed keeps the error counts of a slot that is no longer open.
func (n *spoolCounts) closed(store *spool.Spool) {
	st := store.Stats()
	n.lost.Add(int64(st.Lost))
	n.quarantined.Add(int64(st.Quarantined))
	n.errors.Add(int64(st.Errors))
}

func (s *spooler) stats() SpoolStats {
	if s == nil {
		return SpoolStats{State: SpoolOff}
	}
	n := &s.counts
	out := SpoolStats{
		State: n.state.Load().(SpoolState), Replayed: n.replayed.Load(), GivenUp: n.givenUp.Load(),
		Lost: n.lost.Load(), Quarantined: n.quarantined.Load(), Errors: n.errors.Load(),
	}
	var oldest time.Time
	for _, store := range *n.open.Load() {
		st := store.Stats()
		out.Bytes += st.Bytes
		out.Batches += st.Batches
		out.Messages += st.Messages
		out.Lost += int64(st.Lost)
		out.Quarantined += int64(st.Quarantined)
		out.Errors += int64(st.Errors)
		if !st.Oldest.IsZero() && (oldest.IsZero() || st.Oldest.Before(oldest)) {
			oldest = st.Oldest
		}
	}
	if !oldest.IsZero() {
		out.OldestAge = s.c.ageOf(oldest)
	}
	return out
}
