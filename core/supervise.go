package dataproxy

import (
	"context"
	"slices"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
)

// refreshPause keeps failing nodes or a failing Manager from being asked more often than this.
const refreshPause = time.Second

// mostProbes is how many suspects are tried at a time.
const mostProbes = 16

// supervise refreshes the node list and gives suspects another chance, until the client is closed. Between two events it
// sleeps. fresh tells of the list that the client started with; asked is closed when the Manager was asked for a better one.
func (c *client) supervise(fresh bool, asked chan<- struct{}) {
	defer c.lanesDone.Done()
	defer c.guard()
	r := refresher{c: c}
	if c.opts.LazyStart {
		var err error
		if fresh, err = c.firstList(); err != nil && c.ctx.Err() == nil {
			c.log.Warnf("starting without nodes: %v", err)
			r.failures, fresh = 1, true // that it was asked is what counts
		}
	}
	if fresh {
		r.plan()
	} else if err := r.ask(); err != nil && c.ctx.Err() == nil {
		c.log.Warnf("starting with the nodes of the cache %s: %v", c.opts.NodeCache, err)
	}
	close(asked)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var answer chan error // while the Manager is being asked: it may be silent for long, and suspects do not wait for that
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-timer.C:
		case <-c.nodes.kick:
		case err := <-answer:
			answer = nil
			if r.answered(err); r.failures == 1 && c.ctx.Err() == nil {
				c.log.Warnf("the last node list stays in use: %v", err)
			}
		}
		next := time.Hour
		if answer == nil && r.due() <= 0 {
			answer = r.askBeside()
		}
		c.reprieve()
		if answer == nil {
			next = r.due()
		}
		if _, at := c.nodes.doubtful(time.Now()); !at.IsZero() {
			next = min(next, time.Until(at))
		}
		timer.Reset(max(next, 10*time.Millisecond))
	}
}

// refresher decides when the Manager is asked. It belongs to the supervisor.
type refresher struct {
	c        *client
	last     time.Time
	interval time.Duration // until it is asked in any case
	pause    time.Duration // until it may be asked since all nodes have failed
	before   []string      // the list as it was when it was asked last
	failures int           // requests in a row that failed
	vain     int           // requests in a row that told nothing new while all nodes had failed
}

// ask asks the Manager and waits for its answer.
func (r *refresher) ask() error {
	r.before = r.c.nodes.addrs()
	err := r.c.refresh()
	r.answered(err)
	return err
}

// askBeside asks the Manager on a goroutine of its own. What comes of it is for answered.
func (r *refresher) askBeside() chan error {
	c, answer := r.c, make(chan error, 1)
	r.before = c.nodes.addrs()
	c.lanesDone.Add(1)
	go func() {
		defer c.lanesDone.Done()
		defer c.guard()
		answer <- c.refresh()
	}()
	return answer
}

// answered plans what follows. Where the Manager has nothing new while all nodes have failed, or fails itself, it is asked less and less
// often: a cluster that is down must not take the Manager with it.
func (r *refresher) answered(err error) {
	if r.failures++; err == nil {
		r.failures = 0
	}
	if r.vain++; !r.c.nodes.allFailed() || !slices.Equal(r.before, r.c.nodes.addrs()) {
		r.vain = 0
	}
	r.plan()
}

// addrs returns the list.
func (s *nodes) addrs() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.list {
		list = append(list, n.addr)
	}
	return list
}

// plan sets when it is asked next.
func (r *refresher) plan() {
	r.last = time.Now()
	r.interval, r.pause = jitter(r.c.opts.UpdateInterval), refreshPause
	if r.failures > 0 {
		r.interval = min(r.interval, backOff(refreshPause, r.failures, time.Minute))
	}
	if r.vain > 0 {
		r.pause = backOff(2*refreshPause, r.vain, maxBackOff)
	}
}

// due returns how long it takes until the Manager is to be asked.
func (r *refresher) due() time.Duration {
	if r.c.manager == nil {
		return time.Hour
	}
	wait := r.interval
	if r.c.nodes.allFailed() { // messages wait for their deadlines meanwhile
		wait = min(wait, r.pause)
	}
	return wait - time.Since(r.last)
}

// reprieve tries the nodes whose suspicion is over with connections of its own, so that no lane has to leave a good node for
// one that may still be dead. It does not wait for them: black holes must not hold up the refresh.
func (c *client) reprieve() {
	due, _ := c.nodes.doubtful(time.Now())
	for _, n := range due {
		if len(c.probes) == cap(c.probes) { // the next one that ends wakes the supervisor
			break
		}
		c.probes <- struct{}{}
		c.nodes.mu.Lock()
		n.suspect = time.Now().Add(suspicion) // until it is proven
		c.nodes.mu.Unlock()
		c.lanesDone.Add(1)
		go c.probe(n)
	}
	c.nodes.balance()
}

// probe tries one suspect.
func (c *client) probe(n *node) {
	defer c.lanesDone.Done()
	defer c.guard()
	defer func() {
		<-c.probes
		c.nodes.wake()
	}()
	conn, err := transport.Dial[*batch](c.ctx, n.addr, &c.connConfig)
	switch {
	case err == nil:
		conn.Close()
		c.nodes.connected(n)
		c.nodes.balance()
	case c.ctx.Err() == nil:
		n.forgetLengths()
		n.errors.Add(1)
		c.nodes.suspect(n, err)
	}
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
