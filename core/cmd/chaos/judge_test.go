package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

var errFailed = &dataproxy.Error{Code: dataproxy.CodeSendTimeout}

// past is the story of a few messages of one ordered stream.
type past struct {
	*judge
	now time.Time
}

func newPast() past {
	p := past{newJudge(), time.Now()}
	p.stream("s", true)
	return p
}

func (p past) send() message { return p.sending(0, p.now.Add(time.Second)) }

func (p past) arrive(fate state, conn uint64, messages ...message) {
	r := &dataproxytest.Record{Conn: conn, Node: int(conn), Stream: "s", Whole: true, At: p.now, Attr: map[string]string{"mid": "a"}}
	for _, m := range messages {
		r.Items = append(r.Items, m.appendPayload(nil))
	}
	p.arrived(r, fate)
}

func (p past) report(m message, err error) { p.result(m, err, p.now) }

// A judge that misses a broken promise makes every run of chaos look good. Each story breaks at most one.
func TestJudgeFindsWhatIsBroken(t *testing.T) {
	for name, c := range map[string]struct {
		story func(p past)
		want  Tally
	}{
		"all is well": {func(p past) {
			a, b := p.send(), p.send()
			p.arrive(kept|answered, 1, a, b)
			p.report(a, nil)
			p.report(b, nil)
		}, Tally{Sent: 2, Results: 2, Acked: 2, Received: 2}},
		"a failure that never arrived, and one that did": {func(p past) {
			a, b := p.send(), p.send()
			p.arrive(kept, 1, b)
			p.report(a, errFailed)
			p.report(b, errFailed)
		}, Tally{Sent: 2, Results: 2, Failed: 2, Received: 1}},
		"acked and never received": {func(p past) {
			p.report(p.send(), nil)
		}, Tally{Sent: 1, Results: 1, Acked: 1, Lost: 1, FalseSuccesses: 1}},
		"acked and only refused": {func(p past) {
			a := p.send()
			p.arrive(0, 1, a)
			p.report(a, nil)
		}, Tally{Sent: 1, Results: 1, Acked: 1, Lost: 1, FalseSuccesses: 1}},
		"acked and received, but nobody answered": {func(p past) {
			a := p.send()
			p.arrive(kept, 1, a)
			p.report(a, nil)
		}, Tally{Sent: 1, Results: 1, Acked: 1, Received: 1, FalseSuccesses: 1}},
		"acked by the second node that got it": {func(p past) {
			a := p.send()
			p.arrive(kept, 1, a)
			p.arrive(kept|answered, 2, a)
			p.report(a, nil)
		}, Tally{Sent: 1, Results: 1, Acked: 1, Received: 1, Duplicates: 1}},
		"no result": {func(p past) {
			p.arrive(kept|answered, 1, p.send())
		}, Tally{Sent: 1, Received: 1, Missing: 1}},
		"two results": {func(p past) {
			a := p.send()
			p.arrive(kept|answered, 1, a)
			p.report(a, nil)
			p.report(a, errFailed)
		}, Tally{Sent: 1, Results: 1, Acked: 1, Received: 1, Doubled: 1}},
		"a second result and a second arrival long after the first": {func(p past) {
			a := p.send()
			p.arrive(kept|answered, 1, a)
			p.report(a, nil)
			p.forget(p.now.Add(time.Minute))
			p.arrive(kept|answered, 2, a)
			p.report(a, nil)
		}, Tally{Sent: 1, Results: 1, Acked: 1, Received: 1, Doubled: 1, Duplicates: 1}},
		"overtaken": {func(p past) {
			a, b := p.send(), p.send()
			p.arrive(kept|answered, 1, b)
			p.arrive(kept|answered, 2, a)
			p.report(b, nil)
			p.report(a, nil)
		}, Tally{Sent: 2, Results: 2, Acked: 2, Received: 2, OrderBreaks: 1}},
		"overtaken within a frame": {func(p past) {
			a, b := p.send(), p.send()
			p.arrive(kept|answered, 1, b, a)
			p.report(a, nil)
			p.report(b, nil)
		}, Tally{Sent: 2, Results: 2, Acked: 2, Received: 2, OrderBreaks: 1}},
		"only the duplicate is late": {func(p past) {
			a, b := p.send(), p.send()
			p.arrive(kept|answered, 1, a)
			p.arrive(kept|answered, 1, b)
			p.arrive(kept|answered, 2, a)
			p.report(a, nil)
			p.report(b, nil)
		}, Tally{Sent: 2, Results: 2, Acked: 2, Received: 2, Duplicates: 1}},
		"a refused message leaves no gap that counts": {func(p past) {
			a, b := p.send(), p.send()
			p.arrive(0, 1, b)
			p.arrive(kept|answered, 1, a)
			p.arrive(kept|answered, 1, b)
			p.report(a, nil)
			p.report(b, nil)
		}, Tally{Sent: 2, Results: 2, Acked: 2, Received: 2}},
		"a straggler of a connection that was given up": {func(p past) {
			a, b := p.send(), p.send()
			p.report(a, errFailed)
			p.arrive(kept|answered, 2, b)
			p.report(b, nil)
			p.arrive(kept|answered, 1, a)
		}, Tally{Sent: 2, Results: 2, Acked: 1, Failed: 1, Received: 2, Stragglers: 1}},
		"a changed payload": {func(p past) {
			a := p.send()
			payload := a.appendPayload(nil)
			p.arrived(&dataproxytest.Record{Stream: "s", Whole: true, Items: [][]byte{append(payload, '!')}}, kept|answered)
			p.report(a, nil)
		}, Tally{Sent: 1, Results: 1, Acked: 1, Received: 1, Altered: 1}},
		"a wrong stream": {func(p past) {
			a := p.send()
			p.arrived(&dataproxytest.Record{Stream: "t", Whole: true, Items: [][]byte{a.appendPayload(nil)}}, kept|answered)
			p.report(a, nil)
		}, Tally{Sent: 1, Results: 1, Acked: 1, Received: 1, Altered: 1}},
		"a message that nobody sent": {func(p past) {
			p.arrive(kept|answered, 1, message{0, 7})
		}, Tally{Altered: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPast()
			c.story(p)
			got := p.end()
			c.want.FailedByCode = map[string]int64{}
			if c.want.Failed > 0 {
				c.want.FailedByCode["send_timeout"] = c.want.Failed
			}
			got.WorstLate, got.WorstLateOf, got.Taken = 0, "", 0
			require.Equal(t, c.want, got)
		})
	}
}

// A result in time must not count as late, one after the deadline must.
func TestJudgeMeasuresLateness(t *testing.T) {
	p := newPast()
	p.report(p.send(), errFailed)
	require.Zero(t, p.end().WorstLate)
	p.result(p.send(), errFailed, p.now.Add(3*time.Second))
	require.Equal(t, 2*time.Second, p.end().WorstLate)
}

// The judge must not keep what it has reconciled, and must keep what has no result yet.
func TestJudgeForgets(t *testing.T) {
	p := newPast()
	for range 1000 {
		m := p.send()
		p.arrive(kept|answered, 1, m)
		p.report(m, nil)
	}
	pending := p.send()
	p.forget(p.now.Add(memory))
	require.Len(t, p.streams[0].entries, 1)
	require.Equal(t, pending.number, p.streams[0].first)
}

// A batch that is slow to leave a dead connection must be found, also when it never leaves; one that needs not leave must not
// count.
func TestJudgeMeasuresFailover(t *testing.T) {
	for name, c := range map[string]struct {
		then  func(p past, a message)
		count int64
		worst time.Duration
	}{
		"moves": {func(p past, a message) {
			p.now = p.now.Add(300 * time.Millisecond)
			p.arrive(kept|answered, 2, a)
		}, 1, 300 * time.Millisecond},
		"stays on its connection": {func(p past, a message) { p.arrive(kept|answered, 1, a) }, 1, 5 * time.Second},
		"never moves":             {func(past, message) {}, 1, 5 * time.Second},
		"has its result":          {func(p past, a message) { p.report(a, errFailed) }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPast()
			a := p.send()
			p.watch(1)
			p.arrive(kept, 1, a)
			died := p.now
			p.died(died, "killed")
			c.then(p, a)
			p.moved()
			p.unwatch(died.Add(5 * time.Second))
			got := p.end()
			require.Equal(t, c.count, got.Failovers)
			require.Equal(t, c.worst, got.WorstFailover)
		})
	}
}

// A message that fails for the end of its connections, though its time is not over, has been given up too soon. One that is itself at
// fault, or whose time is nearly over, has not.
func TestJudgeFindsMessagesThatFailEarly(t *testing.T) {
	p := newPast()
	late := p.now.Add(time.Hour)
	for _, err := range []*dataproxy.Error{{Code: dataproxy.CodeServerError, ServerCode: 123}, {Code: dataproxy.CodeClosed}} {
		p.report(p.sending(0, late), err)
	}
	p.report(p.send(), errFailed)
	require.Zero(t, p.end().Early)
	p = newPast()
	for _, err := range []*dataproxy.Error{{Code: dataproxy.CodeServerError, ServerCode: 114}, {Code: dataproxy.CodeConnClosedByPeer}, {Code: dataproxy.CodeLogTooLong}} {
		p.report(p.sending(0, late), err)
	}
	tally := p.end()
	require.EqualValues(t, 3, tally.Early)
	require.Contains(t, tally.EarlyOf, "too long")
}
