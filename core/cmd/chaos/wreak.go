package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// wrecker hurts a cluster: storms, in which anything happens, take turns with measurements, in which one node dies and
// nothing else happens.
type wrecker struct {
	cluster *dataproxytest.Cluster
	judge   *judge
	users   []*user
	random  *rand.Rand
	cuts    int64 // frames that a queued fault may have cut without the judge's knowledge

	mu     sync.Mutex // of the nodes' own dice
	dice   *rand.Rand
	odds   atomic.Int64 // of 1000 frames, how many meet a fault
	silent atomic.Int64 // the node that answers nothing, or none
	moods  []mood       // of the nodes, by their index
}

const none = -1

// mood is how a node behaves for a while, apart from its single faults.
type mood struct {
	unready atomic.Int64 // unix ms until which it answers code 1, as a node does after its start
	slow    atomic.Int64 // ms that each answer takes: it trickles
	short   atomic.Bool  // it closes on long frames
}

// longFrame is the length of items that a node which takes short frames only closes on.
const longFrame = 30000

func (m *mood) lift() {
	m.unready.Store(0)
	m.slow.Store(0)
	m.short.Store(false)
}

func newWrecker(cluster *dataproxytest.Cluster, j *judge, seed uint64) *wrecker {
	w := &wrecker{cluster: cluster, judge: j, random: rand.New(rand.NewPCG(seed, 1)), dice: rand.New(rand.NewPCG(seed, 2))}
	w.silent.Store(none)
	w.moods = make([]mood, len(cluster.Nodes()))
	for _, n := range cluster.Nodes() {
		n.Handle(w.frame)
	}
	return w
}

// frame decides the fate of a frame and tells the judge, before the node answers.
func (w *wrecker) frame(r dataproxytest.Record) dataproxytest.Fault {
	var f dataproxytest.Fault
	m := &w.moods[r.Node]
	if late := m.slow.Load(); late > 0 {
		time.Sleep(time.Duration(late) * time.Millisecond)
	}
	if int64(r.Node) == w.silent.Load() {
		f = dataproxytest.DropAnswer()
	} else if time.Now().UnixMilli() < m.unready.Load() {
		f = dataproxytest.Unready()
	} else if m.short.Load() && length(&r) > longFrame {
		f = dataproxytest.CloseAfterRead()
	} else if odds := w.odds.Load(); odds > 0 {
		w.mu.Lock()
		if w.dice.Int64N(1000) < odds {
			f = w.dataFault()
		}
		w.mu.Unlock()
	}
	w.judge.frame(&r)
	w.judge.arrived(&r, fateOf(f))
	return f
}

func length(r *dataproxytest.Record) (sum int) {
	for _, item := range r.Items {
		sum += len(item)
	}
	return sum
}

func fateOf(f dataproxytest.Fault) state {
	switch f.Kind {
	case dataproxytest.KindErrorCode, dataproxytest.KindServiceStopped, dataproxytest.KindUnready:
		return 0
	case dataproxytest.KindCloseAfterRead, dataproxytest.KindResetAfterRead, dataproxytest.KindDropAnswer,
		dataproxytest.KindSilence, dataproxytest.KindMalformed:
		return kept
	}
	return kept | answered
}

// The answers that a client must not believe: wrong lengths, noise, and a success that names no batch.
var malformed = [][]byte{
	{0xFF, 0xFF, 0xFF, 0xFF},
	{0x7F, 0xFF, 0xFF, 0xFF, 5},
	{0, 0, 0, 0},
	{0, 0, 0, 10, 5, 0, 0, 0, 1, '2'},
	{0, 0, 0, 6, 5, 0xFF, 0xFF, 0xFF, 0xFF, 0},
	[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
	append([]byte{0, 0, 0, 24, 5, 0, 0, 0, 1, '2', 0, 0, 0, 14}, "dpIp=127.0.0.1"...),
	append([]byte{0, 0, 0, 35, 5, 0, 0, 0, 1, '2', 0, 0, 0, 25}, "dpIp=127.0.0.1&errCode=no"...),
}

func (w *wrecker) dataFault() dataproxytest.Fault {
	switch w.dice.IntN(14) {
	case 0:
		return dataproxytest.CloseAfterRead()
	case 1:
		return dataproxytest.ResetAfterRead()
	case 2, 3:
		return dataproxytest.DropAnswer()
	case 4:
		return dataproxytest.DuplicateAnswer()
	case 5:
		return dataproxytest.Silence()
	case 6:
		return dataproxytest.SlowRead(1000 + w.dice.IntN(50000))
	case 7:
		return dataproxytest.ReorderAnswers(2 + w.dice.IntN(4))
	case 8, 9:
		return dataproxytest.Delay(time.Duration(w.dice.IntN(500)) * time.Millisecond)
	case 10:
		return dataproxytest.Malformed(malformed[w.dice.IntN(len(malformed))])
	}
	return dataproxytest.ErrorCode([]int{1, 2, 114, 114, 114, 115, 116, 119, 105, 123}[w.dice.IntN(10)])
}

// run wreaks havoc until ctx ends, and heals the cluster then.
func (w *wrecker) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.storm(ctx, time.Duration(500+w.random.IntN(4000))*time.Millisecond)
		w.heal()
		w.measure(ctx)
	}
	w.heal()
}

// storm hurts everything at random. Most of what dies is back soon: an outage of the whole cluster is rare.
func (w *wrecker) storm(ctx context.Context, d time.Duration) {
	w.odds.Store([]int64{5, 20, 100}[w.random.IntN(3)])
	for end := time.Now().Add(d); time.Now().Before(end) && pause(ctx, w.upTo(60)); {
		nodes := w.cluster.Nodes()
		n, other := nodes[w.random.IntN(len(nodes))], nodes[w.random.IntN(len(nodes))]
		switch m := &w.moods[n.Index()]; w.random.IntN(27) {
		case 0:
			n.Kill()
		case 1:
			n.Stop()
		case 2, 3, 4, 5, 6, 7:
			if !n.Running() && w.random.IntN(2) == 0 {
				m.unready.Store(time.Now().Add(w.upTo(3000)).UnixMilli())
			}
			n.Revive()
		case 21:
			n.Pause()
		case 22, 23:
			n.Resume()
		case 24:
			m.slow.Store(100 + w.random.Int64N(1500))
		case 25:
			m.slow.Store(0)
		case 26:
			m.short.Store(!m.short.Load())
		case 8:
			w.cluster.RemoveNode(n)
			w.cluster.ListNode(other)
		case 9, 10:
			w.cluster.ListNode(n)
		case 11:
			n.ResetConnections()
		case 12, 13:
			w.cuts++
			n.Fault(dataproxytest.ResetMidFrame(1 + w.random.IntN(3000)))
		case 14:
			n.Fault(dataproxytest.BlackHole())
		case 15:
			n.Fault(dataproxytest.RefuseConnect())
		case 16:
			n.Fault(dataproxytest.DropHeartbeat())
		case 17:
			w.cluster.Manager().Standing(w.managerFault())
		case 20:
			w.cluster.Manager().Standing(w.shortFrames())
		case 18, 19:
			w.cluster.Manager().Standing(dataproxytest.Fault{})
		}
	}
}

func (w *wrecker) managerFault() dataproxytest.Fault {
	faults := []dataproxytest.Fault{
		dataproxytest.RefuseConnect(), dataproxytest.Silence(), dataproxytest.CloseAfterRead(), dataproxytest.ResetAfterRead(),
		dataproxytest.Delay(w.upTo(1000)), dataproxytest.HTTPStatus(403, ""), dataproxytest.HTTPStatus(500, "oh"),
		dataproxytest.HTTPBody(`{"success":tr`), dataproxytest.Failure("chaos"), dataproxytest.GroupStatus("config_ing"),
		dataproxytest.NullList(), dataproxytest.EmptyList(),
	}
	return faults[w.random.IntN(len(faults))]
}

func (w *wrecker) upTo(ms int) time.Duration {
	return time.Duration(w.random.IntN(ms)) * time.Millisecond
}

// heal ends all faults. Connections that a fault left slow or silent are reset.
func (w *wrecker) heal() {
	w.odds.Store(0)
	w.cluster.Manager().ClearFaults()
	for _, n := range w.cluster.Nodes() {
		w.moods[n.Index()].lift()
		n.ClearFaults()
		n.Revive()
		w.cluster.ListNode(n)
		n.ResetConnections()
	}
}

// measure lets one node leave frames unanswered and die, and waits until they are elsewhere. Meanwhile nothing else fails,
// so that whatever the clients write is seen to arrive; and every client knows where else to go.
func (w *wrecker) measure(ctx context.Context) {
	for ready := false; !ready; {
		if !pause(ctx, w.upTo(500)) {
			return
		}
		ready = !slices.ContainsFunc(w.users, func(u *user) bool { return !u.knows(len(w.cluster.Nodes())) })
	}
	victim := w.busiest()
	w.judge.watch(victim.Index())
	w.silent.Store(int64(victim.Index()))
	pause(ctx, 20*time.Millisecond+w.upTo(60))
	kill := []struct {
		how string
		do  func(*dataproxytest.Node)
	}{
		{"killed", (*dataproxytest.Node).Kill}, {"stopped", (*dataproxytest.Node).Stop}, {"reset", (*dataproxytest.Node).ResetConnections},
	}[w.random.IntN(3)]
	died := time.Now()
	w.judge.died(died, kill.how)
	w.silent.Store(none)
	kill.do(victim)
	for time.Since(died) < 3*time.Second && w.judge.moved() > 0 {
		time.Sleep(5 * time.Millisecond)
	}
	w.judge.unwatch(time.Now())
	victim.Revive()
}

func (w *wrecker) busiest() (busiest *dataproxytest.Node) {
	most := -1
	for _, n := range w.cluster.Nodes() {
		if live, _ := n.Connections(); live > most {
			busiest, most = n, live
		}
	}
	return busiest
}

// pause waits for d; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
