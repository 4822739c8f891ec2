package dataproxy

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/fifo"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

const (
	// storedAtOnce is how many bytes of batches are stored with one write and one fsync.
	storedAtOnce = 1 * mib
	// acksEvery is the time between two records of acks: what is acked within it is sent again after a crash.
	acksEvery = 50 * time.Millisecond
	// adoptEvery is the time between two searches for slots whose owner has ended, and between two attempts to read what could not
	// be read.
	adoptEvery = 10 * time.Second
	// adoptWait is how long such a search is repeated while somebody else holds the lock of the folder, which takes moments.
	adoptWait = 2 * time.Second
	// reopenEvery is the time between two attempts to use a folder that has failed.
	reopenEvery = 5 * time.Second
	// tellEvery is the time between two updates of the metrics from the folder.
	tellEvery = time.Second
)

// sweptFrom is how long the queue of batches to store is when it is first swept. The sender does that, and waits for batches that
// other cores work on. With spool_after=100ms a busy client's queue is shorter.
const sweptFrom = 1024

// spooler stores sealed batches before they are written, and reads those back that are no longer in memory. Only its one goroutine
// waits for the disk, and only the batches that are to be stored wait for that goroutine.
type spooler struct {
	c    *client
	opts spool.Options
	kick chan struct{} // room for one
	rest chan chan struct{}
	done chan struct{} // closed after its end

	stall *time.Timer // runs while working

	mu      sync.Mutex
	queue   fifo.Mortal[sealed] // batches to be stored
	inHand  []sealed            // taken out of queue and not passed on yet; nil if stalled has passed them on
	working bool                // the goroutine does work that may wait for the disk
	hangs   atomic.Bool         // it has done so for stallAfter; written under mu

	// Of its goroutine alone.
	own      *spool.Spool   // nil while the folder cannot be used
	opening  int            // how often it was opened
	adopted  []*spool.Spool // slots whose owners have ended
	waiting  *batch         // was read back, and waits for room
	records  []spool.Record
	refs     []spool.Ref
	group    []sealed
	body     []byte // of what is read back
	reopenAt time.Time
	// adoptUntil is the end of a search for slots whose owners have ended; zero if it is done.
	adoptUntil time.Time
	metrics    *spoolMetrics

	unsynced bool // something was appended since the last fsync

	// Of an ordered client (line.go).
	adoptions int                     // slots that were adopted so far
	lines     map[*spool.Spool]string // of adopted slots: the names of their streams
	behind    position                // after all that was stored
	surveyed  uint64
	surveying atomic.Bool
	onDisk    atomic.Int64 // batches that are counted as being there only
	madeRoom  time.Time    // the last search for what can be left to the disk
	stuck     atomic.Int64 // lines in which what was read back waits for the disk

	acks    atomic.Bool   // some are not recorded
	ackKick chan struct{} // room for one
	backlog atomic.Bool   // something may be on the disk only
	acked   atomic.Int64  // batches
	reading atomic.Int64  // bytes of the batches that were read back and are in memory
	counts  spoolCounts
}

// newSpooler opens the folder. What it finds there is sent as there is room. A folder on a full disk is tried again later.
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
	s.queue.Least = sweptFrom
	s.stall = time.AfterFunc(time.Hour, s.stalled)
	s.stall.Stop()
	var err error
	if s.metrics, err = newSpoolMetrics(o.MetricsRegistry, o.MetricsName); err != nil {
		return nil, err
	}
	switch s.own, err = spool.Open(o.SpoolDir, s.opts); {
	case err == nil:
		s.opened()
		s.counts.state.Store(SpoolOK)
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT): // a full disk would not stop it later either
		s.unusable(err)
		s.counts.opened(nil)
		s.counts.state.Store(SpoolFailed)
	default:
		return nil, fmt.Errorf("option spool_dir: %w", err)
	}
	s.metrics.tell(s.stats())
	return s, nil
}

// wake makes the goroutine check for work.
func (s *spooler) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// storeGrace bounds how long a close whose time is over waits for the disk.
const storeGrace = 25 * time.Millisecond

// storeRest waits a moment until what was sealed is stored: the close of the client has no more time.
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

// run ends with the client's context. It leaves on the disk what has no ack.
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
	defer s.stall.Stop()
	s.c.working.Add(1)
	go s.keepAcks()
	s.backlog.Store(true)
	s.lookForOrphans()
	for quiet := false; ; {
		s.works(true)
		s.adopt()
		s.survey()
		s.store(false)
		s.giveBack()
		s.makeRoom()
		s.readBack()
		if s.c.end.closing.Load() {
			s.leaveWaiting()
		}
		if s.backlog.Load() || s.storesLater() || s.looks() {
			again.start(s.lookEvery())
		}
		if !quiet { // the last round found nothing, and nothing has happened since
			tell.start(tellEvery)
		}
		quiet = false
		if s.unsynced {
			sync.start(s.c.opts.SpoolSyncInterval)
		}
		s.works(false)
		select {
		case <-s.kick:
		case stored := <-s.rest:
			s.store(true)
			close(stored)
		case <-again.c:
			again.c = nil
		case <-tell.c:
			tell.c = nil
			now := s.stats()
			s.metrics.tell(now)
			quiet = now.Batches == 0
		case <-sync.c:
			sync.c, s.unsynced = nil, false
			s.works(true)
			s.warn(s.sync())
			s.flushAcks(true)
		case <-adopt.C:
			s.works(true)
			s.backlog.Store(true)
			for _, store := range s.stores() {
				store.Retry()
			}
			s.lookForOrphans()
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

func (s *spooler) sync() error {
	if s.own == nil {
		return nil
	}
	err := s.own.Sync()
	if lost := (*spool.LostError)(nil); errors.As(err, &lost) {
		s.disown(s.own, false)
	}
	return err
}

// giveBack releases the adopted slots of which nothing is left, and tidies up the others.
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
	s.store(true) // what was sealed last and has no result yet, or is swept
	for _, store := range s.stores() {
		s.warn(store.Close())
	}
	s.metrics.end(s.stats())
}
