package dataproxytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Pins: a record that differs from what was sent, for both frame types and with compression.
func TestRecordsHoldWhatWasSent(t *testing.T) {
	c, n := one(t)
	p := dial(t, n)
	long := string(make([]byte, 1000))
	p.send(textFrame("a", "one\n", long, "\x00"))
	p.wantAck("a")
	body := wire.AppendItem(wire.AppendItem(nil, []byte("x")), make([]byte, 500))
	p.send(wire.AppendBinary(nil, body, []byte("groupId=g&streamId=t&mid=b&k="), 7, 9, 2, true, false))
	p.wantAnswer("dpIp=127.0.0.1&rtms=")
	eventually(t, "both acked", func() bool {
		list := c.Received()
		return list[0].Acked && list[1].Acked
	})
	list := n.Received()
	first, second := list[0], list[1]
	if first.Seq != 1 || first.Type != 5 || first.Group != "g" || first.Stream != "s" || first.Attr["mid"] != "a" ||
		!first.Compressed || !first.Whole || !first.Kept || len(first.Items) != 3 || string(first.Items[0]) != "one\n" ||
		string(first.Items[1]) != long || string(first.Items[2]) != "\x00" {
		t.Errorf("first record %+v", first)
	}
	if second.Seq != 2 || second.Type != 7 || second.Stream != "t" || second.Uniq != 7 || !second.Compressed ||
		len(second.Items) != 2 || len(second.Items[1]) != 500 || second.Conn != first.Conn || second.Attr["k"] != "" {
		t.Errorf("second record %+v", second)
	}
	if second.RawAttr != "groupId=g&streamId=t&mid=b&k=" || second.At.Before(first.At) {
		t.Errorf("second record %+v", second)
	}
}

// Pins: the recorder shows an item that a real node drops after an ack.
func TestItemsBehindAnEmptyOneAreLost(t *testing.T) {
	c, n := one(t)
	p := dial(t, n)
	p.send(textFrame("a", "1", "", "3"))
	p.wantAck("a")
	if list := c.Received(); text(c.Messages()) != "1" || list[0].Whole {
		t.Errorf("kept %q, whole %v", text(c.Messages()), list[0].Whole)
	}
}

// Pins: WaitCount misses a count that was reached before, while or after it began to wait, or ignores its context.
func TestWaitCount(t *testing.T) {
	c, n := one(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.WaitCount(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled wait: %v", err)
	}
	if err := c.WaitCount(within(t), 0); err != nil {
		t.Error(err)
	}
	var wg sync.WaitGroup
	const frames = 500
	for i := range 20 {
		wg.Go(func() {
			if err := c.WaitCount(within(t), (i+1)*frames/20); err != nil {
				t.Errorf("waiter %d: %v", i, err)
			}
		})
	}
	p := dial(t, n)
	for i := range frames {
		p.send(textFrame(fmt.Sprint(i), "x"))
	}
	wg.Wait()
	if err := c.WaitCount(within(t), frames); err != nil {
		t.Error(err)
	}
}

// Pins: Reset leaves something behind, or Each holds a lock over user code.
func TestResetAndEach(t *testing.T) {
	c, n := one(t)
	p := dial(t, n)
	p.wantHeartbeat()
	p.send(textFrame("a", "1"), textFrame("b", "2"))
	p.wantAck("a")
	p.wantAck("b")
	seen := 0
	c.Each(func(r Record) bool { seen += c.Count(); return r.Attr["mid"] != "a" })
	if seen != 2 {
		t.Errorf("Each continued after false, or saw nothing: %d", seen)
	}
	c.Reset()
	if c.Count() != 0 || len(c.Received()) != 0 || n.Count() != 0 || n.Frames() != 0 || n.Heartbeats() != 0 {
		t.Errorf("left after Reset: %+v", c.Stats())
	}
	p.send(textFrame("c", "3"))
	p.wantAck("c")
	if got := text(c.Messages()); got != "3" {
		t.Errorf("kept %q", got)
	}
}

// Pins: the cheap recorders count something else than the full one.
func TestCountsAgreeInEveryMode(t *testing.T) {
	var sent Digest
	frames := [][]byte{}
	for i := range 40 {
		payloads := []string{}
		for j := range i%7 + 1 {
			payloads = append(payloads, fmt.Sprintf("%d-%0*d", i, j*20+1, j))
		}
		for _, p := range payloads {
			sent.Add([]byte(p))
		}
		frames = append(frames, textFrame(fmt.Sprint(i), payloads...))
	}
	for name, opts := range map[string][]Option{
		"frames":  nil,
		"digest":  {WithDigestRecorder()},
		"counts":  {WithoutRecorder()},
		"trusted": {WithoutRecorder(), WithTrustedBodies()},
	} {
		c, n := one(t, opts...)
		p := dial(t, n)
		p.send(frames...)
		for i := range frames {
			p.wantAck(fmt.Sprint(i))
		}
		s := c.Stats()
		if s.Messages != int(sent.Messages) || s.Nodes[0].Frames != 40 || s.Nodes[0].Acked != 40 || s.Nodes[0].Messages != s.Messages {
			t.Errorf("%s: %+v", name, s)
		}
		if name == "digest" && (*s.Digest != sent || len(c.Received()) != 0) {
			t.Errorf("digest %+v, want %+v", *s.Digest, sent)
		}
	}
}

// Pins: a digest that does not notice a lost, doubled or changed payload.
func TestDigestNoticesDifferences(t *testing.T) {
	of := func(payloads ...string) (d Digest) {
		for _, p := range payloads {
			d.Add([]byte(p))
		}
		return d
	}
	base := of("a", "b", "c")
	if of("c", "a", "b") != base {
		t.Error("order matters")
	}
	for _, other := range []Digest{of("a", "b"), of("a", "b", "b"), of("a", "b", "d"), of("a", "b", "c", "c"), of("ab", "c", "")} {
		if other == base {
			t.Errorf("%+v equals the base", other)
		}
	}
}
