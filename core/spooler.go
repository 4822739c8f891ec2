package dataproxy

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

const (
	// storedAtOnce is how many bytes of batches are stored with one write, and one fsync.
	storedAtOnce = 1 * mib
	// acksEvery is the time between two records of acks: what is acked within it comes again behind a crash.
	acksEvery = 50 * time.Millisecond
	// adoptEvery is the time between two looks for slots whose owner is gone, and two tries of what could not be read.
	adoptEvery = time.Minute
	// reopenEvery is the time between two tries to use a folder again that has failed.
	reopenEvery = 5 * time.Second
	// tellEvery is the time between two looks of metrics at the folder.
	tellEvery = time.Second
)

// spooler stores sealed batches before they are written, and reads those back that are no longer in memory. It has one goroutine, which
// alone waits for the disk: nobody waits for it but the batches that are to be stored.
type spooler struct {
	c    *client
	opts spool.Options
	kick chan struct{} // room for one
	rest chan chan struct{}
	done chan struct{} // closed behind its end

	mu    sync.Mutex
	queue fifo[*batch] // sealed, to be stored

	// Of its goroutine alone.
	own      *spool.Spool   // nil while the folder cannot be used
	adopted  []*spool.Spool // slots whose owners are gone
	waiting  *batch         // was read back, and lacks room
	records  []spool.Record
	refs     []spool.Ref
	group    []*batch
	bytes    []byte
	reopenAt time.Time
	metrics  *spoolMetrics

	unsynced bool // something was appended since the last fsync

	acks    atomic.Bool   // some are not recorded
	ackKick chan struct{} // room for one
	backlog atomic.Bool   // something may be on the disk only
	acked   atomic.Int64  // batches
	reading atomic.Int64  // bytes of the batches that were read back and are in memory
	counts  spoolCounts
}

// newSpooler opens the folder. What it finds there is sent as room comes.
func newSpooler(c *client) (*spooler, error) {
	o := &c.opts
	s := &spooler{c: c, kick: make(chan struct{}, 1), rest: make(chan chan struct{}), done: make(chan struct{})}
	s.opts = spool.Options{MaxBytes: int64(o.SpoolMaxBytes), Warn: c.log.Warnf}
	switch o.SpoolSync {
	case SpoolSyncInterval:
		s.opts.Sync = spool.SyncInterval
	case SpoolSyncBatch:
		s.opts.Sync = spool.SyncBatch
	}
	s.ackKick = make(chan struct{}, 1)
	var err error
	if s.metrics, err = newSpoolMetrics(o.MetricsRegistry, o.MetricsName); err != nil {
		return nil, err
	}
	if s.own, err = spool.Open(o.SpoolDir, s.opts); err != nil {
		return nil, fmt.Errorf("option spool_dir: %w", err)
	}
	s.counts.state.Store(SpoolOK)
	s.counts.opened(s.stores())
	s.metrics.tell(s.stats())
	return s, nil
}

// wake has the goroutine look what there is to do.
func (s *spooler) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// take takes a sealed batch to be stored and sent. behind asks the sender to let others run.
func (s *spooler) take(b *batch) (behind bool) {
	s.mu.Lock()
	s.queue.push(b)
	behind = s.queue.len() > yieldAfter
	s.mu.Unlock()
	s.wake()
	return behind
}

// storeGrace bounds what a close whose time is over gives to the disk.
const storeGrace = 25 * time.Millisecond

// storeRest waits until what was sealed is stored, for a moment: the close of the client has no more time.
func (s *spooler) storeRest() {
	grace := time.NewTimer(storeGrace)
	defer grace.Stop()
	stored := make(chan struct{})
	select {
	case s.rest <- stored:
	case <-grace.C:
		return
	}
	select {
	case <-stored:
	case <-grace.C:
	}
}

// run ends with the client's context, and leaves on the disk what has no ack.
func (s *spooler) run() {
	defer s.c.working.Done()
	defer close(s.done)
	defer s.c.guard()
	adopt := time.NewTicker(adoptEvery)
	defer adopt.Stop()
	var again, sync, tell idleTimer
	defer again.stop()
	defer tell.stop()
	defer sync.stop()
	s.c.working.Add(1)
	go s.keepAcks()
	s.backlog.Store(true)
	s.adopt()
	for quiet := false; ; {
		s.store()
		s.giveBack()
		s.makeRoom()
		s.readBack()
		if s.c.closing.Load() {
			s.leaveWaiting()
		}
		if s.backlog.Load() {
			again.start(acksEvery)
		}
		if !quiet { // the last look has found nothing, and nothing has happened since
			tell.start(tellEvery)
		}
		quiet = false
		if s.unsynced {
			sync.start(s.c.opts.SpoolSyncInterval)
		}
		select {
		case <-s.kick:
		case stored := <-s.rest:
			s.store()
			close(stored)
		case <-again.c:
			again.c = nil
		case <-tell.c:
			tell.c = nil
			s.metrics.tell(s.stats())
			quiet = s.metrics.told.Batches == 0
		case <-sync.c:
			sync.c, s.unsynced = nil, false
			s.warn(s.sync())
			s.flushAcks(true)
		case <-adopt.C:
			s.backlog.Store(true)
			for _, store := range s.stores() {
				store.Retry()
			}
			s.adopt()
		case <-s.c.ctx.Done():
			s.close()
			return
		}
	}
}

// stores returns the slots that are open, its own first.
func (s *spooler) stores() (all []*spool.Spool) {
	if s.own != nil {
		all = append(all, s.own)
	}
	return append(all, s.adopted...)
}

func (s *spooler) warn(err error) {
	if err != nil {
		s.c.log.Warnf("spool: %v", err)
	}
}

// store stores what is sealed, in few writes, and hands it on. A disk that refuses does not stop it: the client continues as without one.
func (s *spooler) store() {
	s.mu.Lock()
	batches := s.queue.takeAll()
	s.mu.Unlock()
	for len(batches) > 0 {
		group, bytes := batches[:0:0], 0
		for len(batches) > 0 && bytes < storedAtOnce {
			bytes += len(batches[0].body.b)
			group, batches = append(group, batches[0]), batches[1:]
		}
		s.storeGroup(group)
		for _, b := range group {
			s.c.dispatcher.dispatch(b) // one that is dead is dropped there
		}
	}
}

func (s *spooler) storeGroup(all []*batch) {
	if s.own == nil && !s.reopen() {
		return
	}
	s.records, s.group, s.bytes = s.records[:0], s.group[:0], s.bytes[:0]
	for _, b := range all {
		b.mu.Lock()
		if b.unsettled > 0 && !b.expired { // who was told that a message failed may send it again
			s.group = append(s.group, b)
			s.records = append(s.records, b.record())
			s.bytes = append(s.bytes, b.body.b...)
		}
		b.mu.Unlock()
	}
	if len(s.group) == 0 {
		return
	}
	rest := s.bytes
	for i := range s.records { // in bytes of its own: who gets the payload of a message that fails meanwhile may change it
		n := len(s.records[i].Body)
		s.records[i].Body, rest = rest[:n], rest[n:]
	}
	var err error
	s.refs, err = s.own.Append(s.refs[:0], s.records, true)
	if err == nil && s.opts.Sync == spool.SyncBatch {
		if err = s.own.Sync(); err != nil { // it may be there all the same
			for _, r := range s.refs {
				s.own.Ack(r)
			}
		}
	}
	s.unsynced = s.unsynced || err == nil && s.opts.Sync == spool.SyncInterval
	switch s.warn(err); {
	case err == nil:
		s.counts.stored(s.own, s.opts.MaxBytes)
	case errors.Is(err, spool.ErrFull):
		s.counts.state.Store(SpoolFull)
	default:
		s.counts.state.Store(SpoolFailed)
		s.reconsider()
	}
	for i, b := range s.group {
		b.mu.Lock()
		if err == nil {
			if b.unsettled == 0 || b.expired { // meanwhile: its sender was told that it failed
				s.own.Ack(s.refs[i])
			} else {
				b.kept = &kept{store: s.own, ref: s.refs[i]}
				b.leaveBulk(false) // it does not fail for what is before it
			}
		}
		b.mu.Unlock()
	}
	clear(s.records)
	clear(s.group)
	if cap(s.bytes) > 4*storedAtOnce {
		s.bytes = nil
	}
}

// record is b as it is kept. The caller holds b.mu.
func (b *batch) record() spool.Record {
	flags := uint32(0)
	if b.itemized {
		flags = flagItemized
	}
	return spool.Record{
		ID: b.id, Group: b.st.key.group, Stream: b.st.key.stream, Attributes: string(b.st.tail) + b.attributes, EventTime: b.eventTime,
		Stored: time.Now().UnixMilli(), Messages: b.count(), Flags: flags, Body: b.body.b,
	}
}

// reconsider closes a slot that has gone from under its store.
func (s *spooler) reconsider() {
	if err := s.own.Check(); err != nil {
		s.warn(fmt.Errorf("the folder cannot be used, what is sent now is not stored: %w", err))
		_ = s.own.Close()
		s.counts.closed(s.own)
		s.own, s.reopenAt = nil, time.Now().Add(reopenEvery)
		s.counts.opened(s.stores())
	}
}

func (s *spooler) reopen() bool {
	if time.Now().Before(s.reopenAt) {
		return false
	}
	own, err := spool.Open(s.c.opts.SpoolDir, s.opts)
	if err != nil {
		s.warn(err)
		s.counts.errors.Add(1)
		s.reopenAt = time.Now().Add(reopenEvery)
		return false
	}
	s.own = own
	s.counts.opened(s.stores())
	return true
}

func (s *spooler) sync() error {
	if s.own == nil {
		return nil
	}
	return s.own.Sync()
}

// giveBack gives the adopted slots back of which nothing is left, and tidies the others up.
func (s *spooler) giveBack() {
	for _, store := range s.stores() {
		s.warn(store.Tidy())
	}
	before := len(s.adopted)
	s.adopted = slices.DeleteFunc(s.adopted, func(store *spool.Spool) bool {
		if st := store.Stats(); st.Bytes > 0 || st.Unreadable > 0 { // segments that were not read to their end are not removed yet
			return false
		}
		s.warn(store.Close())
		s.counts.closed(store)
		return true
	})
	if len(s.adopted) < before {
		s.counts.opened(s.stores())
	}
}

// adopt takes the slots whose owners are gone.
func (s *spooler) adopt() {
	for {
		store, err := spool.Adopt(s.c.opts.SpoolDir, s.opts)
		if err != nil {
			s.warn(err)
		}
		if store == nil {
			return
		}
		st := store.Stats()
		s.c.log.Warnf("spool: %d batches with %d messages of a client that is gone are sent by this one", st.Batches, st.Messages)
		s.adopted = append(s.adopted, store)
		s.counts.opened(s.stores())
	}
}

func (s *spooler) close() {
	s.store() // what was sealed last: it has no result yet, or is swept
	for _, store := range s.stores() {
		s.warn(store.Close())
	}
	s.metrics.end(s.stats())
}

// makeRoom leaves batches to the disk that wait for a lane while memory is short: their messages have their results then, "stored".
func (s *spooler) makeRoom() {
	b := &s.c.budget
	most := int64(s.c.opts.MaxPendingBytes)
	messages, bytes := b.pending()
	if bytes <= most/4*3 && messages <= b.maxMessages/4*3 {
		return
	}
	for _, parked := range s.c.dispatcher.takeParked() {
		parked.mu.Lock()
		kept, held, count := parked.kept != nil && !parked.kept.replayed, parked.charged, int64(parked.count())
		parked.mu.Unlock()
		if !kept || bytes < most/2 && messages < b.maxMessages/2 {
			s.c.dispatcher.dispatch(parked)
			continue
		}
		bytes, messages = bytes-held, messages-count
		s.c.finish(parked, func() *Error {
			return parked.fault(CodeSendTimeout, "memory was short while no node took messages", s.c.outage(parked))
		})
	}
}
