package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// testCase is one row of the table: the same plan for each language, under a tag of its own.
type testCase struct {
	name string
	// skip says why the target does not allow the case; nil: it always does.
	skip func(*target) string
	make func(*target, *plan)
	// frames says what else is wrong with what arrived; nil: nothing.
	frames func(*plan, []frame) string
}

// linger sets one that only a flush, a close or a full batch ends: the longest, and no message in more of a hurry.
func linger(p *plan) {
	p.options["batching_max_publish_delay"], p.options["send_timeout"] = "1m", "10m"
}

const mostItems = 32767 // of a frame

func cases() (list []testCase) {
	formats := []string{"text", "binary"}
	for _, format := range formats {
		for _, compression := range []string{"none", "snappy"} {
			list = append(list, wireCases(format, compression)...)
		}
	}
	for _, format := range formats {
		list = append(list, attributeCases(format)...)
	}
	list = append(list, itemCases()...)
	list = append(list, callCases()...)
	return append(list, refusalCases()...)
}

// wireCases are what format and compression may change.
func wireCases(format, compression string) []testCase {
	name := format + ", " + map[string]string{"none": "plain", "snappy": "Snappy"}[compression] + ": "
	set := func(p *plan, more map[string]string) {
		maps.Copy(p.options, map[string]string{"message_format": format, "compression": compression})
		maps.Copy(p.options, more)
	}
	return []testCase{
		{name: name + "bytes", make: func(t *target, p *plan) {
			set(p, nil)
			p.add(anyBytes()...)
		}},
		{name: name + "sizes", make: func(t *target, p *plan) {
			set(p, nil)
			p.add(anySizes(t.longest(p))...)
		}},
		{name: name + "longest message", make: func(t *target, p *plan) {
			set(p, nil)
			n := t.longest(p)
			p.add(noise(n, 1), pattern(n, 1), noise(n-1, 2))
		}},
		{name: name + "1 to 32,767 items a frame", make: func(t *target, p *plan) {
			set(p, map[string]string{"batching_max_messages": strconv.Itoa(mostItems), "batching_max_size": "16M"})
			linger(p)
			for _, n := range itemCounts(t.longest(p)) {
				p.add(numbered(n, itemSize)...)
				p.flush()
			}
		}, frames: func(p *plan, frames []frame) string {
			var got, want []int
			for _, f := range frames {
				got = append(got, len(f.items))
			}
			last := 0
			for _, before := range p.beforeFlushes() {
				if before > last { // the last flush has none of its own
					want = append(want, before-last)
				}
				last = before
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				return fmt.Sprintf("frames of %v items, want %v", got, want)
			}
			return ""
		}},
	}
}

const itemSize = 8

// itemCounts ends with the most items that a frame may hold, or that fit into it.
func itemCounts(longest int) []int {
	return []int{1, 2, 50, 1000, min(mostItems, (longest+4)/(itemSize+4))}
}

func attributeCases(format string) []testCase {
	name := format + ": "
	set := func(p *plan) { p.options["message_format"] = format }
	return []testCase{
		{name: name + "attributes", make: func(t *target, p *plan) {
			set(p)
			for i, payload := range numbered(60, 12) { // messages with other attributes must not share a frame
				attributes := map[string]string{tagAttribute: p.tag, "number": strconv.Itoa(i % 3)}
				if i%2 == 0 {
					attributes["k1"] = "blanks inside, and !\"#$%'()*+,-./:;<>?@[]^_`{|}~"
				}
				p.addMessage(message{payload: payload, attributes: attributes})
			}
			p.addMessage(message{payload: []byte("empty value"), attributes: map[string]string{tagAttribute: p.tag, "empty": ""}})
			p.addMessage(message{payload: []byte("long"), attributes: map[string]string{tagAttribute: p.tag, "long": strings.Repeat("x", 3900)}})
		}},
		{name: name + "no attributes", make: func(t *target, p *plan) {
			set(p)
			for _, payload := range numbered(60, 12) {
				p.addMessage(message{payload: append([]byte(tagPrefix(p.tag)), payload...), attributes: map[string]string{}})
			}
		}},
		{name: name + "event time", make: func(t *target, p *plan) {
			set(p)
			times := []time.Time{{}, time.UnixMilli(1_000_000_000_123), time.UnixMilli(1_700_000_000_999), time.Unix(1<<31-1, 0)}
			if format == "text" {
				times = append(times, time.UnixMilli(4_102_444_800_001))
			}
			for i, payload := range numbered(50, 12) {
				p.addMessage(message{payload: payload, at: times[i%len(times)]})
			}
		}},
		{name: name + "added columns", make: func(t *target, p *plan) {
			set(p)
			p.options["add_columns"] = columnPrefix + tagAttribute + "=" + p.tag + "&__addcol2__worldid=7&__addcol3__ip={{ip}}"
			for i, payload := range numbered(40, 12) {
				attributes := map[string]string{}
				if i%2 == 0 {
					attributes["number"] = "even"
				}
				p.addMessage(message{payload: payload, attributes: attributes})
			}
		}},
		{name: name + "own group", make: func(t *target, p *plan) {
			set(p)
			t.fixNodes(p, t.nodes) // the Manager knows no such group
			p.options["group_id"] = "conformance_other_group"
			for _, payload := range numbered(40, 12) {
				p.addMessage(message{payload: payload, group: t.group})
			}
		}},
		{name: name + "ordered", make: func(t *target, p *plan) {
			set(p)
			p.options["ordered"], p.options["batching_max_messages"] = "true", "10"
			p.add(numbered(500, 12)...)
		}, frames: orderFault},
	}
}

// itemCases are about attributes of single messages, which only one format has.
func itemCases() (list []testCase) {
	for _, mode := range []string{modeAsync, modeBulk} {
		for _, compression := range []string{"none", "snappy"} {
			list = append(list, testCase{name: "item attributes, " + compression + ", " + mode, make: func(t *target, p *plan) {
				p.mode = mode
				maps.Copy(p.options, map[string]string{"message_format": "binary", "compression": compression, "batching_max_messages": "50"})
				linger(p)
				alike := 50 // go in one call
				if mode == modeAsync {
					alike = 1
				}
				for i, payload := range numbered(500, 12) {
					own := map[string]string{"trace": strconv.Itoa(i / alike)}
					if i/alike%3 == 0 {
						own["blanks"], own["empty"] = "in side", ""
					}
					p.addMessage(message{payload: payload, ofItem: own})
				}
				p.flush()
			}, frames: fewBatches(10)})
		}
	}
	return list
}

// fewBatches says when the messages came in more batches than that.
func fewBatches(most int) func(*plan, []frame) string {
	return func(_ *plan, frames []frame) string {
		batches := make(map[string]bool)
		for _, f := range frames {
			batches[f.attributes["mid"]] = true
		}
		if len(batches) > most {
			return fmt.Sprintf("%d batches, want %d or fewer", len(batches), most)
		}
		return ""
	}
}

// callCases are the ways in and out of a client.
func callCases() []testCase {
	return []testCase{
		{name: "a call a message, waited for", make: func(t *target, p *plan) {
			p.mode = modeSync
			p.add(numbered(40, 12)...)
		}},
		{name: "many messages a call", make: func(t *target, p *plan) {
			p.mode = modeBulk
			p.add(numbered(5000, 12)...)
		}},
		{name: "flush", make: func(t *target, p *plan) {
			linger(p)
			for _, payload := range numbered(3, 12) { // each waits for its flush
				p.add(payload)
				p.flush()
			}
		}},
		{name: "trailing newline cut", make: cutNewlines(modeAsync)},
		{name: "trailing newline cut, many a call", make: cutNewlines(modeBulk)},
		{name: "short frames", make: func(t *target, p *plan) {
			maps.Copy(p.options, map[string]string{"max_frame_size": "2K", "batching_max_messages": "1000", "batching_max_size": "256K"})
			for i := range 500 {
				p.add(noise(1+i, uint64(i)))
			}
		}, frames: func(p *plan, frames []frame) string {
			for _, f := range frames {
				if n := len(bytes.Join(f.items, make([]byte, 4))); n > 2<<10 {
					return fmt.Sprintf("a frame of %d bytes of payload, where 2,048 are allowed in all", n)
				}
			}
			return ""
		}},
		{name: "connections replaced and idle", make: func(t *target, p *plan) {
			p.mode = modeSync
			maps.Copy(p.options, map[string]string{"max_conn_lifetime": "20ms", "heartbeat_interval": "10ms", "worker_num": "2"})
			p.add(numbered(1000, 12)...)
		}},
		{name: "close with messages pending", make: func(t *target, p *plan) {
			linger(p)
			p.add(numbered(1030, 12)...)
			p.close()
		}},
		{name: "given nodes", skip: func(t *target) string {
			if !t.nodesGiven {
				return "no NODES given"
			}
			return ""
		}, make: func(t *target, p *plan) {
			t.fixNodes(p, t.nodes)
			p.add(numbered(200, 12)...)
		}},
	}
}

// The codes of this client that the cases want; see ERRORS.md.
const (
	codeNewConnFailed   = 10006
	codeConnWriteFailed = 10007
	codeConnReadFailed  = 10008
	codeLogTooLong      = 10009
	codeLogInvalid      = 10010
	codeServerError     = 10011
	codeClosedByPeer    = 10015
	serverUnknownTopic  = 115
)

func refusalCases() []testCase {
	return []testCase{
		{name: "unknown group or stream: 115", make: func(t *target, p *plan) {
			p.options["max_retries"] = "0"
			unknown := refusal{codes: []int{codeServerError}, serverCode: serverUnknownTopic}
			p.addMessage(message{payload: []byte("group"), group: "conformance_no_such_group", refusal: &unknown})
			stream := unknown
			stream.ackMeans = t.mayAck("the node knows a topic for the group alone, as with TubeMQ: no stream of it is unknown")
			p.addMessage(message{payload: []byte("stream"), stream: "conformance_no_such_stream", refusal: &stream})
			p.add([]byte("known"))
		}},
		{name: "message too long for a frame", make: func(t *target, p *plan) {
			n := t.longest(p)
			p.add([]byte("before"))
			for _, m := range []*message{p.addMessage(message{payload: noise(n+1, 1)}), p.addMessage(message{payload: noise(2*n, 2)})} {
				m.refusal = &refusal{codes: []int{codeLogTooLong}}
			}
			p.add([]byte("behind"))
		}},
		{name: "frame too long for a node", make: func(t *target, p *plan) {
			t.fixNodes(p, t.nodes) // a Manager's limit would keep the frame back
			maps.Copy(p.options, map[string]string{"max_frame_size": "20M", "max_retries": "0", "compression": "none"})
			p.addMessage(message{payload: noise(t.frameLimit+1000, 1), refusal: &refusal{
				ackMeans: t.mayAck("the node takes longer frames than the Manager, or else this client, says"),
				codes:    []int{codeConnWriteFailed, codeConnReadFailed, codeClosedByPeer}}})
			p.flush() // what else is on that connection goes down with it
			p.add([]byte("behind"))
		}},
		{name: "wrong credentials", skip: func(t *target) string {
			switch {
			case t.manager == "":
				return "no MANAGER given"
			case t.auth == "":
				return "no AUTH given"
			case !t.authAsked:
				return "the Manager asks for no credentials"
			}
			return ""
		}, make: func(t *target, p *plan) {
			id, _, _ := strings.Cut(t.auth, ":")
			p.options["basic_auth"] = id + ":not-the-key"
			p.noClient = &refusal{codes: []int{codeNewConnFailed}, text: "403"}
		}},
	}
}

// cutNewlines is about trim_trailing_newline: one newline is cut, and nothing else.
func cutNewlines(mode string) func(*target, *plan) {
	return func(t *target, p *plan) {
		p.mode = mode
		p.options["trim_trailing_newline"] = "true"
		for _, text := range []string{"none", "one\n", "two\n\n", "\nin front", "in\nside", "with a return\r\n", "NUL behind\n\x00", "blank behind\n "} {
			p.addMessage(message{payload: []byte(text), arrives: []byte(strings.TrimSuffix(text, "\n"))})
		}
		p.addMessage(message{payload: []byte("\n"), refusal: &refusal{codes: []int{codeLogInvalid}}}) // empty without it
		p.add([]byte("behind"))
	}
}

// orderFault compares the order of arrival with that of sending.
func orderFault(p *plan, frames []frame) string {
	place := make(map[string]int)
	for i, m := range p.messages {
		place[string(m.arrival())] = i
	}
	first := func(f frame) int {
		if len(f.items) == 0 {
			return 0
		}
		return place[string(f.items[0])]
	}
	sorted := slices.Clone(frames)
	slices.SortFunc(sorted, func(a, b frame) int { // frames of one millisecond are in no known order
		if a.order != b.order {
			return int(a.order - b.order)
		}
		return first(a) - first(b)
	})
	last := -1
	for _, f := range sorted {
		for _, item := range f.items {
			if at := place[string(item)]; at < last {
				return fmt.Sprintf("order: message %d arrived after message %d", at, last)
			} else {
				last = at
			}
		}
	}
	return ""
}
