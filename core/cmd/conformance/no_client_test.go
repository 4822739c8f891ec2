package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// A Manager that was slow for one start counted as a case in which the client differs. It is tried again, and what cannot be tried is
// called what it is.
func TestClientThatCouldNotBeMadeIsTriedAgainAndNamed(t *testing.T) {
	sound, _ := sample()
	unreachable := []line{{Step: "client", Code: codeNewConnFailed, Text: "no answer of the Manager in time"}}
	for name, c := range map[string]struct {
		failures  int
		wants     string // of making the client
		row, note string
		err       string
	}{
		"the second try":    {1, "", "ok", "try 1: the client could not be made: no answer of the Manager", ""},
		"never":             {mostTries, "", "no client", "nothing was sent: the client could not be made, in 3 tries: no answer", "reached no Manager or no node"},
		"403 is what wants": {1, "403", "FAILED", "", "differ"}, // the sound lines then are a success, which is wrong
		"never 403":         {mostTries, "403", "no client", "", "reached no Manager or no node"},
	} {
		t.Run(name, func(t *testing.T) {
			runs := 0
			p := program{"Go", func(context.Context, *plan, []byte) ([]line, error) {
				if runs++; runs <= c.failures {
					return unreachable, nil
				}
				return sound.lines, nil
			}}
			s := &settings{target: &target{stream: "s"}, pause: time.Millisecond}
			test := &testCase{name: "sample", make: func(_ *target, p *plan) {
				*p = *sound.plan
				if c.wants != "" {
					p.noClient = &refusal{codes: []int{codeNewConnFailed}, text: c.wants}
				}
			}}
			a := s.send(t.Context(), p, test, "t")
			a.judgeLines()
			var out bytes.Buffer
			err := printTable(&out, []*attempt{a}, []string{"Go"})
			if runs != min(c.failures+1, mostTries) {
				t.Errorf("%d runs", runs)
			}
			if !strings.Contains(out.String(), c.row) || !strings.Contains(out.String(), c.note) {
				t.Errorf("printed %s", &out)
			}
			if err == nil != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

// A program that crashes is not tried again: that is the fault that is looked for.
func TestCrashIsNotTriedAgain(t *testing.T) {
	sound, _ := sample()
	runs := 0
	p := program{"C", func(context.Context, *plan, []byte) ([]line, error) {
		runs++
		return nil, errors.New("signal: segmentation fault")
	}}
	s := &settings{target: &target{stream: "s"}, pause: time.Millisecond}
	a := s.send(t.Context(), p, &testCase{name: "sample", make: func(_ *target, p *plan) { *p = *sound.plan }}, "t")
	a.judgeLines()
	if runs != 1 || len(a.faults) != 1 {
		t.Errorf("%d runs, faults %q", runs, a.faults)
	}
}
