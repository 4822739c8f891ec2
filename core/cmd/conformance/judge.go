package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// attempt is a case in one language, with what came of it.
type attempt struct {
	test     *testCase
	language string
	skipped  string // why it was not made
	tries    int
	plan     *plan
	from, to time.Time
	lines    []line
	err      error // of the program
	acked    []bool
	maybe    []bool // may have arrived without an ack
	unmade   string // why there was no client, in none of the tries: nothing was sent
	faults   []string
	notes    []string // what is no fault and yet to be known
}

func (a *attempt) fault(format string, args ...any) {
	a.faults = append(a.faults, fmt.Sprintf(format, args...))
}

// reached reports whether the program's client reached what it was to reach; cause says why not.
func (a *attempt) reached() (cause string, reached bool) {
	if a.err != nil || len(a.lines) != 1 {
		return "", true
	}
	l := a.lines[0]
	if l.Step != "client" || l.Code != codeNewConnFailed || a.plan.noClient != nil && a.plan.noClient.wrong(l) == "" {
		return "", true
	}
	return l.Text, false
}

// judgeLines compares what the program said with what the plan wants: one result a message, and the right one.
func (a *attempt) judgeLines() {
	messages := a.plan.messages
	a.acked, a.maybe = make([]bool, len(messages)), make([]bool, len(messages))
	results, flushes := make([]int, len(messages)), a.plan.beforeFlushes()
	made, closed := false, false
	if a.err != nil {
		a.fault("the program failed: %v", a.err)
		return
	}
	if cause, reached := a.reached(); !reached {
		a.unmade = cause
		return
	}
	for _, l := range a.lines {
		switch {
		case l.Step == "client":
			made = l.Code == 0
			if wrong := a.plan.noClient.wrong(l); wrong != "" {
				a.fault("making the client: %s", wrong)
			}
		case l.Step == "message" && l.Index >= 0 && l.Index < len(messages):
			results[l.Index]++
			a.acked[l.Index], a.maybe[l.Index] = l.Code == 0, l.Persisted == "maybe_written"
			refusal := messages[l.Index].refusal
			if wrong := refusal.wrong(l); wrong != "" {
				a.fault("message %d: %s", l.Index, wrong)
			} else if refusal != nil && l.Code == 0 {
				a.notes = append(a.notes, fmt.Sprintf("message %d was acked: %s", l.Index, refusal.ackMeans))
			}
		case l.Step == "flush" && len(flushes) > 0:
			if l.Code != 0 || l.Results != flushes[0] {
				a.fault("flush: code %d %s: %d of %d messages had their result", l.Code, l.Text, l.Results, flushes[0])
			}
			flushes = flushes[1:]
		case l.Step == "close":
			closed = true
			if want := count(a.acked); l.Code != 0 || l.Acked != want || l.Unsent != 0 {
				a.fault("close: code %d %s: it reports %d acked and %d unsent, want %d and 0", l.Code, l.Text, l.Acked, l.Unsent, want)
			}
		default:
			a.fault("the program said %+v", l)
		}
	}
	if !made {
		if a.plan.noClient == nil && len(a.faults) == 0 {
			a.fault("the program said nothing of its client")
		}
		return
	}
	if !closed {
		a.fault("the program ended without a close")
	}
	if i := slices.IndexFunc(results, func(n int) bool { return n != 1 }); i >= 0 {
		a.fault("message %d has %d results", i, results[i])
	}
}

// wrong says why a result is not the one that is wanted, or "". Without a refusal that is success.
func (r *refusal) wrong(l line) string {
	switch {
	case r == nil:
		if l.Code != 0 {
			return fmt.Sprintf("code %d: %s", l.Code, l.Text)
		}
	case l.Code == 0:
		if r.ackMeans == "" {
			return fmt.Sprintf("success, want code %v", r.codes)
		}
	case !slices.Contains(r.codes, l.Code) || l.ServerCode != r.serverCode || !strings.Contains(l.Text, r.text):
		return fmt.Sprintf("code %d, server code %d (%s), want code %v, server code %d, %q", l.Code, l.ServerCode, l.Text, r.codes, r.serverCode, r.text)
	}
	return ""
}

// beforeFlushes returns for each flush how many messages stand before it.
func (p *plan) beforeFlushes() (counts []int) {
	before := 0
	for _, s := range p.steps {
		switch s.kind {
		case "message":
			before++
		case "flush":
			counts = append(counts, before)
		}
	}
	return counts
}

func count(list []bool) (n int) {
	for _, yes := range list {
		if yes {
			n++
		}
	}
	return n
}

// summary is the first fault, and how many more there are.
func (a *attempt) summary() string {
	if len(a.faults) == 0 {
		return ""
	}
	text := a.faults[0]
	for _, fault := range a.faults[1:min(len(a.faults), 3)] {
		text += "; " + fault
	}
	if more := len(a.faults) - 3; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}
