package dataproxy

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
)

// A node may answer, and yet seconds late: its process starves, or is stopped most of the time. Beside others that are faster it gets
// nothing new then, and keeps nothing that it was not written. What it was written waits for its answer, no longer than the ack
// time-out from its writing. A slow network is no such node: there answers come late and one after the other, from all of them.

const (
	lookEvery = 500 * time.Millisecond
	// lateAfter is how long a node may owe an answer, and usualTimes how much longer than another one's usual round trip.
	lateAfter  = time.Second
	usualTimes = 20
	// fasterTimes is how much more another node has to answer a lane, in two looks.
	fasterTimes = 4
)

var errSlow = errors.New("its answers are late beside those of others")

// pace looks at the lanes while they have something to do. All but on belongs to the timer.
type pace struct {
	on    atomic.Bool
	timer *time.Timer
	last  time.Time
	looks int // in a row, each as long after the one before as it should be
}

// answers is what a node had answered at the last two looks. It belongs to the timer of pace.
type answers [2]int64

// watch makes sure that somebody looks.
func (d *dispatcher) watch() {
	if d.pace.on.Load() || !d.pace.on.CompareAndSwap(false, true) {
		return
	}
	d.pace.looks, d.pace.last = 0, time.Now()
	d.pace.timer.Reset(lookEvery)
}

// speed is what a look finds of a node.
type speed struct {
	waits    time.Duration // the longest of its lanes
	lanes    int64
	answered int64
}

// look finds nodes that are slower than others, and continues while something is in flight.
func (c *client) look() {
	defer c.guard()
	if c.ctx.Err() != nil {
		return
	}
	p := &c.dispatcher.pace
	now := time.Now()
	if p.looks++; now.Sub(p.last) > 2*lookEvery { // this process had no time: that says nothing of nodes
		p.looks = 0
	}
	p.last = now
	found, busy := map[*node]*speed{}, false
	for i := range c.dispatcher.lanes {
		l := c.dispatcher.lanes[i].Load()
		outstanding, usable := l.load()
		busy = busy || outstanding > 0
		if !usable {
			continue
		}
		s := found[l.node]
		if s == nil {
			s = new(speed)
			found[l.node] = s
			total := l.node.batches.Load()
			s.answered = total - l.node.answers[0]
			l.node.answers = answers{l.node.answers[1], total}
		}
		s.lanes++
		if since := l.conn.Waits(); !since.IsZero() {
			s.waits = max(s.waits, now.Sub(since))
		}
	}
	if p.looks >= 3 {
		c.leaveSlow(found)
	}
	c.dispatcher.relieveLate()
	if !busy {
		p.on.Store(false)
		if !c.dispatcher.busy() || !p.on.CompareAndSwap(false, true) {
			return
		}
	}
	p.timer.Reset(lookEvery)
}

// relieveLate gives what late lanes have not written to those that have much less to do: one connection may be slow, or be the one that
// had all when the network became so, beside others that are idle.
func (d *dispatcher) relieveLate() {
	left := make(map[*stream]struct{})
	d.mu.Lock()
	least := math.MaxInt // a late one that has it itself has nothing to give
	lanes := d.usable()
	for _, l := range lanes {
		if outstanding, _ := l.load(); !l.node.aside.Load() {
			least = min(least, outstanding)
		}
	}
	for _, l := range lanes {
		queue, soon := l.takeLate(least)
		maps.Copy(left, soon)
		for _, b := range queue {
			d.place(b)
		}
	}
	d.mu.Unlock()
	for st := range left {
		st.getOn()
	}
}

// busy reports whether a lane has something to do.
func (d *dispatcher) busy() bool {
	for i := range d.lanes {
		if outstanding, _ := d.lanes[i].Load().load(); outstanding > 0 {
			return true
		}
	}
	return false
}

// leaveSlow moves the lanes of nodes that are much slower than another one.
func (c *client) leaveSlow(found map[*node]*speed) {
	for n, s := range found {
		if s.waits <= lateAfter {
			continue
		}
		for other, o := range found {
			if other != n && o.waits < s.waits/fasterTimes && o.answered > 0 && o.answered*s.lanes > fasterTimes*s.answered*o.lanes &&
				s.waits > usualTimes*other.roundTrips.percentiles(0.5)[0] && !c.nodes.suspected(other) {
				c.nodes.relapse(n, fmt.Errorf("%w: one for %v", errSlow, s.waits.Round(time.Millisecond)))
				c.nodes.leave(n, (*transport.Conn[*batch]).Hurry)
				break
			}
		}
	}
}
