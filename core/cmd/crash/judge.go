package main

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// window is what a killed process may send again: what was acked in its last moments. The client records acks every 50 ms.
const window = 100 * time.Millisecond

// entry is what is known of one message.
type entry struct {
	promised bool  // its result was acked or stored
	failed   bool  // its result was another error
	arrived  int64 // ns since 1970; 0: not yet
	place    uint64
	worker   int    // whose process sent it
	behind   uint32 // it arrived for the first time after the one before this number, a later one of its stream; 0: in order
}

// history is what is known of the messages of one life, by number. What it says may be read after what nodes took, so who is foreign is
// known in the end.
type history struct {
	entries   []entry
	announced uint32          // those below may have been sent
	last      [streams]uint32 // of each stream, one more than the highest number that has arrived
	anyOrder  bool            // its disk fails, and what was left before is in no order with the rest
}

func (j *judge) history(life uint32) *history {
	h := j.lives[life]
	if h == nil {
		h = &history{}
		j.lives[life] = h
	}
	return h
}

func (j *judge) entry(m message) *entry {
	h := j.history(m.life)
	for int(m.number) >= len(h.entries) {
		h.entries = append(h.entries, entry{})
	}
	return &h.entries[m.number]
}

// kill is the end of a process.
type kill struct {
	from time.Time // what was acked before must not come again
	to   time.Time // nothing that it has sent was left to be read
	what string    // who ended and how
}

// judge compares what clients were told with what nodes took, over one round: clients on one folder that are killed, until all is
// delivered.
type judge struct {
	mu    sync.Mutex
	mode  mode
	lives map[uint32]*history
	kills []kill
	again []repeat
	loose bool // nodes die in this round, and answers with them: messages come again for that
	tally Tally
	first string // what is wrong, in words
}

// repeat is a message that came more than once.
type repeat struct {
	message
	workers     [2]int // that sent it the first time, and again
	first, then time.Time
}

// Tally is what came of messages.
type Tally struct {
	Sent     int64 `json:"sent"` // may have been: the announcement comes before
	Acked    int64 `json:"acked"`
	Stored   int64 `json:"stored"`
	Refused  int64 `json:"refused"`
	Received int64 `json:"received"` // each counted once
	Doubled  int64 `json:"doubled"`  // more arrivals of those, within the bound
	Outage   int64 `json:"outage"`   // more arrivals in rounds in which nodes died

	Lost     int64 `json:"lost"`
	Altered  int64 `json:"altered"`
	Foreign  int64 `json:"foreign"`
	Stale    int64 `json:"stale"`    // came again though they were acked long before the kill
	Renamed  int64 `json:"renamed"`  // came again under another id or place
	Unbacked int64 `json:"unbacked"` // acked though no node has them
	Overtook int64 `json:"overtook"` // arrived for the first time after a later one of their stream, with --ordered
}

func (t *Tally) add(o *Tally) {
	for _, sum := range []struct{ to, from *int64 }{
		{&t.Sent, &o.Sent}, {&t.Acked, &o.Acked}, {&t.Stored, &o.Stored}, {&t.Refused, &o.Refused}, {&t.Received, &o.Received},
		{&t.Doubled, &o.Doubled}, {&t.Outage, &o.Outage}, {&t.Lost, &o.Lost}, {&t.Altered, &o.Altered}, {&t.Foreign, &o.Foreign},
		{&t.Stale, &o.Stale}, {&t.Renamed, &o.Renamed}, {&t.Unbacked, &o.Unbacked}, {&t.Overtook, &o.Overtook},
	} {
		*sum.to += *sum.from
	}
}

func newJudge(loose bool, mode mode) *judge {
	return &judge{mode: mode, lives: map[uint32]*history{}, loose: loose}
}

// begins notes how a life is to end.
func (j *judge) begins(p *plan) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.history(p.Life).anyOrder = p.Fails != ""
}

// wrong keeps the first of each round in words. The caller holds mu.
func (j *judge) wrong(format string, args ...any) {
	if j.first == "" {
		j.first = fmt.Sprintf(format, args...)
	}
}

// hear takes in what a client says of a message.
func (j *judge) hear(life uint32, n note) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n.kind == began {
		j.entry(message{life, n.number - 1})
		j.lives[life].announced = n.number
		return
	}
	e := j.entry(message{life, n.number})
	switch n.kind {
	case refused:
		j.tally.Refused++
		e.failed = true
		return
	case stored:
		j.tally.Stored++
	case acked:
		j.tally.Acked++
		if j.mode.Result == string(dataproxy.SpoolResultStored) { // a success says no more
			j.tally.Stored++
			break
		}
		if e.arrived == 0 {
			j.tally.Unbacked++
			j.wrong("life %d, message %d was acked and had not arrived", life, n.number)
		}
	}
	e.promised = true
}

// arrived notes a frame that a node takes, before it answers.
func (j *judge) arrived(worker int, r *dataproxytest.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !r.Whole || r.Group != group {
		j.tally.Altered++
		j.wrong("a frame of group %q, whole: %v", r.Group, r.Whole)
	}
	var payload []byte
	for i, item := range r.Items {
		m, ok := parseMessage(item)
		if !ok || m.number >= mostMessages {
			j.tally.Foreign++
			j.wrong("nobody sent life %d, message %d, %d bytes", m.life, m.number, len(item))
			continue
		}
		payload = m.payload(payload[:0])
		if !bytes.Equal(payload, item) || r.Stream != m.stream() || r.Attr["color"] != m.color() || !r.EventTime.Equal(m.time()) {
			j.tally.Altered++
			j.wrong("life %d, message %d came as %d bytes of stream %s, time %v, %v", m.life, m.number, len(item), r.Stream, r.EventTime, r.Attr)
			continue
		}
		j.one(j.entry(m), m, worker, r.At, place(r.Attr["mid"], i))
	}
}

// place names a message as a consumer knows it.
func place(id string, i int) uint64 { return xxhash.Sum64String(id) + uint64(i) }

func (j *judge) one(e *entry, m message, worker int, at time.Time, place uint64) {
	if e.arrived == 0 {
		e.arrived, e.place, e.worker = at.UnixNano(), place, worker
		j.tally.Received++
		h := j.lives[m.life]
		if last := &h.last[m.number%streams]; m.number >= *last {
			*last = m.number + 1
		} else if j.mode.Ordered && !h.anyOrder {
			e.behind = *last
		}
		return
	}
	if e.place != place {
		j.tally.Renamed++
		j.wrong("life %d, message %d came again under another id", m.life, m.number)
	}
	first := time.Unix(0, e.arrived)
	if at.Before(first) { // two nodes read them at the same time
		first, at = at, first
	}
	j.again = append(j.again, repeat{m, [2]int{e.worker, worker}, first, at})
}

// killed notes the end of a process.
func (j *judge) killed(k kill) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.kills = append(j.kills, k)
}

// missing returns how many promised messages have not arrived.
func (j *judge) missing() (n int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for life, h := range j.lives {
		for number, e := range h.entries {
			if e.promised && e.arrived == 0 {
				n++
				j.wrong("life %d, message %d was promised and did not arrive", life, number)
			}
		}
	}
	return n
}

// end judges what can be judged once all is over.
func (j *judge) end() (Tally, string) {
	j.tally.Lost = j.missing()
	j.mu.Lock()
	defer j.mu.Unlock()
	for life, h := range j.lives {
		j.tally.Sent += int64(h.announced)
		for number, e := range h.entries {
			if e.arrived != 0 && number >= int(h.announced) {
				j.tally.Foreign++
				j.wrong("nobody sent life %d, message %d", life, number)
			}
			if e.behind > 0 && !e.failed { // one that failed has no place any more, though it may have been stored just then
				j.tally.Overtook++
				j.wrong("life %d, message %d arrived after message %d of its stream", life, number, e.behind-1)
			}
		}
	}
	for _, r := range j.again {
		switch {
		case j.loose:
			j.tally.Outage++
		case j.excused(r):
			j.tally.Doubled++
		default:
			j.tally.Stale++
			j.wrong("life %d, message %d came at %s, again after %v, from workers %v%s", r.life, r.number, r.first.Format("15:04:05.000"),
				r.then.Sub(r.first), r.workers, j.between(r))
		}
	}
	return j.tally, j.first
}

// excused reports whether a process ended around the first arrival of a message: it may have had no time to record the ack, or to get it,
// since what it has written arrives after its end, too.
func (j *judge) excused(r repeat) bool {
	return slices.ContainsFunc(j.kills, func(k kill) bool {
		return !r.first.Before(k.from) && !r.first.After(k.to)
	})
}

// between tells of the processes that ended between the two arrivals.
func (j *judge) between(r repeat) (text string) {
	for _, k := range j.kills {
		if k.to.After(r.first) && k.from.Before(r.then) {
			text += fmt.Sprintf("; %s may have lost acks from %v to %v after the first", k.what, k.from.Sub(r.first), k.to.Sub(r.first))
		}
	}
	return text
}
