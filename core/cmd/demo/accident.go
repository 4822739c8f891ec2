package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// accident kills the busiest node when half the lines have arrived and brings it back when three quarters have.
type accident struct {
	cluster *dataproxytest.Cluster
	lines   int
	cancel  context.CancelFunc
	done    chan struct{}
	text    atomic.Pointer[string]
	killed  bool // before done is closed
}

func startAccident(ctx context.Context, cluster *dataproxytest.Cluster, lines int) *accident {
	ctx, cancel := context.WithCancel(ctx)
	a := &accident{cluster: cluster, lines: lines, cancel: cancel, done: make(chan struct{})}
	a.say("")
	go a.happen(ctx)
	return a
}

func (a *accident) happen(ctx context.Context) {
	defer close(a.done)
	if a.cluster.WaitCount(ctx, a.lines/2) != nil {
		a.say("no node was killed: only %s of %s lines arrived", thousands(a.cluster.Count()), thousands(a.lines))
		return
	}
	victim := busiest(a.cluster)
	killed := fmt.Sprintf("node %s killed at %s lines", victim.Addr(), thousands(a.cluster.Count()))
	victim.Kill()
	a.killed = true
	defer victim.Revive()
	a.say("%s", killed)
	if a.cluster.WaitCount(ctx, a.lines*3/4) != nil {
		a.say("%s, still down at the end", killed)
		return
	}
	victim.Revive()
	a.say("%s, back at %s", killed, thousands(a.cluster.Count()))
}

// end returns what happened and whether no node was killed; all nodes run again.
func (a *accident) end() (events string, spared bool) {
	a.cancel()
	<-a.done
	return a.now(), !a.killed
}

func (a *accident) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.text.Store(&text)
}

func (a *accident) now() string { return *a.text.Load() }

func busiest(cluster *dataproxytest.Cluster) *dataproxytest.Node {
	nodes := cluster.Nodes()
	best := nodes[0]
	for _, n := range nodes[1:] {
		if n.Count() > best.Count() {
			best = n
		}
	}
	return best
}
