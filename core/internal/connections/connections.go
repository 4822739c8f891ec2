// Package connections sends frames to the nodes of a cluster. It knows the nodes and which of them are avoided, the lanes on them,
// the choice of a lane for each item, and the end of connections. It knows nothing about what it carries: its Owner builds an
// item's frame when it is about to be written, and is called with the outcome.
package connections

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Owner has the items. An item has one owner at a time: this package owns it from Dispatch on, until TakeParked or one of the methods
// that end an attempt gives it back. The methods must not block. They are called without a lock unless they say otherwise.
type Owner[T comparable] interface {
	// Dead reports whether nobody waits for the item any more. Locks are held.
	Dead(item T) bool
	// Failed returns the nodes that have failed the item, the latest last. Locks may be held.
	Failed(item T) []*Node
	// Home returns what is known of the item's stream. Locks may be held.
	Home(item T) *Home[T]
	// Tight reports whether senders wait for answers; a lane counts as late sooner then. Locks are held.
	Tight() bool

	// Frame appends the item's frame, and returns the numbers that find its answer (transport.Written). Of a dead item it appends nothing,
	// and takes the item back. spare is memory for its work.
	Frame(frames []byte, spare *[]byte, item T, l *Lane[T], now time.Time) (all []byte, seq, other uint64)
	// Writing is called before frames are written.
	Writing(l *Lane[T], frames []transport.Written[T])

	// TooLong ends an attempt that was not begun: the lane's node closes on a frame of that size.
	TooLong(item T, l *Lane[T], size int)
	// Unwritten ends an attempt of which no byte was written.
	Unwritten(item T, reason error)
	// Acked ends an attempt with a success.
	Acked(item T, l *Lane[T])
	// Refused ends an attempt with an error answer, which is valid during the call.
	Refused(frame transport.Written[T], l *Lane[T], a *wire.Answer)
	// Lost ends an attempt whose connection ended before an answer. culprit says that the node closed on this frame, and tooLong is
	// the size of the frame if the node may have closed because of that.
	Lost(item T, l *Lane[T], reason error, culprit bool, tooLong int)

	// Unmatched is called for an answer that matches nothing in flight. It ends no item.
	Unmatched()
	// Dialled is called after each attempt to open a connection for a lane.
	Dialled(err error)

	// Lend lends a buffer to a writer. GiveBack returns it, perhaps grown, together with what Lend returned beside.
	Lend() (buf []byte, beside any)
	GiveBack(buf []byte, beside any)
}

// Config is what this package needs to know.
type Config struct {
	Transport      transport.Config // its Guard is deferred by the goroutines and timers of this package, too
	Lanes          int
	WriteBuffer    int           // how many bytes of frames are joined at most for one write
	MaxLifetime    time.Duration // of a connection; 0 means no bound
	FirstPause     time.Duration // of a node that is put aside
	UpdateInterval time.Duration // after which the list of nodes is asked for in any case
	Forget         bool          // a dead item that is in flight may be forgotten

	// First gets the list that the client starts with, if Start is to do that. fresh means that it need not be asked for soon.
	First func() (fresh bool, err error)
	// Refresh asks for the list and passes it to SetNodes. nil: the list stays as it is.
	Refresh func() error
	Cache   string // where a list that is not fresh came from
	Log     Log

	Lasting Counter // goroutines of lanes and the supervisor
	Writers Counter
}

// Log takes lines. Their arguments may contain a Subject.
type Log interface {
	Warnf(format string, args ...any)
}

// Counter counts goroutines.
type Counter interface {
	Add(n int)
	Done()
}

// AnswersTake is how long a node may need for an answer beyond the time on the network.
const AnswersTake = 50 * time.Millisecond

// Subject is an argument that belongs to the kind of its log line: lines about one node must not hide those about another.
type Subject string

// Home is what is known of a stream: the lane that it sticks to, and who waits for that lane to make progress.
type Home[T comparable] struct {
	lane   atomic.Pointer[Lane[T]]
	Waiter interface{ Progressed() }
}

// Set is the nodes and connections of one client.
type Set[T comparable] struct {
	cfg Config
	ctx context.Context // ends when the connections are to close
	nodes
	dispatcher[T]
	scratches sync.Pool     // of writers
	probes    chan struct{} // one entry for each suspect that is being tried
}

// New makes a set without nodes. It starts nothing.
func New[T comparable](ctx context.Context, cfg *Config, owner Owner[T]) *Set[T] {
	s := &Set[T]{
		cfg: *cfg, ctx: ctx, probes: make(chan struct{}, MostProbes),
		nodes:      nodes{log: cfg.Log, changed: make(chan struct{}), kick: make(chan struct{}, 1), proven: make(chan struct{})},
		dispatcher: dispatcher[T]{owner: owner, dead: owner.Dead, lanes: make([]atomic.Pointer[Lane[T]], cfg.Lanes)},
	}
	s.scratches.New = func() any { return new(scratch[T]) }
	s.pace.timer = time.AfterFunc(time.Hour, s.look)
	s.pace.timer.Stop()
	for i := range s.lanes {
		s.lanes[i].Store(&Lane[T]{s: s, Index: i})
	}
	return s
}

// Start opens the lanes and supervises the nodes until the context of New ends. fresh describes the list that the client starts
// with. asked is closed when a better list was asked for.
func (s *Set[T]) Start(fresh bool) (asked <-chan struct{}) {
	s.cfg.Lasting.Add(len(s.lanes) + 1)
	for i := range s.lanes {
		go s.keepLane(i, nil, nil)
	}
	done := make(chan struct{})
	go s.supervise(fresh, done)
	return done
}

// BackOff doubles from base with the number of attempts and varies by half, up to a bound.
func BackOff(base time.Duration, attempts int, most time.Duration) time.Duration {
	d := base
	for i := 1; i < attempts && d < most; i++ {
		d *= 2
	}
	d = min(d, most)
	return d/2 + rand.N(d/2+1)
}

// jitter varies d by 10 % in both directions, so that many clients do not act at the same moment.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
