package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// run sends all cases in all languages, reads back what arrived, and prints the table. An error means: not all is well.
func (s *settings) run(ctx context.Context, w io.Writer) error {
	programs, err := choosePrograms(s.root, s.languages)
	if err != nil {
		return err
	}
	list, err := s.chooseCases()
	if err != nil {
		return err
	}
	t := s.target
	if s.isTrial() {
		if t.fake, err = t.startFake(); err != nil {
			return err
		}
	}
	defer t.close()
	if err := t.ask(ctx); err != nil {
		return err
	}
	if len(s.kafka) > 0 {
		topic, err := openKafka(ctx, s.kafka, s.topic, s.wait)
		if err != nil {
			return err
		}
		t.source = topic
	}
	fmt.Fprintln(w, t.describe())
	attempts := s.sendAll(ctx, programs, list)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, a := range attempts {
		if a.skipped == "" {
			a.judgeLines()
		}
	}
	if t.source != nil {
		if err := t.compare(ctx, w, attempts); err != nil {
			return err
		}
	}
	return printTable(w, attempts, s.languageNames(programs))
}

func (s *settings) languageNames(programs []program) (names []string) {
	for _, p := range programs {
		names = append(names, p.language)
	}
	return names
}

func (s *settings) chooseCases() (chosen []*testCase, err error) {
	injected := s.inject == nil
	for _, test := range cases() {
		if s.only.MatchString(test.name) {
			chosen = append(chosen, &test)
			injected = injected || s.inject.MatchString(test.name)
		}
	}
	switch {
	case len(chosen) == 0:
		return nil, fmt.Errorf("--only: no case has a name that matches %q", s.only)
	case !injected:
		return nil, fmt.Errorf("--inject: no case that is run has a name that matches %q", s.inject)
	}
	return chosen, nil
}

// sendAll runs the languages side by side, the cases of each one after the other.
func (s *settings) sendAll(ctx context.Context, programs []program, list []*testCase) []*attempt {
	runID := strings.ToLower(rand.Text()[:10])
	attempts := make([]*attempt, len(programs)*len(list))
	bar := startProgress(len(attempts))
	defer bar.stop()
	var sending sync.WaitGroup
	for i, p := range programs {
		sending.Go(func() {
			for j, test := range list {
				tag := fmt.Sprintf("%s.%d.%s", runID, j, strings.ToLower(p.language))
				attempts[i*len(list)+j] = s.send(ctx, p, test, tag)
				bar.increment()
			}
		})
	}
	sending.Wait()
	return attempts
}

func (s *settings) send(ctx context.Context, p program, test *testCase, tag string) *attempt {
	a := &attempt{test: test, language: p.language}
	if test.skip != nil {
		if a.skipped = test.skip(s.target); a.skipped != "" {
			return a
		}
	}
	a.plan = s.target.newPlan(tag)
	test.make(s.target, a.plan)
	s.target.finish(a.plan)
	payloads := a.plan.payloads()
	if s.inject != nil && s.inject.MatchString(test.name) {
		a.plan.alter(payloads)
	}
	for {
		a.from = time.Now()
		a.lines, a.err = p.run(ctx, a.plan, payloads)
		a.to = time.Now()
		a.tries++
		cause, reached := a.reached()
		if reached || a.tries == mostTries {
			return a
		}
		a.notes = append(a.notes, fmt.Sprintf("try %d: the client could not be made: %s", a.tries, cause))
		select {
		case <-time.After(s.pause):
		case <-ctx.Done():
			return a
		}
	}
}

// mostTries is how often a client is made that reaches no Manager or no node, which says nothing about the case.
const mostTries = 3

// compare reads back what arrived and judges it.
func (t *target) compare(ctx context.Context, w io.Writer, attempts []*attempt) error {
	sent := slices.DeleteFunc(slices.Clone(attempts), func(a *attempt) bool { return a.plan == nil || a.err != nil })
	frames, err := t.source.read(ctx, func(frames map[string][]frame) bool {
		for _, a := range sent {
			arrived := 0
			for _, f := range frames[a.plan.tag] {
				arrived += len(f.items)
			}
			if arrived < count(a.acked) {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, a := range sent {
		faults := len(a.faults)
		a.judgeFrames(frames[a.plan.tag])
		if a.test.frames != nil && len(a.faults) == faults {
			if fault := a.test.frames(a.plan, frames[a.plan.tag]); fault != "" {
				a.fault("%s", fault)
			}
		}
	}
	if t.fake == nil && len(frames) == 0 && slices.ContainsFunc(sent, func(a *attempt) bool { return count(a.acked) > 0 }) {
		fmt.Fprintf(w, "Nothing of this run arrived in %s: is it the topic behind stream %s of group %s?\n\n", t.source.describe(), t.stream, t.group)
	}
	if k, ok := t.source.(*kafkaTopic); ok && len(k.unreadable) > 0 {
		fmt.Fprintf(w, "%d values of the topic are no InLongMsg; the first: %v\n\n", len(k.unreadable), k.unreadable[0])
	}
	return nil
}
