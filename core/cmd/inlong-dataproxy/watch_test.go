package main

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// cutOff is a client of which only the statistics are asked for.
type cutOff struct {
	dataproxy.FullClient
	stats dataproxy.Stats
}

func (c *cutOff) Stats() dataproxy.Stats { return c.stats }

func stalledShipment(t *testing.T) (w *watch, client *cutOff, said *bytes.Buffer, ack func(at time.Time)) {
	said, client = new(bytes.Buffer), new(cutOff)
	s := &shipment{client: client, follow: true, log: slog.New(slog.NewTextHandler(said, nil))}
	w = &watch{s: s}
	ack = func(at time.Time) { s.acked.Add(1); s.lastAck.Store(at.UnixNano()) }
	return w, client, said, ack
}

// Followed through an outage, a file is silent for hours: that nothing is acked, and why, is said each minute, and not once nothing waits.
func TestEachMinuteOfAnOutageIsSaid(t *testing.T) {
	w, _, said, ack := stalledShipment(t)
	began := time.Now()
	w.s.lines.Store(5)
	ack(began)
	lines := func() int { return strings.Count(said.String(), "nothing acked for") }
	until, now := time.Duration(0), began
	pass := func(d time.Duration) {
		for until += d; now.Sub(began) < until; now = now.Add(samplesEach) {
			w.look(now)
			w.tell(now)
		}
	}
	pass(59 * time.Second)
	require.Zero(t, lines())
	pass(2 * time.Second)
	require.Equal(t, 1, lines(), "after a minute")
	require.Contains(t, said.String(), "nothing acked for 1m0s: no node is known, the Manager gives none")
	require.Contains(t, said.String(), "waiting=4")
	pass(2 * time.Minute)
	require.Equal(t, 3, lines())

	ack(now)
	pass(50 * time.Second)
	require.Equal(t, 3, lines(), "one was acked: a new minute begins")
	pass(11 * time.Second)
	require.Equal(t, 4, lines())

	w.s.acked.Store(5)
	pass(5 * time.Minute)
	require.Equal(t, 4, lines(), "nothing waits")
	w.s.lines.Add(1) // a line comes to a quiet file
	pass(59 * time.Second)
	require.Equal(t, 4, lines(), "it has not waited for a minute")
	pass(2 * time.Second)
	require.Equal(t, 5, lines())
}

// Before dead nodes the bar showed the average rate of better times, and nothing of the outage.
func TestBarSaysThatNothingIsAckedAndWhy(t *testing.T) {
	usable := dataproxy.LaneStats{Usable: true}
	for want, stats := range map[string]dataproxy.Stats{
		"no node is known, the Manager gives none":  {},
		"no connection to any of 2 nodes":           {Nodes: make([]dataproxy.NodeStats, 2), Lanes: []dataproxy.LaneStats{{}}},
		"all nodes refuse, or close the connection": {Nodes: []dataproxy.NodeStats{{Errors: 7}}, Lanes: []dataproxy.LaneStats{usable}},
		"the nodes do not answer":                   {Nodes: []dataproxy.NodeStats{{Errors: 3}}, Lanes: []dataproxy.LaneStats{usable}},
	} {
		t.Run(want, func(t *testing.T) {
			w, client, _, ack := stalledShipment(t)
			client.stats.Nodes = []dataproxy.NodeStats{{Errors: 3}} // at the last ack
			w.s.lines.Store(9)
			began := time.Now().Add(-6 * time.Second)
			ack(began)
			w.look(began)
			client.stats = stats

			var drawn bytes.Buffer
			stop := (&screen{stderr: &drawn, drawn: true}).bar(w.s, w)
			stop(false)
			require.Regexp(t, " nothing acked for [0-9]+ s: "+regexp.QuoteMeta(want)+"[;…]", drawn.String(), "whole in 80 columns")
		})
	}
}

// The rate of the last seconds is shown: an average since the start hides that a shipment has become slow.
func TestRateIsThatOfTheLastSeconds(t *testing.T) {
	w, _, _, _ := stalledShipment(t)
	now := time.Now()
	for range 40 { // 10 s, 1,000 lines a second
		w.s.lines.Add(250)
		w.s.acked.Add(250)
		w.look(now)
		now = now.Add(samplesEach)
	}
	require.InEpsilon(t, 1000, w.rate(), 0.01)
	for range 24 { // 6 s, 100 lines a second
		w.s.lines.Add(25)
		w.s.acked.Add(25)
		w.look(now)
		now = now.Add(samplesEach)
	}
	require.InEpsilon(t, 100, w.rate(), 0.01)
}
