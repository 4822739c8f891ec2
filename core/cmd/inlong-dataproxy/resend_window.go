package main

import (
	"context"
	"slices"
	"sync"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// window holds lines for a while after their acks. An ack means that a line is in the memory of a node; one that is killed then has
// forwarded it or not. So what a node acked in the time before it was lost is sent again, and the state's place does not pass it until then.
type window struct {
	s      *shipment
	length time.Duration

	mu    sync.Mutex
	held  [2][]*heldLine // in the order of their acks; those that were sent again are apart
	bytes int64
	lost  map[string]time.Time // nodes, and until when what they have acked is sent again
	over  bool                 // nothing is held any more
	told  time.Time
}

// heldLine is the origin of a line that the window will hold.
type heldLine struct {
	origin
	node  string // the one that acked it
	msg   dataproxy.Message
	acked time.Time
	list  int // of window.held
}

func (h *heldLine) size() int64 { return max(h.Size(), int64(len(h.msg.Payload))) + ofPlace }

// mostHeld is how much memory the lines take. What they have in their file must be less than it may be read after them (maxBehind): else
// nothing is read until their time is over.
func mostHeld() int64 { return mostWaiting / 2 }

const (
	windowTick = 250 * time.Millisecond
	// lateAcks is how long after the loss of a node its acks may still be handed out.
	lateAcks = time.Second
)

// hooks tell which node acks a line, and which node is lost while it owes answers.
func (w *window) hooks() dataproxy.Hooks {
	return dataproxy.Hooks{
		Sending: func(_ context.Context, msg *dataproxy.Message) any { return msg.MetaData },
		Answered: func(attempt dataproxy.BatchAttempt, end dataproxy.AttemptEnd) {
			if end.Cause != nil {
				w.loses(attempt.Node)
			}
		},
		Result: func(result dataproxy.MessageResults) {
			for _, token := range result.Tokens {
				if h, ok := token.(*heldLine); ok {
					h.node = result.Node
				}
			}
		},
	}
}

func (w *window) loses(node string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost[node] = time.Now().Add(lateAcks)
}

// holds takes a line that was acked; without a window nobody does.
func (w *window) holds(msg dataproxy.Message) bool {
	if w == nil {
		return false
	}
	h := msg.MetaData.(*heldLine)
	h.msg, h.acked = msg, time.Now()
	h.msg.Payload = slices.Clone(msg.Payload)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return false
	}
	w.held[h.list] = append(w.held[h.list], h)
	w.bytes += h.size()
	for w.bytes > mostHeld() {
		list := 0
		if len(w.held[1]) > 0 { // they come before the others in their file, so that the state waits for them
			list = 1
		}
		w.tellShort(w.held[list][0].acked)
		w.finishFirst(list)
	}
	return true
}

// finishFirst lets the state pass the oldest line of a list. The caller holds mu.
func (w *window) finishFirst(list int) {
	held := w.held[list]
	h := held[0]
	held[0], w.held[list] = nil, held[1:]
	w.bytes -= h.size()
	w.s.finish(h.origin)
}

// tellShort says that memory ends the window early. The caller holds mu.
func (w *window) tellShort(since time.Time) {
	if time.Since(w.told) < tellEvery {
		return
	}
	w.told = time.Now()
	w.s.log.Warn("--resend-window is shorter than asked: what is acked in that time takes more memory than it may", "window", time.Since(since).Round(time.Millisecond),
		"bytes", mostHeld())
}

// look takes out what lost nodes have acked, and lets the state pass what is held for long enough.
func (w *window) look(now time.Time, nodes []dataproxy.NodeStats) (again []*heldLine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range nodes {
		n := &nodes[i]
		if _, known := w.lost[n.Addr]; !known && n.Suspect && n.Lanes == 0 {
			w.lost[n.Addr] = now // lost while it owed nothing
		}
	}
	if len(w.lost) > 0 {
		for list := range w.held {
			w.held[list] = slices.DeleteFunc(w.held[list], func(h *heldLine) bool {
				if _, lost := w.lost[h.node]; !lost {
					return false
				}
				w.bytes -= h.size()
				again = append(again, h)
				return true
			})
		}
	}
	for node, until := range w.lost {
		if !until.After(now) {
			delete(w.lost, node)
		}
	}
	w.finishUntil(now.Add(-w.length))
	return again
}

// finishUntil lets the state pass what was acked by then. The caller holds mu.
func (w *window) finishUntil(then time.Time) {
	for list := range w.held {
		for len(w.held[list]) > 0 && !w.held[list][0].acked.After(then) {
			w.finishFirst(list)
		}
	}
}

// run looks at the nodes and sends again what they had acked, until ctx ends.
func (w *window) run(ctx context.Context) {
	clock := time.NewTicker(windowTick)
	defer clock.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
		}
		again := w.look(time.Now(), w.s.client.Stats().Nodes)
		if len(again) == 0 {
			continue
		}
		w.s.log.Warn("a node was lost: lines that it had acked shortly before are sent again", "node", again[0].node, "lines", len(again))
		for _, h := range again {
			w.s.acked.Add(-1)
			w.s.twice.Add(1)
			h.list = 1
			w.s.client.SendBulk(ctx, h.msg, w.s.result)
		}
	}
}

// drain waits until nothing is held and everything has its result, at the latest until ctx ends.
func (w *window) drain(ctx context.Context) {
	for ctx.Err() == nil {
		w.mu.Lock()
		held := w.bytes
		w.mu.Unlock()
		if held == 0 && w.s.waiting() == 0 {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(windowTick):
		}
	}
}

// keepWindow holds acked lines until the returned function is called; it waits for the last ones until ctx ends.
func (s *shipment) keepWindow(ctx context.Context) (stop func()) {
	w := s.window
	if w == nil {
		return func() {}
	}
	stopLooking := inBackground(ctx, w.run)
	return func() {
		w.drain(ctx)
		stopLooking()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.over = true
		w.finishUntil(time.Now())
	}
}
