package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

const second = time.Second

// past is the story of a few messages of life 1.
type past struct {
	*judge
	now time.Time
}

func (p past) say(kind byte, number uint32) { p.hear(1, note{kind: kind, number: number}) }

// arrive has messages come in a frame of that id, so long after the beginning.
func (p past) arrive(after time.Duration, id string, numbers ...uint32) *dataproxytest.Record {
	r := &dataproxytest.Record{
		Group: group, Whole: true, At: p.now.Add(after), Attr: map[string]string{"mid": id, "color": "1"},
		Stream: message{1, numbers[0]}.stream(), EventTime: message{1, 0}.time(),
	}
	for _, n := range numbers {
		r.Items = append(r.Items, message{1, n}.payload(nil))
	}
	p.arrived(0, r)
	return r
}

// ends has a process end so long after the beginning.
func (p past) ends(after time.Duration) {
	end := p.now.Add(after)
	p.killed(kill{end.Add(-window), end, "it"})
}

// A judge that misses a broken promise makes every run look good. Each story breaks at most one.
func TestJudgeFindsWhatIsBroken(t *testing.T) {
	for name, c := range map[string]struct {
		story func(p past)
		want  Tally
	}{
		"all is well": {func(p past) {
			p.arrive(0, "x", 0)
			p.say(acked, 0)
			p.say(stored, 7)
			p.arrive(second, "y", 7)
			p.say(refused, 3)
		}, Tally{Acked: 1, Stored: 1, Refused: 1, Received: 2}},
		"acked, and nowhere": {func(p past) {
			p.say(acked, 1)
		}, Tally{Acked: 1, Unbacked: 1, Lost: 1}},
		"stored, and nowhere": {func(p past) {
			p.say(stored, 1)
		}, Tally{Stored: 1, Lost: 1}},
		"announced late": {func(p past) {
			p.arrive(0, "x", 14)
			p.say(began, 20)
		}, Tally{Received: 1}},
		"never announced": {func(p past) {
			p.arrive(0, "x", 14)
		}, Tally{Received: 1, Foreign: 1}},
		"no message of ours": {func(p past) {
			p.arrived(0, &dataproxytest.Record{Group: group, Whole: true, Items: [][]byte{[]byte("x")}})
		}, Tally{Foreign: 1}},
		"another stream": {func(p past) {
			p.arrive(0, "x", 0, 1)
		}, Tally{Received: 1, Altered: 1}},
		"again, acked in its last moments": {func(p past) {
			p.arrive(0, "x", 0)
			p.ends(window)
			p.arrive(second, "x", 0)
		}, Tally{Received: 1, Doubled: 1}},
		"again, acked long before": {func(p past) {
			p.arrive(0, "x", 0)
			p.ends(window + 1)
			p.arrive(second, "x", 0)
		}, Tally{Received: 1, Stale: 1}},
		"again, and no process ended": {func(p past) {
			p.arrive(0, "x", 0)
			p.arrive(second, "x", 0)
		}, Tally{Received: 1, Stale: 1}},
		"again in an outage": {func(p past) {
			p.loose = true
			p.arrive(0, "x", 0)
			p.arrive(second, "x", 0)
		}, Tally{Received: 1, Outage: 1}},
		"after a later one of its stream": {func(p past) {
			p.mode.Ordered = true
			p.arrive(0, "x", streams)
			p.arrive(0, "y", 0)
			p.arrive(0, "z", 1)
			p.begins(&plan{Life: 1, Fails: "sync segment"})
			p.arrive(0, "u", 2+streams)
			p.arrive(0, "v", 2)
		}, Tally{Received: 5, Overtook: 1}},
		"failed, and after a later one": {func(p past) {
			p.mode.Ordered = true
			p.arrive(0, "x", streams)
			p.say(refused, 0)
			p.arrive(0, "y", 0)
		}, Tally{Received: 2, Refused: 1}},
		"again under another id": {func(p past) {
			p.arrive(0, "x", 0)
			p.ends(window)
			p.arrive(second, "y", 0)
		}, Tally{Received: 1, Doubled: 1, Renamed: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			p := past{newJudge(false, mode{}), time.Now()}
			p.say(began, 10)
			c.story(p)
			got, first := p.end()
			c.want.Sent = max(10, got.Sent)
			require.Equal(t, c.want, got)
			bad := c.want.Lost + c.want.Foreign + c.want.Altered + c.want.Stale + c.want.Renamed + c.want.Unbacked + c.want.Overtook
			require.Equal(t, bad > 0, first != "", first)
		})
	}
}

// A payload, time, stream or attribute that changed is taken for the message.
func TestJudgeComparesAllOfAMessage(t *testing.T) {
	for name, change := range map[string]func(r *dataproxytest.Record){
		"payload":   func(r *dataproxytest.Record) { r.Items[0][idBytes]++ },
		"length":    func(r *dataproxytest.Record) { r.Items[0] = append(r.Items[0], 0) },
		"time":      func(r *dataproxytest.Record) { r.EventTime = r.EventTime.Add(second) },
		"stream":    func(r *dataproxytest.Record) { r.Stream += "x" },
		"attribute": func(r *dataproxytest.Record) { r.Attr["color"] = "2" },
		"group":     func(r *dataproxytest.Record) { r.Group += "x" },
		"part":      func(r *dataproxytest.Record) { r.Whole = false },
	} {
		t.Run(name, func(t *testing.T) {
			p := past{newJudge(false, mode{}), time.Now()}
			p.say(began, 10)
			r := p.arrive(0, "x", 5)
			change(r)
			p.arrived(0, r)
			got, _ := p.end()
			require.EqualValues(t, 1, got.Altered, fmt.Sprint(got))
		})
	}
}
