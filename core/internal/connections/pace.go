package connections

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
)

// A node may answer seconds late, because its process gets no processor time or is stopped most of the time. If others are faster,
// it gets nothing new, and keeps only what was written to it. That waits for its answer, but no longer than the ack time-out after
// its write. A slow network is different: all nodes answer late there, one answer after the other.

const (
	lookEvery = 500 * time.Millisecond
	// LateAfter is how long a node may owe an answer. usualTimes is how many times longer than another node's usual round trip that
	// must be.
	LateAfter  = time.Second
	usualTimes = 20
	// fasterTimes is how much more another node must answer to a lane between two looks.
	fasterTimes = 4
)

var errSlow = errors.New("its answers are late beside those of others")

// pace looks at the lanes while they have something to do. All fields except on belong to the timer.
type pace struct {
	on    atomic.Bool
	timer *time.Timer
	last  time.Time
	looks int // number in a row, each at its time after the one before
}

// answers is how much a node had answered at the last two looks. It belongs to the timer of pace.
type answers [2]int64

// watch starts the timer unless it is running.
func (d *dispatcher[T]) watch() {
	if d.pace.on.Load() || !d.pace.on.CompareAndSwap(false, true) {
		return
	}
	d.pace.looks, d.pace.last = 0, time.Now()
	d.pace.timer.Reset(lookEvery)
}

// speed is what a look finds out about a node.
type speed struct {
	waits    time.Duration // the longest of its lanes
	opened   time.Time     // when that lane was opened
	lanes    int64
	answered int64
}

// look finds nodes that are slower than others. It is called again while something is in flight.
func (s *Set[T]) look() {
	defer s.cfg.Transport.Guard()
	if s.ctx.Err() != nil {
		return
	}
	p := &s.pace
	now := time.Now()
	if p.looks++; now.Sub(p.last) > 2*lookEvery { // this process had no processor time, which says nothing about nodes
		p.looks = 0
	}
	p.last = now
	found, busy := map[*Node]*speed{}, false
	for i := range s.lanes {
		l := s.lanes[i].Load()
		outstanding, usable := l.load()
		busy = busy || outstanding > 0
		if !usable {
			continue
		}
		of := found[l.Node]
		if of == nil {
			of = new(speed)
			found[l.Node] = of
			total := l.Node.batches.Load()
			of.answered = total - l.Node.answers[0]
			l.Node.answers = answers{l.Node.answers[1], total}
		}
		of.lanes++
		if since := l.conn.Waits(); !since.IsZero() && now.Sub(since) > of.waits {
			of.waits, of.opened = now.Sub(since), l.Opened
		}
	}
	if p.looks >= 3 {
		s.leaveSlow(found)
	}
	s.relieveLate()
	if !busy {
		p.on.Store(false)
		if !s.busy() || !p.on.CompareAndSwap(false, true) {
			return
		}
	}
	p.timer.Reset(lookEvery)
}

// relieveLate gives what late lanes have not written to those that have much less to do. One connection may be slow, or may have
// had everything when the network became slow, while others are idle.
func (d *dispatcher[T]) relieveLate() {
	left := make(map[*Home[T]]struct{})
	d.mu.Lock()
	least := math.MaxInt // a late lane that has the least itself gives nothing
	lanes := d.usable()
	for _, l := range lanes {
		if outstanding, _ := l.load(); !l.Node.aside.Load() {
			least = min(least, outstanding)
		}
	}
	for _, l := range lanes {
		queue, soon := l.takeLate(least)
		maps.Copy(left, soon)
		for _, item := range queue {
			d.place(item)
		}
	}
	d.mu.Unlock()
	for home := range left {
		home.Waiter.Progressed()
	}
}

// busy reports whether a lane has something to do.
func (d *dispatcher[T]) busy() bool {
	for i := range d.lanes {
		if outstanding, _ := d.lanes[i].Load().load(); outstanding > 0 {
			return true
		}
	}
	return false
}

// leaveSlow moves the lanes of nodes that are much slower than another one.
func (s *Set[T]) leaveSlow(found map[*Node]*speed) {
	for n, of := range found {
		if of.waits <= LateAfter {
			continue
		}
		for other, o := range found {
			if other != n && o.waits < of.waits/fasterTimes && o.answered > 0 && o.answered*of.lanes > fasterTimes*of.answered*o.lanes &&
				of.waits > usualTimes*other.roundTrips.percentiles(0.5)[0] && !s.suspected(other) {
				s.relapse(n, of.opened, fmt.Errorf("%w: one for %v", errSlow, of.waits.Round(time.Millisecond)))
				s.Leave(n, (*transport.Conn[T]).Hurry)
				break
			}
		}
	}
}
