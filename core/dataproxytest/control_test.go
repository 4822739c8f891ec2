package dataproxytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

func control[T any](t *testing.T, c *Cluster, command string) (answer T) {
	t.Helper()
	raw, err := c.Control([]byte(command))
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatalf("%s: %s: %v", command, raw, err)
	}
	return answer
}

// Pins: a command that answers well and does nothing.
func TestControlCommands(t *testing.T) {
	c := Start(t, WithNodes(2))
	done := func(command string) {
		t.Helper()
		if raw, err := c.Control([]byte(command)); err != nil || string(raw) != "{}" {
			t.Fatalf("%s: %s (%v)", command, raw, err)
		}
	}
	added := control[NodeStats](t, c, `{"op":"add_node"}`)
	if added.Node != 2 || added.Addr != c.Node(2).Addr() || !added.Listed || !added.Running {
		t.Errorf("added %+v", added)
	}
	done(`{"op":"remove_node","node":2}`)
	done(`{"op":"kill","node":1}`)
	s := control[Stats](t, c, `{"op":"stats"}`)
	if s.URL != c.URL() || len(s.Nodes) != 3 || s.Nodes[2].Listed || s.Nodes[1].Running || !s.Nodes[0].Running {
		t.Errorf("stats %+v", s)
	}
	done(`{"op":"revive","node":1}`)
	done(`{"op":"list_node","node":2}`)
	done(`{"op":"stop","node":2}`)
	if c.Node(2).Running() || !c.Node(1).Running() || len(c.listed()) != 3 {
		t.Error("revive, stop or list_node did nothing")
	}
	done(`{"op":"fault","node":0,"times":2,"fault":{"kind":"error_code","code":116,"text":"x&y"}}`)
	p := dial(t, c.Node(0))
	p.send(textFrame("a", "1"), textFrame("b", "2"), textFrame("c", "3\n"))
	p.wantAnswer("errCode=116&errMsg=x&y&groupId")
	p.wantAnswer("errCode=116&errMsg=x&y&groupId")
	p.wantAck("c")
	done(`{"op":"fault","node":0,"standing":true,"fault":{"kind":"unready"}}`)
	p.send(textFrame("d", "4"))
	p.wantAnswer("errCode=1&groupId")
	done(`{"op":"clear_faults","node":0}`)
	p.send(textFrame("e", "5"))
	p.wantAck("e")
	done(`{"op":"manager_fault","standing":true,"fault":{"kind":"null_list"}}`)
	if r := mustPost(t, c.URL()+byGroup+"/g"); r.body != nullAnswer {
		t.Errorf("manager_fault: %s", r.body)
	}
	done(`{"op":"manager_clear_faults"}`)
	done(`{"op":"group_status","group":"g","status":"config_ing"}`)
	if r := mustPost(t, c.URL()+byGroup+"/g"); !strings.Contains(r.body, "config_ing") {
		t.Errorf("group_status: %s", r.body)
	}
	eventually(t, "acks noted", func() bool { return c.Received()[4].Acked })
	page := control[MessagePage](t, c, `{"op":"messages"}`)
	want := MessagePayload{Node: 0, Group: "g", Stream: "s", Acked: true, Payload: []byte("3\n"), Attr: c.Received()[2].Attr}
	if page.Total != 2 || len(page.Messages) != 2 || !reflect.DeepEqual(page.Messages[0], want) || want.Attr["mid"] != "c" {
		t.Errorf("page %+v", page)
	}
	done(`{"op":"reset_connections","node":0}`)
	p.wantEnd(true)
	done(`{"op":"reset"}`)
	if s := control[Stats](t, c, `{"op":"stats"}`); s.Messages != 0 || s.ManagerCalls != 0 || s.Nodes[0].Frames != 0 {
		t.Errorf("after reset %+v", s)
	}
}

// Pins: paging that skips or repeats a message where frames hold several, or none.
func TestMessagesPages(t *testing.T) {
	c, n := one(t)
	p := dial(t, n)
	total := 0
	for i := range 30 {
		payloads := make([]string, i%4+1)
		for j := range payloads {
			payloads[j] = fmt.Sprint(total)
			total++
		}
		if i%3 == 0 {
			n.Fault(ErrorCode(114))
			p.send(textFrame("refused", "x"))
			p.wantAnswer("errCode=114")
		}
		p.send(textFrame("a", payloads...))
		p.wantAck("a")
	}
	for _, limit := range []int{1, 2, 7, total, 5000} {
		next := 0
		for {
			page := control[MessagePage](t, c, fmt.Sprintf(`{"op":"messages","offset":%d,"limit":%d}`, next, limit))
			if len(page.Messages) == 0 {
				break
			}
			for _, m := range page.Messages {
				if string(m.Payload) != fmt.Sprint(next) {
					t.Fatalf("limit %d: message %d is %q", limit, next, m.Payload)
				}
				next++
			}
		}
		if next != total {
			t.Errorf("limit %d: %d messages, want %d", limit, next, total)
		}
	}
}

// Pins: an error that does not say which field is wrong, or a wrong command that does something.
func TestControlRefusesWrongCommands(t *testing.T) {
	c := Start(t, WithNodes(1))
	for command, want := range map[string]string{
		``:                              "not the expected JSON",
		`{"op":"stats"} {}`:             "more than one value",
		`{"op":"fly"}`:                  `op: "fly" is not one of add_node, clear_faults, fault, `,
		`{"op":"kill"}`:                 `node: missing; op "kill" needs it`,
		`{"op":"kill","node":1}`:        `node: 1 is outside 0..0`,
		`{"op":"kill","node":-1}`:       `node: -1 is outside 0..0`,
		`{"op":"kill","nodes":0}`:       `"nodes"`,
		`{"op":"fault","node":0}`:       `fault: missing`,
		`{"op":"messages","offset":-1}`: `offset: -1 is below 0`,
		`{"op":"messages","limit":-1}`:  `limit: -1 is outside 1..10000`,
		`{"op":"group_status"}`:         `group: empty`,
		`{"op":"fault","node":0,"times":-1,"fault":{"kind":"silence"}}`:                `times: -1 is outside`,
		`{"op":"fault","node":0,"times":2,"standing":true,"fault":{"kind":"silence"}}`: `times: 2 with standing`,
		`{"op":"fault","node":0,"fault":{"kind":"null_list"}}`:                         `fault: kind: "null_list" is not a fault of a node`,
		`{"op":"manager_fault","fault":{"kind":"unready"}}`:                            `fault: kind: "unready" is not a fault of the Manager`,
	} {
		if raw, err := c.Control([]byte(command)); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "control: ") {
			t.Errorf("%s: %s, error %v, want %q", command, raw, err, want)
		}
	}
	if n := c.Node(0); n.PendingFaults() != 0 || n.faults.armed.Load() || !n.Running() || c.Manager().faults.armed.Load() {
		t.Error("a refused command did something")
	}
	counts := Start(t, WithNodes(0), WithoutRecorder())
	if _, err := counts.Control([]byte(`{"op":"messages"}`)); err == nil {
		t.Error("messages of a cluster that keeps none")
	}
}

// Pins: a fault that does not survive its own JSON form, or a wrong one that is read.
func TestFaultJSON(t *testing.T) {
	for _, f := range []Fault{
		ErrorCode(114), ErrorCode(1, "x"), ServiceStopped(), Unready(), Silence(), CloseAfterRead(), ResetAfterRead(),
		ResetMidFrame(7), Delay(1500 * time.Millisecond), Malformed([]byte{0, 255}), DropAnswer(), DuplicateAnswer(),
		ReorderAnswers(3), SlowRead(10), RefuseConnect(), BlackHole(), DropHeartbeat(), HTTPStatus(500, "x"),
		HTTPBody("x"), Failure("x"), GroupStatus("x"), NullList(), EmptyList(),
	} {
		raw, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseFault(raw); err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%s: %+v (%v), want %+v", raw, got, err, f)
		}
	}
	for text, want := range map[string]string{
		`{}`:                                `kind: "" is not one of error_code, `,
		`{"kind":"x"}`:                      `kind: "x" is not one of`,
		`{"kind":"error_code"}`:             `code: missing; kind "error_code" needs it`,
		`{"kind":"error_code","code":0}`:    `code: 0 is outside 1..9999`,
		`{"kind":"error_code","code":"1"}`:  `not the expected JSON`,
		`{"kind":"silence","code":1}`:       `code: kind "silence" does not use it, it takes no fields`,
		`{"kind":"delay","delay_ms":-1}`:    `delay_ms: -1 is outside 0..86400000`,
		`{"kind":"slow_read","rate":0}`:     `rate: 0 is below 1`,
		`{"kind":"reorder_answers","n":1}`:  `n: 1 is below 2`,
		`{"kind":"malformed","raw":""}`:     `raw: empty`,
		`{"kind":"malformed","raw":"%"}`:    `not the expected JSON`,
		`{"kind":"http_status","code":99}`:  `code: 99 is outside 200..599`,
		`{"kind":"silence","forever":true}`: `"forever"; kind "silence" takes no fields`,
		// It named the field that is wrong, and none that is right.
		`{"status":503,"kind":"http_status"}`: `unknown field "status"; kind "http_status" takes code, text`,
	} {
		if f, err := ParseFault([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, error %v, want %q", text, f, err, want)
		}
	}
}

// Pins: a route that carries out another command, or hides an error.
func TestControlHandler(t *testing.T) {
	c := Start(t, WithNodes(1))
	h := c.ControlHandler()
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
		holds              func() bool
	}{
		{"POST", "/nodes", "", 200, `"node":1`, func() bool { return len(c.Nodes()) == 2 }},
		{"DELETE", "/nodes/1", "", 200, "{}", func() bool { return len(c.listed()) == 1 }},
		{"POST", "/nodes/1/list", "", 200, "{}", func() bool { return len(c.listed()) == 2 }},
		{"POST", "/nodes/1/kill", "", 200, "{}", func() bool { return !c.Node(1).Running() }},
		{"POST", "/nodes/1/revive", "", 200, "{}", func() bool { return c.Node(1).Running() }},
		{"POST", "/nodes/1/stop", "", 200, "{}", func() bool { return !c.Node(1).Running() }},
		{"POST", "/nodes/0/fault?times=3", `{"kind":"drop_answer"}`, 200, "{}", func() bool { return c.Node(0).PendingFaults() == 3 }},
		{"POST", "/nodes/0/fault?standing=true", `{"kind":"silence"}`, 200, "{}", func() bool { return c.Node(0).faults.stands(KindSilence) }},
		{"DELETE", "/nodes/0/fault", "", 200, "{}", func() bool { return !c.Node(0).faults.armed.Load() }},
		{"POST", "/manager/fault?standing=1", `{"kind":"empty_list"}`, 200, "{}", func() bool { return c.Manager().faults.stands(KindEmptyList) }},
		{"DELETE", "/manager/fault", "", 200, "{}", func() bool { return !c.Manager().faults.armed.Load() }},
		{"POST", "/control", `{"op":"kill","node":0}`, 200, "{}", func() bool { return !c.Node(0).Running() }},
		{"GET", "/stats", "", 200, `"url":"http://127.0.0.1:`, nil},
		{"GET", "/messages?offset=0&limit=5", "", 200, `"messages":[]`, nil},
		{"POST", "/reset", "", 200, "{}", nil},
		{"POST", "/nodes/x/kill", "", 400, `node: \"x\" is not a number`, nil},
		{"POST", "/nodes/7/kill", "", 400, `node: 7 is outside 0..1`, nil},
		{"POST", "/nodes/0/fault?standing=perhaps", `{}`, 400, `standing: \"perhaps\"`, nil},
		{"POST", "/nodes/0/fault", `{`, 400, `is not JSON`, nil},
		{"POST", "/nodes/0/fault", `{"kind":"null_list"}`, 400, `is not a fault of a node`, nil},
		{"GET", "/messages?limit=0.5", "", 400, `limit: \"0.5\" is not a number`, nil},
		{"POST", "/control", `{}`, 400, `op: \"\" is not one of add_node`, nil},
		{"GET", "/nodes", "", 405, "", nil},
		{"GET", "/nothing", "", 404, "", nil},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(test.method, test.path, strings.NewReader(test.body)))
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, w.Code, w.Body, test.status, test.want)
		}
		if test.holds != nil && !test.holds() {
			t.Errorf("%s %s did nothing", test.method, test.path)
		}
		if w.Code == http.StatusBadRequest && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: the error is not JSON: %s", test.method, test.path, w.Body)
		}
	}
}

// Pins: an option out of its range that is taken, or refused without a name.
func TestOptionsAreChecked(t *testing.T) {
	for want, opt := range map[string]Option{
		"WithNodes: -1 is outside 0..1000":           WithNodes(-1),
		"WithMaxMessageLength: 3 is outside":         WithMaxMessageLength(3),
		"WithMaxConnections: 0 is outside":           WithMaxConnections(0),
		"WithManagerPort: 70000 is outside":          WithManagerPort(70000),
		"WithNodePorts: -1 is outside":               WithNodePorts(-1),
		"WithReadIdle: 0s must be above 0":           WithReadIdle(0),
		`WithTopics: "/s" has no group`:              WithTopics("/s"),
		`WithListenHost: "no such host!" is neither`: WithListenHost("no such host!"),
	} {
		if c, err := NewCluster(opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
			if c != nil {
				c.Close()
			}
		}
	}
}
