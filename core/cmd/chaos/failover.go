package main

import (
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// failover measures the time from the death of a node's connections to the arrival of what was un-acked on them on other
// connections.
type failover struct {
	watching bool
	node     int
	died     time.Time // zero: not yet
	how      string
	waiting  map[string]unacked
	count    int64
	worst    time.Duration
	worstOf  string
}

// unacked is a batch that a node left unanswered.
type unacked struct {
	conn     uint64
	messages []message
}

func (f *failover) arrived(r *dataproxytest.Record, messages []message) {
	if !f.watching {
		return
	}
	id := r.Attr["mid"]
	if w, ok := f.waiting[id]; ok && w.conn != r.Conn {
		delete(f.waiting, id)
		if !f.died.IsZero() {
			f.sample(r.At.Sub(f.died), r.Stream)
		}
		return
	}
	if r.Node == f.node && f.died.IsZero() {
		f.waiting[id] = unacked{r.Conn, messages}
	}
}

func (f *failover) sample(d time.Duration, stream string) {
	f.count++
	if d > f.worst {
		f.worst, f.worstOf = d, stream+", "+f.how
	}
}

// watch begins a measurement: from here on the node answers nothing.
func (j *judge) watch(node int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lost.watching, j.lost.node, j.lost.died, j.lost.waiting = true, node, time.Time{}, make(map[string]unacked)
}

// died says when and how the node's connections ended.
func (j *judge) died(at time.Time, how string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lost.died, j.lost.how = at, how
}

// moved returns how many batches have not arrived elsewhere. One whose messages all have their results need not.
func (j *judge) moved() (left int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for id, w := range j.lost.waiting {
		if !j.pending(w.messages) {
			delete(j.lost.waiting, id)
		}
	}
	return len(j.lost.waiting)
}

func (j *judge) pending(messages []message) bool {
	for _, m := range messages {
		if e := j.streams[m.stream].at(m.number); e != nil && e.state&settled == 0 {
			return true
		}
	}
	return false
}

// unwatch ends a measurement; what has not arrived yet took at least till now.
func (j *judge) unwatch(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, w := range j.lost.waiting {
		j.lost.sample(now.Sub(j.lost.died), j.streams[w.messages[0].stream].name)
	}
	j.lost.watching, j.lost.waiting = false, nil
}
