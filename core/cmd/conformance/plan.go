package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// How a plan's messages are given to the client.
const (
	modeAsync = "async" // one call a message, without waiting
	modeSync  = "sync"  // one call a message, each waited for
	modeBulk  = "bulk"  // one call for all that lie together and share ids, attributes and time
)

// plan is what a program does with one client, in order, and what must come of it.
type plan struct {
	tag      string // names the plan in what arrives
	options  map[string]string
	mode     string
	messages []*message
	steps    []step
	noClient *refusal // the client must not come to be
}

// step is a message, or something that concerns those before it.
type step struct {
	kind    string // message, flush or close
	index   int    // of the message
	timeout time.Duration
}

// message is what is sent, and what is wanted.
type message struct {
	group, stream string // no group: the client's
	attributes    map[string]string
	ofItem        map[string]string // its own; nil: none
	at            time.Time         // zero: the client's own time
	payload       []byte
	arrives       []byte   // what must arrive; nil: the payload as it is
	refusal       *refusal // nil: it must be acked
}

// arrival is the payload that a consumer must get.
func (m *message) arrival() []byte {
	if m.arrives != nil {
		return m.arrives
	}
	return m.payload
}

// refusal is an error that a message, or the making of a client, must end with.
type refusal struct {
	codes      []int
	serverCode int
	text       string // a part of the text
	ackMeans   string // why an ack is as good, if the message then arrives; "": it is not
}

// tagAttribute names the plan on the wire.
const tagAttribute = "conformance"

const allSent = 30 * time.Second // what a flush or close may take

func (p *plan) add(payloads ...[]byte) {
	for _, payload := range payloads {
		p.addMessage(message{payload: payload})
	}
}

// addMessage fills in what most messages share.
func (p *plan) addMessage(m message) *message {
	if m.attributes == nil {
		m.attributes = map[string]string{tagAttribute: p.tag}
	}
	p.steps = append(p.steps, step{kind: "message", index: len(p.messages)})
	p.messages = append(p.messages, &m)
	return &m
}

func (p *plan) flush() { p.steps = append(p.steps, step{kind: "flush", timeout: allSent}) }
func (p *plan) close() { p.steps = append(p.steps, step{kind: "close", timeout: allSent}) }

// payloads are all payloads, one after the other, as the file that a program reads.
func (p *plan) payloads() (all []byte) {
	for _, m := range p.messages {
		all = append(all, m.payload...)
	}
	return all
}

// alter changes the last byte of one payload that must arrive.
func (p *plan) alter(payloads []byte) {
	var ends []int
	end := 0
	for _, m := range p.messages {
		if end += len(m.payload); m.refusal == nil {
			ends = append(ends, end)
		}
	}
	if len(ends) > 0 {
		payloads[ends[len(ends)/2]-1] ^= 0x80
	}
}

// write writes the plan as the programs read it: a line an option and a step. "-" is none; attributes and
// values of options go to the end of the line, where a tab stands before those of the item.
//
//	option KEY VALUE
//	mode async|sync|bulk
//	message GROUP STREAM TIME_MS OFFSET LENGTH ATTRIBUTES[TAB ITEM ATTRIBUTES]
//	flush MS
//	close MS
func (p *plan) write(w io.Writer) error {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(p.options)) {
		fmt.Fprintf(&text, "option %s %s\n", key, p.options[key])
	}
	fmt.Fprintf(&text, "mode %s\n", p.mode)
	offset := 0
	for _, s := range p.steps {
		if s.kind != "message" {
			fmt.Fprintf(&text, "%s %d\n", s.kind, s.timeout.Milliseconds())
			continue
		}
		m := p.messages[s.index]
		ms := int64(0)
		if !m.at.IsZero() {
			ms = m.at.UnixMilli()
		}
		fmt.Fprintf(&text, "message %s %s %d %d %d %s", orDash(m.group), orDash(m.stream), ms, offset, len(m.payload),
			orDash(joinAttributes(m.attributes)))
		if m.ofItem != nil {
			fmt.Fprintf(&text, "\t%s", joinAttributes(m.ofItem))
		}
		text.WriteByte('\n')
		offset += len(m.payload)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func joinAttributes(attributes map[string]string) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		pairs = append(pairs, key+"="+attributes[key])
	}
	return strings.Join(pairs, "&")
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
