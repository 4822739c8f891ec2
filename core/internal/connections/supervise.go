package connections

import (
	"slices"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
)

// RefreshPause keeps failing nodes or a failing Manager from being asked more often than this.
const RefreshPause = time.Second

// MostProbes is how many suspects are tried at a time.
const MostProbes = 16

// mostVain bounds the pause between two requests while all nodes fail, before jitter.
const mostVain = 10 * time.Second

// supervise refreshes the node list and tries suspects again, until the client is closed. Between two events it sleeps. fresh
// describes the list that the client started with. asked is closed when the Manager was asked for a better one.
func (s *Set[T]) supervise(fresh bool, asked chan<- struct{}) {
	defer s.cfg.Lasting.Done()
	defer s.cfg.Transport.Guard()
	r := refresher{nodes: &s.nodes, refresh: s.cfg.Refresh, every: s.cfg.UpdateInterval}
	if s.cfg.First != nil {
		var err error
		if fresh, err = s.cfg.First(); err != nil && s.ctx.Err() == nil {
			s.cfg.Log.Warnf("starting without nodes: %v", err)
			r.failures, fresh = 1, true // what counts is that it was asked
		}
	}
	if fresh {
		r.plan()
	} else if err := r.ask(); err != nil && s.ctx.Err() == nil {
		s.cfg.Log.Warnf("starting with the nodes of the cache %s: %v", s.cfg.Cache, err)
	}
	close(asked)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var answer chan error // while the Manager is being asked: it may be silent for long, and suspects do not wait for it
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
		case <-s.kick:
		case err := <-answer:
			answer = nil
			if r.answered(err); r.failures == 1 && s.ctx.Err() == nil {
				s.cfg.Log.Warnf("the last node list stays in use: %v", err)
			}
		}
		next := time.Hour
		if answer == nil && r.due() <= 0 {
			answer = s.askBeside(&r)
		}
		s.reprieve()
		if answer == nil {
			next = r.due()
		}
		if _, at := s.doubtful(time.Now()); !at.IsZero() {
			next = min(next, time.Until(at))
		}
		timer.Reset(max(next, 10*time.Millisecond))
	}
}

// refresher decides when the Manager is asked. It belongs to the supervisor.
type refresher struct {
	nodes    *nodes
	refresh  func() error  // nil if there is no Manager
	every    time.Duration // the longest time between two requests
	last     time.Time
	interval time.Duration // until it is asked in any case
	pause    time.Duration // until it may be asked because all nodes have failed
	before   []string      // the list at the last request
	failures int           // requests in a row that failed
	vain     int           // requests in a row that brought nothing new while all nodes had failed
}

// ask asks the Manager and waits for its answer.
func (r *refresher) ask() error {
	r.before = r.nodes.addrs()
	err := r.refresh()
	r.answered(err)
	return err
}

// askBeside asks the Manager on a goroutine of its own. answered handles the result.
func (s *Set[T]) askBeside(r *refresher) chan error {
	answer := make(chan error, 1)
	r.before = s.addrs()
	s.cfg.Lasting.Add(1)
	go func() {
		defer s.cfg.Lasting.Done()
		defer s.cfg.Transport.Guard()
		answer <- r.refresh()
	}()
	return answer
}

// answered plans the next request. If the Manager has nothing new while all nodes have failed, or fails itself, it is asked less
// and less often: a cluster that is down must not take the Manager down, too.
func (r *refresher) answered(err error) {
	if r.failures++; err == nil {
		r.failures = 0
	}
	if r.vain++; !r.nodes.AllFailed() || !slices.Equal(r.before, r.nodes.addrs()) {
		r.vain = 0
	}
	r.plan()
}

// addrs returns the list.
func (s *nodes) addrs() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.list {
		list = append(list, n.Addr)
	}
	return list
}

// plan sets the time of the next request.
func (r *refresher) plan() {
	r.last = time.Now()
	r.interval, r.pause = jitter(r.every), RefreshPause
	if r.failures > 0 {
		r.interval = min(r.interval, BackOff(RefreshPause, r.failures, time.Minute))
	}
	if r.vain > 0 {
		r.pause = BackOff(2*RefreshPause, r.vain, mostVain)
	}
}

// due returns the time until the next request.
func (r *refresher) due() time.Duration {
	if r.refresh == nil {
		return time.Hour
	}
	wait := r.interval
	if r.nodes.AllFailed() { // messages are waiting, and have deadlines
		wait = min(wait, r.pause)
	}
	return wait - time.Since(r.last)
}

// reprieve tries the nodes whose suspicion is over, with connections of its own, so that no lane must leave a good node for one
// that may still be dead. It does not wait for them, because a black hole must not delay the refresh.
func (s *Set[T]) reprieve() {
	due, _ := s.doubtful(time.Now())
	for _, n := range due {
		if len(s.probes) == cap(s.probes) { // the next probe that ends wakes the supervisor
			break
		}
		s.probes <- struct{}{}
		s.nodes.mu.Lock()
		n.suspect = time.Now().Add(Suspicion) // until it has answered
		s.nodes.mu.Unlock()
		s.cfg.Lasting.Add(1)
		go s.probe(n)
	}
	s.balance()
}

// probe tries one suspect.
func (s *Set[T]) probe(n *Node) {
	defer s.cfg.Lasting.Done()
	defer s.cfg.Transport.Guard()
	defer func() {
		<-s.probes
		s.wake()
	}()
	conn, err := transport.Dial[T](s.ctx, n.Addr, &s.cfg.Transport)
	switch {
	case err == nil:
		conn.Close()
		s.connected(n)
		s.balance()
	case s.ctx.Err() == nil:
		n.forgetLengths()
		n.errors.Add(1)
		s.Suspect(n, err)
	}
}
