package dataproxy

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

const (
	// storedAtOnce is how many bytes of batches are stored with one write, and one fsync.
	storedAtOnce = 1 * mib
	// acksEvery is the time between two records of acks: what is acked within it comes again behind a crash.
	acksEvery = 50 * time.Millisecond
	// adoptEvery is the time between two looks for slots whose owner is gone, and two tries of what could not be read.
	adoptEvery = 10 * time.Second
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
	opening  int            // how often there was one
	adopted  []*spool.Spool // slots whose owners are gone
	waiting  *batch         // was read back, and lacks room
	records  []spool.Record
	refs     []spool.Ref
	group    []*batch
	body     []byte // of what is read back
	reopenAt time.Time
	metrics  *spoolMetrics

	unsynced bool // something was appended since the last fsync

	// Of an ordered client (line.go).
	adoptions int                     // slots that were ever adopted
	lines     map[*spool.Spool]string // of adopted slots: what their streams are named by
	behind    position                // all that was stored
	places    []position
	surveyed  uint64
	surveying atomic.Bool
	onDisk    atomic.Int64 // batches that are counted as being there only
	stuck     atomic.Int64 // lines in which what was read back waits for the disk

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
	s.opened()
	s.counts.state.Store(SpoolOK)
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
	every := adoptEvery
	if age := s.c.opts.SpoolMaxAge; age > 0 {
		every = min(every, age)
	}
	adopt := time.NewTicker(every)
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
		s.survey()
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
			s.expire()
		case <-s.c.ctx.Done():
			s.close()
			return
		}
	}
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
	most := min(storedAtOnce, s.c.opts.SpoolMaxBytes/16) // near the bound all of it is stored, or nothing
	for len(batches) > 0 {
		group, bytes := batches[:0:0], 0
		for len(batches) > 0 && bytes < most {
			b := batches[0]
			b.mu.Lock() // it may have died, and is let go of then
			bytes += len(b.body.b)
			b.mu.Unlock()
			group, batches = append(group, b), batches[1:]
		}
		s.storeGroup(group)
		for i, b := range group {
			switch {
			case s.c.opts.SpoolResult == SpoolResultStored && s.isResult(b):
				s.c.finish(b, nil)
			case s.c.opts.Ordered:
				b.st.enter(b, s.places[i])
			default:
				s.c.dispatcher.dispatch(b) // one that is dead is dropped there
			}
		}
	}
}

// isResult reports whether b's messages have their result now, which is that they are stored: b is read back when its turn comes.
func (s *spooler) isResult(b *batch) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kept == nil || b.unsettled == 0 {
		return false
	}
	b.kept.counts = true
	return true
}

func (s *spooler) storeGroup(all []*batch) {
	if s.own == nil && !s.reopen() {
		s.place(all, nil)
		return
	}
	s.records, s.group = s.records[:0], s.group[:0]
	for _, b := range all {
		b.mu.Lock()
		if b.unsettled > 0 && !b.expired { // who was told that a message failed may send it again
			s.group = append(s.group, b)
			s.records = append(s.records, b.record())
		}
		b.mu.Unlock()
	}
	if len(s.group) == 0 {
		s.place(all, nil)
		return
	}
	var err error
	s.refs, err = s.own.Append(s.refs[:0], s.records, true)
	s.place(all, s.refs)
	if err == nil && s.opts.Sync == spool.SyncBatch {
		if err = s.own.Sync(); err != nil { // it may be there all the same
			for _, r := range s.refs {
				s.own.Ack(r)
			}
		}
	}
	s.unsynced = s.unsynced || err == nil && s.opts.Sync == spool.SyncInterval
	store, opening := s.own, s.opening
	switch s.warn(err); {
	case err == nil:
		s.counts.stored(s.own, s.opts.MaxBytes)
	case errors.Is(err, spool.ErrFull):
		s.counts.state.Store(SpoolFull)
	default:
		s.counts.state.Store(SpoolFailed)
		s.reconsider()
	}
	_, pending := s.c.budget.pending()
	keep := pending < int64(s.c.opts.MaxPendingBytes)/2 // else memory is for other batches, and this one is compressed again when it is sent
	for i, b := range s.group {
		block := s.records[i].Body
		b.mu.Lock()
		if err == nil {
			if b.unsettled == 0 || b.expired { // meanwhile: its sender was told that it failed
				store.Ack(s.refs[i])
			} else {
				b.kept = &kept{store: store, ref: s.refs[i], opening: opening}
				b.leaveBulk(false) // it does not fail for what is before it
				if keep && s.records[i].Flags&flagSnappy != 0 {
					b.kept.block, block = block, nil
					b.pay()
				}
			}
		}
		b.mu.Unlock()
		if block != nil {
			giveBlock(block)
		}
	}
	clear(s.records)
	clear(s.group)
}

// place gives the batches of an ordered client their places: those of s.group where they were stored, and the others that of the next one.
func (s *spooler) place(all []*batch, refs []spool.Ref) {
	if !s.c.opts.Ordered {
		return
	}
	if len(refs) > 0 {
		s.behind = position{s.opening, refs[len(refs)-1].Behind()}
	}
	s.places = s.places[:0]
	stored := 0
	for _, b := range all {
		at := s.behind
		if stored < len(refs) {
			at.ref = refs[stored]
			if s.group[stored] == b {
				stored++
			}
		}
		s.places = append(s.places, at)
	}
}

// record is b as it is kept: with its body as it goes to the network, in bytes of its own, since who gets the payload of a message that fails
// meanwhile may change it. The caller holds b.mu.
func (b *batch) record() spool.Record {
	flags := uint32(0)
	if b.itemized {
		flags = flagItemized
	}
	block, compressed := *blocks.Get().(*[]byte), false
	if b.st.c.opts.Compression == Snappy {
		if block, compressed = wire.Compress(block, b.body.b); compressed {
			flags |= flagSnappy
		}
	}
	if !compressed {
		block = append(block, b.body.b...)
	}
	return spool.Record{
		ID: b.id, Group: b.st.key.group, Stream: b.st.key.stream, Attributes: string(b.st.tail) + b.attributes, EventTime: b.eventTime,
		Stored: b.st.c.now().UnixMilli(), Messages: b.count(), Flags: flags, Body: block,
	}
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
		delete(s.lines, store)
		return true
	})
	if len(s.adopted) < before {
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
