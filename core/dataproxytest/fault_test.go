package dataproxytest

import (
	"strings"
	"testing"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

func one(t *testing.T, opts ...Option) (*Cluster, *Node) {
	t.Helper()
	c := Start(t, append([]Option{WithNodes(1)}, opts...)...)
	return c, c.Node(0)
}

// Pins: a one-shot fault strikes twice or not at all, or an error code keeps the frame.
func TestErrorCodeIsOneShotAndKeepsNothing(t *testing.T) {
	c, n := one(t)
	n.Fault(ErrorCode(114), ErrorCode(116, "broker gone"))
	p := dial(t, n)
	p.send(textFrame("a", "1"), textFrame("b", "2"), textFrame("c", "3"))
	p.wantAnswer("dpIp=127.0.0.1&errCode=114&errMsg=Put msg event to channel failure: no space left in the channel&rt=")
	p.wantAnswer("dpIp=127.0.0.1&errCode=116&errMsg=broker gone&groupId=g&streamId=s&dt=1700000000000&mid=b&cnt=1")
	p.wantAck("c")
	if got := text(c.Messages()); got != "3" {
		t.Errorf("kept %q, want 3", got)
	}
	list := c.Received()
	if len(list) != 3 || list[0].Code != 114 || list[0].Kept || list[1].Code != 116 || list[2].Code != 0 || !list[2].Kept {
		t.Errorf("records %+v", list)
	}
}

// Pins: codes that a real node answers before it reads the attributes must come back without them, or a client's
// matching by position is never tested.
func TestDecodingErrorsEchoNothing(t *testing.T) {
	_, n := one(t)
	p := dial(t, n)
	for _, code := range []int{94, 95, 104, 105, 106, 107} {
		n.Fault(ErrorCode(code))
		p.send(textFrame("a", "1"))
		got, err := p.answer()
		if err != nil || strings.Contains(got, "mid=") || !strings.Contains(got, "errCode=") {
			t.Errorf("code %d: %q (%v)", code, got, err)
		}
	}
	for _, code := range []int{1, 2, 3, 96, 100, 109, 112, 114, 115, 123, 150} {
		n.Fault(ErrorCode(code))
		p.send(textFrame("a", "1"))
		p.wantAnswer("&mid=a&cnt=1")
	}
}

// Pins: a stopped or unready node refuses data but stays alive for heartbeats, till the state is cleared.
func TestStandingStates(t *testing.T) {
	for code, f := range map[string]Fault{"errCode=2&groupId": ServiceStopped(), "errCode=1&groupId": Unready()} {
		_, n := one(t)
		n.Standing(f)
		p := dial(t, n)
		for range 2 {
			p.send(textFrame("a", "1"))
			p.wantAnswer(code)
			p.wantHeartbeat()
		}
		n.Standing(Fault{})
		p.send(textFrame("b", "1"))
		p.wantAck("b")
	}
}

// Pins: silence that still answers heartbeats, or that stops reading.
func TestSilenceReadsOnAndAnswersNothing(t *testing.T) {
	c, n := one(t)
	n.Fault(Silence())
	p := dial(t, n)
	p.send(textFrame("a", "1"), wire.Heartbeat, textFrame("b", "2"))
	if err := c.WaitCount(within(t), 2); err != nil {
		t.Fatal(err)
	}
	p.wantSilence()
	if list := c.Received(); list[0].Acked || list[1].Acked {
		t.Error("a frame that got no answer counts as acked")
	}
	other := dial(t, n)
	other.send(textFrame("c", "3"))
	other.wantAck("c")
}

// Pins: a closing fault that loses the answers before it, or the frame.
func TestCloseAndResetAfterRead(t *testing.T) {
	for _, reset := range []bool{false, true} {
		c, n := one(t)
		f := CloseAfterRead()
		if reset {
			f = ResetAfterRead()
		}
		p := dial(t, n)
		p.send(textFrame("a", "1"))
		p.wantAck("a")
		n.Fault(f)
		p.send(textFrame("b", "2"))
		p.wantEnd(reset)
		if got := text(c.Messages()); got != "1 2" {
			t.Errorf("kept %q, want both", got)
		}
	}
}

// Pins: a reset in mid-frame that waits for the whole frame, or that keeps it.
func TestResetMidFrame(t *testing.T) {
	c, n := one(t)
	n.Fault(ResetMidFrame(20))
	p := dial(t, n)
	p.wantHeartbeat()
	p.send(textFrame("a", "1")[:20])
	p.wantEnd(true)
	n.Fault(ResetMidFrame(1 << 20))
	p = dial(t, n)
	p.send(textFrame("b", "2"))
	p.wantEnd(true)
	if len(c.Received()) != 0 {
		t.Errorf("recorded %+v, want nothing", c.Received())
	}
}

// Pins: a delay that blocks reading, or that lets later answers overtake.
func TestDelayKeepsOrder(t *testing.T) {
	c, n := one(t)
	const late = 80 * time.Millisecond
	n.Fault(Delay(late))
	p := dial(t, n)
	start := time.Now()
	p.send(textFrame("a", "1"), textFrame("b", "2"), wire.Heartbeat)
	if err := c.WaitCount(within(t), 2); err != nil {
		t.Fatal(err)
	}
	p.wantAck("a")
	if took := time.Since(start); took < late {
		t.Errorf("answered after %v, want at least %v", took, late)
	}
	p.wantAck("b")
	p.wantAnswer("\x01")
	p.send(textFrame("c", "3"))
	p.wantAck("c")
	eventually(t, "all acked", func() bool {
		for _, rec := range c.Received() {
			if !rec.Acked {
				return false
			}
		}
		return true
	})
}

// Pins: wrong bytes that come with the right answer, or in the wrong place.
func TestMalformedTakesTheAnswersPlace(t *testing.T) {
	_, n := one(t)
	n.Fault(Malformed([]byte("\x00\x00\x00\x03xyz")))
	p := dial(t, n)
	p.send(textFrame("a", "1"), textFrame("b", "2"))
	if got, err := p.answer(); err != nil || got != "xyz" {
		t.Errorf("got %q (%v)", got, err)
	}
	p.wantAck("b")
}

// Pins: dropped and doubled answers that touch their neighbours.
func TestDropAndDuplicate(t *testing.T) {
	c, n := one(t)
	n.Fault(DropAnswer(), DuplicateAnswer())
	p := dial(t, n)
	p.send(textFrame("a", "1"), textFrame("b", "2"), textFrame("c", "3"))
	p.wantAck("b")
	p.wantAck("b")
	p.wantAck("c")
	eventually(t, "b and c acked, a not", func() bool {
		list := c.Received()
		return !list[0].Acked && list[1].Acked && list[2].Acked
	})
}

// Pins: a reorder that never lets go, or sends in the old order.
func TestReorder(t *testing.T) {
	_, n := one(t)
	p := dial(t, n)
	n.Fault(ReorderAnswers(3))
	p.send(textFrame("a", "1"), textFrame("b", "2"), textFrame("c", "3"), textFrame("d", "4"))
	// The held ones leave from another goroutine, so that d may come before or after them.
	var order []string
	for range 4 {
		got, err := p.answer()
		if err != nil {
			t.Fatal(err)
		}
		_, mid, _ := strings.Cut(got, "mid=")
		if mid[:1] != "d" {
			order = append(order, mid[:1])
		}
	}
	if got := strings.Join(order, ""); got != "cba" {
		t.Errorf("order %s, want cba", got)
	}
	n.Fault(ReorderAnswers(10))
	p.send(textFrame("e", "5"), textFrame("f", "6"))
	p.wantAck("f")
	p.wantAck("e")
}

// Pins: a slow reader that reads at full speed, or not at all.
func TestSlowReadFillsTheWindow(t *testing.T) {
	_, n := one(t)
	n.Fault(SlowRead(2000))
	p := dial(t, n)
	p.send(textFrame("a", "1"))
	p.wantAck("a")
	start := time.Now()
	p.send(textFrame("b", strings.Repeat("x", 200)))
	p.wantAck("b")
	if took := time.Since(start); took < 100*time.Millisecond {
		t.Errorf("272 bytes read in %v at 2000 bytes a second", took)
	}
}

// Pins: dropped heartbeats that take the data's answers with them.
func TestDropHeartbeat(t *testing.T) {
	_, n := one(t)
	n.Standing(DropHeartbeat())
	p := dial(t, n)
	p.send(wire.Heartbeat, wire.Heartbeat, textFrame("a", "1"))
	p.wantAck("a")
	if n.Heartbeats() != 2 {
		t.Errorf("%d heartbeats counted, want 2", n.Heartbeats())
	}
	n.ClearFaults()
	p.wantHeartbeat()
}

// Pins: a handler that does not see the decoded frame, or whose fault is not applied.
func TestHandlerDecidesFrameByFrame(t *testing.T) {
	c, n := one(t)
	n.Handle(func(r Record) Fault {
		if string(r.Items[0]) == "bad" && r.Attr["mid"] == "b" && r.Group == "g" && r.Stream == "s" {
			return ErrorCode(100)
		}
		return Fault{}
	})
	p := dial(t, n)
	p.send(textFrame("a", "good"), textFrame("b", "bad"))
	p.wantAck("a")
	p.wantAnswer("errCode=100&groupId")
	n.Handle(nil)
	p.send(textFrame("b", "bad"))
	p.wantAck("b")
	if got := text(c.Messages()); got != "good bad" {
		t.Errorf("kept %q", got)
	}
}

// Pins: a fault of the Manager on a node, or one with a wrong value, that is silently ignored.
func TestWrongFaultPanics(t *testing.T) {
	c, n := one(t)
	for name, f := range map[string]func(){
		`kind: "null_list" is not a fault of a node`:       func() { n.Fault(NullList()) },
		`kind: "black_hole" is not a fault of the Manager`: func() { c.Manager().Standing(BlackHole()) },
		`n: 1 is below 2`:                                  func() { n.Fault(ReorderAnswers(1)) },
		`code: 0 is outside 1..9999`:                       func() { n.Standing(ErrorCode(0)) },
		`kind: "" is not one of`:                           func() { n.Fault(Fault{}) },
		`raw: empty; use drop_answer to send nothing`:      func() { n.Fault(Malformed(nil)) },
		`rate: 0 is below 1`:                               func() { n.Fault(SlowRead(0)) },
		`kind: "error_code" is not a fault of the Manager`: func() { c.Manager().Fault(ErrorCode(1)) },
		`bytes: -1 is below 0`:                             func() { n.Fault(ResetMidFrame(-1)) },
		`delay: -1s is below 0`:                            func() { n.Fault(Delay(-time.Second)) },
		`code: 42 is outside 200..599`:                     func() { c.Manager().Fault(HTTPStatus(42, "")) },
	} {
		func() {
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, name) {
					t.Errorf("panic %q, want one with %q", got, name)
				}
			}()
			f()
		}()
	}
}
