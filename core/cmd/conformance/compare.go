package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// judgeFrames compares what arrived with what was acked.
func (a *attempt) judgeFrames(frames []frame) {
	waiting := make(map[string][]int) // messages that were sent and did not arrive yet, by payload
	for i, m := range a.plan.messages {
		if a.acked[i] || a.maybe[i] {
			waiting[string(m.arrival())] = append(waiting[string(m.arrival())], i)
		}
	}
	known := func(payload []byte) bool {
		return slices.ContainsFunc(a.plan.messages, func(m *message) bool { return string(m.arrival()) == string(payload) })
	}
	var foreign [][]byte
	extra, compressed := 0, 0
	for _, f := range frames {
		if f.broken != "" {
			a.fault("a frame of %d items: %s", len(f.items), f.broken)
		}
		if f.count != 0 && f.count != len(f.items) {
			a.fault("a frame of %d items says that it has %d", len(f.items), f.count)
		}
		if f.compressed != nil && *f.compressed {
			compressed++
		}
		for _, item := range f.items {
			switch list := waiting[string(item)]; {
			case len(list) > 0:
				i := max(slices.IndexFunc(list, func(i int) bool { return a.differs(&f, a.plan.messages[i]) == "" }), 0)
				if differs := a.differs(&f, a.plan.messages[list[i]]); differs != "" {
					a.fault("message %d: %s", list[i], differs)
				}
				waiting[string(item)] = slices.Delete(slices.Clone(list), i, i+1)
			case known(item):
				extra++
			default:
				foreign = append(foreign, item)
			}
		}
	}
	a.judgeMissing(waiting, foreign, extra)
	if a.plan.options["compression"] == "none" && compressed > 0 {
		a.fault("%d of %d frames are compressed, want none", compressed, len(frames))
	}
	if a.plan.options["compression"] == "snappy" && compressed == 0 && slices.ContainsFunc(frames, func(f frame) bool { return f.compressed != nil }) {
		a.fault("none of %d frames is compressed", len(frames))
	}
}

// judgeMissing takes what came in place of what is missing as altered.
func (a *attempt) judgeMissing(waiting map[string][]int, foreign [][]byte, extra int) {
	var missing []int
	for _, list := range waiting {
		for _, i := range list {
			if a.acked[i] {
				missing = append(missing, i)
			}
		}
	}
	slices.Sort(missing)
	altered := min(len(missing), len(foreign))
	lost := len(missing) - altered
	extra += len(foreign) - altered
	if altered > 0 {
		sent, came := nearest(a.plan, missing, foreign)
		want := a.plan.messages[sent].arrival()
		a.fault("altered %d: message %d must arrive as %s and arrived as %s", altered, sent, excerpt(want, came), excerpt(came, want))
	}
	if lost > 0 {
		a.fault("lost %d of %d acked, the first is message %d", lost, count(a.acked), missing[len(missing)-lost])
	}
	if extra > 0 {
		a.fault("extra %d", extra)
	}
}

// nearest returns a missing message and what may be left of it: a payload of the same length if there is one.
func nearest(p *plan, missing []int, foreign [][]byte) (int, []byte) {
	for _, i := range missing {
		for _, came := range foreign {
			if len(came) == len(p.messages[i].arrival()) {
				return i, came
			}
		}
	}
	return missing[0], foreign[0]
}

// excerpt shows payload from a little before where it begins to differ from other.
func excerpt(payload, other []byte) string {
	at := 0
	for at < min(len(payload), len(other)) && payload[at] == other[at] {
		at++
	}
	from := max(at-4, 0)
	return fmt.Sprintf("%d bytes with %q at %d", len(payload), payload[from:min(at+8, len(payload))], from)
}

// ownKeys are the attributes that a client and a node put into every frame.
var ownKeys = strings.Fields("groupId streamId dt mid sid wid cnt cp rt rtms")

// differs says what else of the message is not in its frame as it was sent, or "".
func (a *attempt) differs(f *frame, m *message) string {
	group := m.group
	if group == "" {
		group = a.plan.options["group_id"]
	}
	if f.attributes["groupId"] != group || f.attributes["streamId"] != m.stream {
		return fmt.Sprintf("arrived in %s/%s, was sent to %s/%s", f.attributes["groupId"], f.attributes["streamId"], group, m.stream)
	}
	if format := a.plan.options["message_format"]; format != "" && f.format != format {
		return fmt.Sprintf("arrived in a %s frame, want %s", f.format, format)
	}
	got := make(map[string]string)
	for key, value := range f.attributes {
		if !slices.Contains(ownKeys, key) {
			got[key] = value
		}
	}
	if want := a.wantAttributes(m, got); !maps.Equal(got, want) {
		return fmt.Sprintf("attributes %q, want %q", joinAttributes(got), joinAttributes(want))
	}
	return a.timeFault(f, m)
}

// wantAttributes are the batch's, the message's own and the added columns. In place of {{ip}} any address will do.
func (a *attempt) wantAttributes(m *message, got map[string]string) map[string]string {
	want := maps.Clone(m.attributes)
	maps.Copy(want, m.ofItem)
	for pair := range strings.SplitSeq(a.plan.options["add_columns"], "&") {
		key, value, ok := strings.Cut(pair, "=")
		if _, err := netip.ParseAddr(got[key]); value == "{{ip}}" && err == nil {
			value = got[key]
		}
		if ok {
			want[key] = value
		}
	}
	return want
}

// timeFault allows for what a binary frame cannot hold: milliseconds.
func (a *attempt) timeFault(f *frame, m *message) string {
	unit := time.Millisecond
	if f.format == "binary" {
		unit = time.Second
	}
	from, to := m.at, m.at
	if m.at.IsZero() {
		from, to = a.from, a.to
	}
	if f.time.Before(from.Truncate(unit)) || f.time.After(to) {
		return fmt.Sprintf("event time %s, want %s to %s", stamp(f.time), stamp(from), stamp(to))
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// receivedAt is when a node took the frame, in milliseconds.
func receivedAt(attributes map[string]string) int64 {
	ms, _ := strconv.ParseInt(attributes["rtms"], 10, 64)
	return ms
}
