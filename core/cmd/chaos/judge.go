package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

const (
	// A message is remembered for that long after its result, to tell a late first arrival from a duplicate.
	memory = 5 * time.Second
	// A message without a result so long after its deadline will not get one.
	overdue = 10 * time.Second
)

// message is a message's unique id: its payload can be made from it, and it from the payload.
type message struct {
	stream int
	number uint64
}

const idBytes = 12

// appendPayload appends the id and, up to a length that varies with it, bytes of every value.
func (m message) appendPayload(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.stream))
	dst = binary.BigEndian.AppendUint64(dst, m.number)
	for i := range m.length() {
		dst = append(dst, byte(uint64(i)+m.number))
	}
	return dst
}

// length is that of the payload after the id.
func (m message) length() int {
	if m.number%1000 == 999 {
		return 60000
	}
	return int(m.number * 37 % 300)
}

func parseMessage(payload []byte) (m message, ok bool) {
	if len(payload) < idBytes {
		return m, false
	}
	return message{int(binary.BigEndian.Uint32(payload)), binary.BigEndian.Uint64(payload[4:])}, true
}

// state is what is known of one message.
type state byte

const (
	kept      state = 1 << iota // a node took it
	answered                    // and answered without an error code
	settled                     // it has its result
	failed                      // which is an error
	overtaken                   // a later one of its ordered stream arrived before it
)

type entry struct {
	state     state
	deadline  time.Time
	settledAt time.Time
}

// history holds the messages of one stream from first on; those before it are reconciled and forgotten.
type history struct {
	name    string
	ordered bool
	first   uint64
	entries []entry
	newest  uint64 // 1 + the highest number that arrived
}

func (h *history) at(number uint64) *entry {
	if number < h.first || number >= h.next() {
		return nil
	}
	return &h.entries[number-h.first]
}

func (h *history) next() uint64 { return h.first + uint64(len(h.entries)) }

// judge compares what was sent, what arrived and what was reported, and forgets what agrees. A message is noted as arrived
// before it is answered, so an ack can be judged when it comes.
//
// A callback must not wait for mu: the next result waits for it, and on a busy machine, where each wait costs a turn, the judge
// would be what makes results late. It leaves its result in reported, which listen works off.
type judge struct {
	reported chan func()

	mu      sync.Mutex
	streams []*history // all there before the first message
	tally   Tally
	lost    failover
	frames  frames
}

func newJudge() *judge {
	return &judge{tally: Tally{FailedByCode: make(map[string]int64)}, reported: make(chan func(), 1<<16)}
}

// listen judges what callbacks reported until reported is closed.
func (j *judge) listen() {
	for judge := range j.reported {
		judge()
	}
}

// report notes a result that a callback got, without waiting.
func (j *judge) report(m message, err error, now time.Time) {
	j.reported <- func() { j.result(m, err, now) }
}

// catchUp waits until all that was reported is judged.
func (j *judge) catchUp() {
	done := make(chan struct{})
	j.reported <- func() { close(done) }
	<-done
}

// stream adds a stream and returns its number.
func (j *judge) stream(name string, ordered bool) int {
	j.streams = append(j.streams, &history{name: name, ordered: ordered})
	return len(j.streams) - 1
}

// sending notes a message that is about to be given to a send call.
func (j *judge) sending(stream int, deadline time.Time) message {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.streams[stream]
	m := message{stream, h.next()}
	h.entries = append(h.entries, entry{deadline: deadline})
	j.tally.Sent++
	return m
}

// result notes what the client reported.
func (j *judge) result(m message, err error, now time.Time) {
	code := codeName(err)
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.streams[m.stream].at(m.number)
	if e == nil || e.state&settled != 0 {
		j.tally.Doubled++
		return
	}
	e.state |= settled
	e.settledAt = now
	j.tally.Results++
	j.lateness(now.Sub(e.deadline), j.streams[m.stream].name, code)
	if err != nil {
		e.state |= failed
		j.tally.Failed++
		j.tally.FailedByCode[code]++
		if now.Before(e.deadline.Add(-timeLeft)) && !mayFailEarly(m, err) {
			j.tally.Early++
			j.tally.EarlyOf = j.streams[m.stream].name + ": " + err.Error()
		}
		return
	}
	j.tally.Acked++
	if e.state&kept == 0 {
		j.tally.Lost++
	}
	if e.state&answered == 0 {
		j.tally.FalseSuccesses++
	}
	if e.state&overtaken != 0 {
		j.tally.OrderBreaks++
	}
}

// timeLeft is what a message that fails early had left at least: those of a batch share the deadline of its first, and its linger is
// no more than this.
const timeLeft = time.Second

// mayFailEarly reports whether a message may fail with this error before its time is over: not for the end of connections, nor for
// nodes that did not take it at that moment.
func mayFailEarly(m message, err error) bool {
	var e *dataproxy.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case dataproxy.CodeSendTimeout, dataproxy.CodeConnClosedByPeer, dataproxy.CodeConnReadFailed, dataproxy.CodeConnWriteFailed:
		return false
	case dataproxy.CodeLogTooLong:
		return m.length() > longFrame
	case dataproxy.CodeServerError:
		switch e.ServerCode {
		case 1, 2, 114, 116, 117, 118, 119:
			return false
		}
	}
	return true
}

var codeNames = func() map[dataproxy.Code]string {
	names := make(map[dataproxy.Code]string)
	for _, info := range dataproxy.Codes() {
		names[info.Code] = info.Name
	}
	return names
}()

// codeName is empty for a message that was acked.
func codeName(err error) string {
	if err == nil {
		return ""
	}
	var e *dataproxy.Error
	if errors.As(err, &e) && codeNames[e.Code] != "" {
		return codeNames[e.Code]
	}
	return "no error of the client: " + err.Error()
}

// arrived notes a frame that a node read, and what became of it.
func (j *judge) arrived(r *dataproxytest.Record, fate state) {
	var altered int64
	if !r.Whole || len(r.Items) == 0 {
		altered++
	}
	known := make([]message, 0, len(r.Items))
	var payload []byte
	for _, item := range r.Items {
		m, ok := parseMessage(item)
		if !ok || m.stream >= len(j.streams) {
			altered++
			continue
		}
		if payload = m.appendPayload(payload[:0]); !bytes.Equal(item, payload) || r.Stream != j.streams[m.stream].name {
			altered++
		}
		known = append(known, m)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tally.Altered += altered
	messages := known[:0]
	for _, m := range known {
		if m.number >= j.streams[m.stream].next() { // nobody sent it
			j.tally.Altered++
			continue
		}
		messages = append(messages, m)
		if fate&kept != 0 {
			j.tally.Taken++
			j.arrivedOne(m, fate)
		}
	}
	j.lost.arrived(r, messages)
}

func (j *judge) arrivedOne(m message, fate state) {
	h := j.streams[m.stream]
	e := h.at(m.number)
	if e == nil {
		j.tally.Duplicates++
		return
	}
	again := e.state&kept != 0
	e.state |= fate
	switch {
	case again:
		j.tally.Duplicates++
		return
	case e.state&failed != 0:
		// The bytes were on their way on a connection that the client had given up: nobody could stop them.
		j.tally.Stragglers++
	case m.number < h.newest:
		if h.ordered {
			e.state |= overtaken
		}
	default:
		h.newest = m.number + 1
	}
	j.tally.Received++
}

// forget drops what is reconciled, and gives up what is overdue.
func (j *judge) forget(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, h := range j.streams {
		n := 0
		for ; n < len(h.entries); n++ {
			e := &h.entries[n]
			if e.state&settled == 0 {
				if now.Sub(e.deadline) < overdue {
					break
				}
				j.tally.Missing++
			} else if now.Sub(e.settledAt) < memory {
				break
			}
		}
		h.first += uint64(n)
		if h.entries = h.entries[n:]; len(h.entries) == 0 {
			h.entries = nil
		}
	}
}

// end counts what has no result though every client was flushed and closed.
func (j *judge) end() Tally {
	j.forget(time.Now().Add(24 * time.Hour))
	return j.snapshot()
}

func (j *judge) snapshot() Tally {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.tally
	t.FailedByCode = make(map[string]int64, len(j.tally.FailedByCode))
	for name, n := range j.tally.FailedByCode {
		t.FailedByCode[name] = n
	}
	t.Failovers, t.WorstFailover, t.WorstFailoverOf = j.lost.count, j.lost.worst, j.lost.worstOf
	return t
}

// late notes by how much a call outlasted its deadline.
func (j *judge) late(by time.Duration, what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lateness(by, what, "")
}

func (j *judge) lateness(by time.Duration, what, code string) {
	if by <= j.tally.WorstLate {
		return
	}
	j.tally.WorstLate, j.tally.WorstLateOf = by, strings.TrimSpace(what+" "+code)
}
