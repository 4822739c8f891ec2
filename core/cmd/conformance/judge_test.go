package main

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample is an attempt in which all went well, with what arrived of it: two frames of two messages, and one of its own.
func sample() (*attempt, []frame) {
	p := &plan{tag: "t", mode: modeAsync, options: map[string]string{"group_id": "g", "message_format": "text", "compression": "snappy"}}
	p.add([]byte("one"), []byte("two"), []byte("three"))
	p.flush()
	p.add([]byte("four"))
	p.addMessage(message{payload: []byte("five"), at: time.UnixMilli(1_700_000_000_123), attributes: map[string]string{tagAttribute: "t", "k": "v"}})
	(&target{stream: "s"}).finish(p)
	a := &attempt{test: &testCase{name: "sample"}, plan: p, from: time.UnixMilli(1000), to: time.UnixMilli(2000)}
	a.lines = append(a.lines, line{Step: "client"})
	for i := range p.messages {
		if i == 3 {
			a.lines = append(a.lines, line{Step: "flush", Results: 3})
		}
		a.lines = append(a.lines, line{Step: "message", Index: i, Persisted: "acked"})
	}
	a.lines = append(a.lines, line{Step: "flush", Results: 5}, line{Step: "close", Acked: 5})
	return a, []frame{sampleFrame(1, "one", "two"), sampleFrame(2, "three", "four"), withKV(sampleFrame(3, "five"))}
}

func sampleFrame(order int64, items ...string) frame {
	compressed := true
	f := frame{format: "text", time: time.UnixMilli(1500), order: order, compressed: &compressed, count: len(items),
		attributes: map[string]string{"groupId": "g", "streamId": "s", "mid": "1", "cp": "snappy", "rtms": "5", tagAttribute: "t"}}
	for _, item := range items {
		f.items = append(f.items, []byte(item))
	}
	return f
}

func withKV(f frame) frame {
	f.attributes["k"], f.time = "v", time.UnixMilli(1_700_000_000_123)
	return f
}

func judged(a *attempt, frames []frame) string {
	a.judgeLines()
	a.judgeFrames(frames)
	return a.summary()
}

// Each is a way in which a client may fail its user; a judge that passes it makes the whole program worthless.
func TestEachDifferenceIsNoticed(t *testing.T) {
	a, frames := sample()
	if fault := judged(a, frames); fault != "" {
		t.Fatalf("a sound attempt: %s", fault)
	}
	no := false
	for name, c := range map[string]struct {
		spoil func(a *attempt, frames []frame) []frame
		want  string
	}{
		"a frame is lost": {func(_ *attempt, f []frame) []frame { return f[1:] }, "lost 2 of 5 acked, the first is message 0"},
		"an item is lost": {func(_ *attempt, f []frame) []frame {
			f[0].items, f[0].count = f[0].items[:1], 1
			return f
		}, "lost 1 of 5 acked, the first is message 1"},
		"a frame is there twice": {func(_ *attempt, f []frame) []frame { return append(f, f[0]) }, "extra 2"},
		"a message of nobody":    {func(_ *attempt, f []frame) []frame { return append(f, sampleFrame(9, "six")) }, "extra 1"},
		"an altered byte": {func(_ *attempt, f []frame) []frame {
			f[1].items[0] = []byte("thRee")
			return f
		}, `altered 1: message 2 must arrive as 5 bytes with "three" at 0 and arrived as 5 bytes with "thRee" at 0`},
		"a cut payload": {func(_ *attempt, f []frame) []frame {
			f[1].items[0] = []byte("thre")
			return f
		}, "altered 1: message 2"},
		"a broken frame": {func(_ *attempt, f []frame) []frame {
			f[0].broken = "stray bytes"
			return f
		}, "a frame of 2 items: stray bytes"},
		"a newline that was to be cut": {func(a *attempt, f []frame) []frame {
			a.plan.messages[0].arrives = []byte("on")
			return f
		}, `altered 1: message 0 must arrive as 2 bytes with "on" at 0 and arrived as 3 bytes with "one" at 0`},
		"a wrong count": {func(_ *attempt, f []frame) []frame {
			f[0].count = 3
			return f
		}, "a frame of 2 items says that it has 3"},
		"another group": {func(_ *attempt, f []frame) []frame {
			f[0].attributes["groupId"] = "h"
			return f
		}, "message 0: arrived in h/s, was sent to g/s"},
		"another stream": {func(_ *attempt, f []frame) []frame {
			f[0].attributes["streamId"] = "r"
			return f
		}, "message 0: arrived in g/r, was sent to g/s"},
		"another format": {func(_ *attempt, f []frame) []frame {
			f[0].format = "binary"
			return f
		}, "message 0: arrived in a binary frame, want text"},
		"an attribute is lost": {func(_ *attempt, f []frame) []frame {
			delete(f[2].attributes, "k")
			return f
		}, `message 4: attributes "conformance=t", want "conformance=t&k=v"`},
		"an attribute of another": {func(_ *attempt, f []frame) []frame {
			f[0].attributes["k"] = "v"
			return f
		}, `message 0: attributes "conformance=t&k=v", want "conformance=t"`},
		"another event time": {func(_ *attempt, f []frame) []frame {
			f[2].time = f[2].time.Add(time.Millisecond)
			return f
		}, "message 4: event time 2023-11-14T22:13:20.124Z, want 2023-11-14T22:13:20.123Z"},
		"a time outside the run": {func(_ *attempt, f []frame) []frame {
			f[0].time = time.UnixMilli(2001)
			return f
		}, "message 0: event time 1970-01-01T00:00:02.001Z, want 1970-01-01T00:00:01.000Z to 1970-01-01T00:00:02.000Z"},
		"no frame is compressed": {func(_ *attempt, f []frame) []frame {
			for i := range f {
				f[i].compressed = &no
			}
			return f
		}, "none of 3 frames is compressed"},
		"a frame is compressed": {func(a *attempt, f []frame) []frame {
			a.plan.options["compression"] = "none"
			return f
		}, "3 of 3 frames are compressed, want none"},
		"a column is lost": {func(a *attempt, f []frame) []frame {
			a.plan.options["add_columns"] = "c=1"
			return f
		}, `message 0: attributes "conformance=t", want "c=1&conformance=t"`},
		"a column without an address": {func(a *attempt, f []frame) []frame {
			a.plan.options["add_columns"] = "ip={{ip}}"
			for i := range f {
				f[i].attributes["ip"] = "127.0.0"
			}
			return f
		}, `message 0: attributes "conformance=t&ip=127.0.0", want "conformance=t&ip={{ip}}"`},

		"no result":      {saying(func(l []line) []line { return slices.Delete(l, 1, 2) }), "close: code 0 : it reports 5 acked and 0 unsent, want 4 and 0; message 0 has 0 results"},
		"two results":    {saying(func(l []line) []line { return slices.Insert(l, 1, l[1]) }), "message 0 has 2 results"},
		"an error":       {saying(func(l []line) []line { l[1].Code, l[1].Text = 10001, "late"; return l }), "message 0: code 10001: late"},
		"no such index":  {saying(func(l []line) []line { l[1].Index = 5; return l }), "the program said {Step:message Index:5"},
		"an early flush": {saying(func(l []line) []line { l[4].Results = 2; return l }), "flush: code 0 : 2 of 3 messages had their result"},
		"a failed flush": {saying(func(l []line) []line { l[4].Code, l[4].Text = 10005, "late"; return l }), "flush: code 10005 late"},
		"a third flush":  {saying(func(l []line) []line { return slices.Insert(l, 4, l[4], l[4]) }), "flush: code 0 : 3 of 5"},
		"a failed close": {saying(func(l []line) []line { l[len(l)-1].Code = 10005; return l }), "close: code 10005"},
		"a close that gave up": {saying(func(l []line) []line { l[len(l)-1].Unsent = 1; return l }),
			"close: code 0 : it reports 5 acked and 1 unsent, want 5 and 0"},
		"a close that miscounts": {saying(func(l []line) []line { l[len(l)-1].Acked = 4; return l }), "close: code 0 : it reports 4 acked"},
		"no close":               {saying(func(l []line) []line { return l[:len(l)-1] }), "the program ended without a close"},
		"no client":              {saying(func([]line) []line { return []line{{Step: "client", Code: -2, Text: "bad"}} }), "making the client: code -2: bad"},
		"nothing at all":         {saying(func([]line) []line { return nil }), "the program said nothing of its client"},
		"a crash": {func(a *attempt, f []frame) []frame {
			a.err = errors.New("signal: segmentation fault")
			return f
		}, "the program failed: signal: segmentation fault"},
	} {
		a, frames := sample()
		frames = c.spoil(a, frames)
		if fault := judged(a, frames); !strings.HasPrefix(fault, c.want) {
			t.Errorf("%s: %q, want %q", name, fault, c.want)
		}
	}
}

func saying(spoil func([]line) []line) func(*attempt, []frame) []frame {
	return func(a *attempt, frames []frame) []frame {
		a.lines = spoil(a.lines)
		return frames
	}
}

// What must be refused is as wrong when it is acked as what must be acked is when it is refused.
func TestRefusalsAreJudged(t *testing.T) {
	unknown := &refusal{codes: []int{10011}, serverCode: 115, text: "Topic"}
	for name, c := range map[string]struct {
		r    *refusal
		l    line
		want string
	}{
		"as wanted":           {unknown, line{Code: 10011, ServerCode: 115, Text: "no Topic"}, ""},
		"a false success":     {unknown, line{}, "success, want code [10011]"},
		"another code":        {unknown, line{Code: 10001, ServerCode: 115, Text: "Topic"}, "code 10001, server code 115 (Topic), want code [10011], server code 115"},
		"another server code": {unknown, line{Code: 10011, ServerCode: 1, Text: "Topic"}, "code 10011, server code 1 (Topic), want"},
		"another text":        {unknown, line{Code: 10011, ServerCode: 115, Text: "x"}, "code 10011, server code 115 (x), want"},
		"an ack is as good":   {&refusal{codes: []int{5}, ackMeans: "x"}, line{}, ""},
		"success":             {nil, line{}, ""},
		"an error":            {nil, line{Code: 7, Text: "x"}, "code 7: x"},
	} {
		if got := c.r.wrong(c.l); !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	// A message without an ack must not arrive, unless it may have been written.
	for persisted, want := range map[string]string{"not_written": "extra 1", "maybe_written": ""} {
		a, frames := sample()
		a.plan.messages[0].refusal = &refusal{codes: []int{10015}}
		a.lines[1].Code, a.lines[1].Persisted, a.lines[len(a.lines)-1].Acked = 10015, persisted, 4
		if fault := judged(a, frames); fault != want {
			t.Errorf("%s: %q, want %q", persisted, fault, want)
		}
	}
}

// Order is that of arrival at the nodes; frames of the same millisecond may have come in either order.
func TestOrderIsJudged(t *testing.T) {
	a, frames := sample()
	for name, c := range map[string]struct {
		orders []int64
		want   string
	}{
		"in order":       {[]int64{1, 2, 3}, ""},
		"in one moment":  {[]int64{5, 5, 5}, ""},
		"the last first": {[]int64{2, 3, 1}, "order: message 0 arrived after message 4"},
		"two exchanged":  {[]int64{1, 3, 2}, "order: message 2 arrived after message 4"},
	} {
		for i, order := range c.orders {
			frames[i].order = order
		}
		if got := orderFault(a.plan, frames); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	frames[0].items[0], frames[0].items[1] = frames[0].items[1], frames[0].items[0]
	frames[0].order, frames[1].order, frames[2].order = 1, 2, 3
	if got := orderFault(a.plan, frames); got != "order: message 0 arrived after message 1" {
		t.Errorf("inside a frame: %q", got)
	}
}

// The programs of other languages read this text; a field that moves is a message with another's ids.
func TestPlanIsWrittenAsTheProgramsReadIt(t *testing.T) {
	a, _ := sample()
	a.plan.options["add_columns"] = "k=with blanks"
	a.plan.messages[3].group = "h"
	var out strings.Builder
	if err := a.plan.write(&out); err != nil {
		t.Fatal(err)
	}
	const want = `option add_columns k=with blanks
option compression snappy
option group_id g
option message_format text
mode async
message - s 0 0 3 conformance=t
message - s 0 3 3 conformance=t
message - s 0 6 5 conformance=t
flush 30000
message h s 0 11 4 conformance=t
message - s 1700000000123 15 4 conformance=t&k=v
flush 30000
close 30000
`
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
	if got := string(a.plan.payloads()); got != "onetwothreefourfive" {
		t.Errorf("payloads %q", got)
	}
}

// Frames are told apart by what names their plan: an attribute, an added column, or the payload where there is neither.
func TestFramesFindTheirPlan(t *testing.T) {
	for name, f := range map[string]frame{
		"attribute": sampleFrame(1, "x"),
		"column":    {attributes: map[string]string{"__addcol1__conformance": "t"}},
		"payload":   {items: [][]byte{[]byte("conformance=t;0001")}},
	} {
		if tag := f.tag(); tag != "t" {
			t.Errorf("%s: %q", name, tag)
		}
	}
	frames := map[string][]frame{}
	for _, f := range []frame{{}, {items: [][]byte{[]byte("x")}}, {attributes: map[string]string{"mid": "1"}}} {
		f.addTo(frames)
	}
	if len(frames) > 0 {
		t.Errorf("others' frames are kept: %v", maps.Keys(frames))
	}
}
