package dataproxytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Command is one command of Control, as JSON. Fields that the op does not use are ignored.
type Command struct {
	Op       string          `json:"op"`
	Node     *int            `json:"node"`     // node ops: the node's index
	Fault    json.RawMessage `json:"fault"`    // fault ops: see ParseFault
	Standing bool            `json:"standing"` // fault ops: till cleared, not one-shot
	Times    int             `json:"times"`    // fault ops, one-shot: how many of it; 0 is 1
	Group    string          `json:"group"`    // group_status, set_stream
	Stream   string          `json:"stream"`   // set_stream
	Data     map[string]any  `json:"data"`     // set_stream: see Manager.SetStream; null takes the changes back
	Status   string          `json:"status"`   // group_status: empty makes the group ready
	Header   string          `json:"header"`   // manager_demand: a header's name; empty ends the demand
	Value    string          `json:"value"`    // manager_demand: what it must be
	Offset   int             `json:"offset"`   // messages: index of the first message
	Limit    int             `json:"limit"`    // messages: at most so many; 0 is 1000
}

// Stats is the answer to the op "stats".
type Stats struct {
	URL          string      `json:"url"`
	Messages     int         `json:"messages"` // in kept frames
	Nodes        []NodeStats `json:"nodes"`
	ManagerCalls int         `json:"manager_calls"`
	Digest       *Digest     `json:"digest,omitempty"` // under WithDigestRecorder
}

// NodeStats is one node's part of Stats. The counts are since the start or the last reset.
type NodeStats struct {
	Node             int    `json:"node"`
	Addr             string `json:"addr"`
	Listed           bool   `json:"listed"`
	Running          bool   `json:"running"`
	Connections      int    `json:"connections"` // open now
	ConnectionsTotal int    `json:"connections_total"`
	Heartbeats       int    `json:"heartbeats"`
	Frames           int    `json:"frames"`   // data frames, refused ones included
	Refused          int    `json:"refused"`  // answered with an error code
	Acked            int    `json:"acked"`    // frames answered with success
	Messages         int    `json:"messages"` // in kept frames
	Bytes            int    `json:"bytes"`    // of kept bodies as sent
	PendingFaults    int    `json:"pending_faults"`
}

// MessagePage is the answer to the op "messages".
type MessagePage struct {
	Total    int              `json:"total"`
	Offset   int              `json:"offset"`
	Messages []MessagePayload `json:"messages"`
}

// MessagePayload is one received message.
type MessagePayload struct {
	Node    int               `json:"node"`
	Group   string            `json:"group"`
	Stream  string            `json:"stream"`
	Attr    map[string]string `json:"attr"`
	Acked   bool              `json:"acked"`
	Payload []byte            `json:"payload"` // base64
	// ItemAttr is the text of the message's own attributes, if it has some.
	ItemAttr string `json:"item_attr,omitempty"`
}

// MaxPage is the most messages that one "messages" command gives.
const MaxPage = 10000

// op carries out one command; node is nil for those that name none.
type op struct {
	ofNode bool
	uses   []string // fields, besides node
	do     func(c *Cluster, n *Node, cmd Command) (any, error)
}

var faultFields = []string{"fault", "standing", "times"}

var ops = map[string]op{
	"stats":    {do: func(c *Cluster, _ *Node, _ Command) (any, error) { return c.Stats(), nil }},
	"messages": {uses: []string{"offset", "limit"}, do: func(c *Cluster, _ *Node, cmd Command) (any, error) { return c.messagePage(cmd) }},
	"reset":    {do: func(c *Cluster, _ *Node, _ Command) (any, error) { c.Reset(); return nil, nil }},
	"add_node": {do: func(c *Cluster, _ *Node, _ Command) (any, error) {
		n, err := c.addNode()
		if err != nil {
			return nil, err
		}
		return n.stats(), nil
	}},
	"remove_node":       {ofNode: true, do: func(c *Cluster, n *Node, _ Command) (any, error) { c.RemoveNode(n); return nil, nil }},
	"list_node":         {ofNode: true, do: func(c *Cluster, n *Node, _ Command) (any, error) { c.ListNode(n); return nil, nil }},
	"kill":              {ofNode: true, do: func(_ *Cluster, n *Node, _ Command) (any, error) { n.Kill(); return nil, nil }},
	"revive":            {ofNode: true, do: func(_ *Cluster, n *Node, _ Command) (any, error) { n.Revive(); return nil, nil }},
	"stop":              {ofNode: true, do: func(_ *Cluster, n *Node, _ Command) (any, error) { n.Stop(); return nil, nil }},
	"pause":             {ofNode: true, do: func(_ *Cluster, n *Node, _ Command) (any, error) { n.Pause(); return nil, nil }},
	"resume":            {ofNode: true, do: func(_ *Cluster, n *Node, _ Command) (any, error) { n.Resume(); return nil, nil }},
	"reset_connections": {ofNode: true, do: func(_ *Cluster, n *Node, _ Command) (any, error) { n.ResetConnections(); return nil, nil }},
	"fault": {ofNode: true, uses: faultFields, do: func(_ *Cluster, n *Node, cmd Command) (any, error) {
		return nil, cmd.apply(n, forNode)
	}},
	"clear_faults": {ofNode: true, do: func(_ *Cluster, n *Node, _ Command) (any, error) { n.ClearFaults(); return nil, nil }},
	"manager_fault": {uses: faultFields, do: func(c *Cluster, _ *Node, cmd Command) (any, error) {
		return nil, cmd.apply(c.manager, forManager)
	}},
	"manager_demand": {uses: []string{"header", "value"}, do: func(c *Cluster, _ *Node, cmd Command) (any, error) {
		c.manager.Demand(cmd.Header, cmd.Value)
		return nil, nil
	}},
	"manager_tls":          {do: func(c *Cluster, _ *Node, _ Command) (any, error) { return c.manager.SpeakTLS() }},
	"manager_clear_faults": {do: func(c *Cluster, _ *Node, _ Command) (any, error) { c.manager.ClearFaults(); return nil, nil }},
	"group_status": {uses: []string{"group", "status"}, do: func(c *Cluster, _ *Node, cmd Command) (any, error) {
		if cmd.Group == "" {
			return nil, errors.New("group: empty; group_status needs one")
		}
		c.manager.SetGroupStatus(cmd.Group, cmd.Status)
		return nil, nil
	}},
	"set_stream": {uses: []string{"group", "stream", "data"}, do: func(c *Cluster, _ *Node, cmd Command) (any, error) {
		if cmd.Group == "" || cmd.Stream == "" {
			return nil, errors.New("group or stream: empty; set_stream needs both")
		}
		c.manager.SetStream(cmd.Group, cmd.Stream, cmd.Data)
		return nil, nil
	}},
}

// Control carries out one Command, given as JSON, and returns its answer as JSON: {} for those without one. ControlHelp lists the
// ops. The error names the field, its value and the rule; nothing was done then.
func (c *Cluster) Control(command []byte) ([]byte, error) {
	var cmd Command
	if err := decodeStrict(command, &cmd); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	answer, err := c.run(cmd)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if answer == nil {
		answer = struct{}{}
	}
	return json.Marshal(answer)
}

func (c *Cluster) run(cmd Command) (answer any, err error) {
	// A port that cannot be opened again panics in Go tests; a program in another language gets an error.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("op: %q failed: %v", cmd.Op, p)
		}
	}()
	o, known := ops[cmd.Op]
	if !known {
		return nil, fmt.Errorf("op: %q is not one of %s", cmd.Op, strings.Join(slices.Sorted(maps.Keys(ops)), ", "))
	}
	var n *Node
	if o.ofNode {
		if cmd.Node == nil {
			return nil, fmt.Errorf("node: missing; op %q needs it", cmd.Op)
		}
		if n = c.Node(*cmd.Node); n == nil {
			return nil, fmt.Errorf("node: %d is outside 0..%d", *cmd.Node, len(c.Nodes())-1)
		}
	}
	return o.do(c, n, cmd)
}

// faulty is a node or the Manager.
type faulty interface {
	Fault(...Fault)
	Standing(Fault)
}

func (cmd Command) apply(to faulty, t target) error {
	if len(cmd.Fault) == 0 {
		return fmt.Errorf("fault: missing; op %q needs it", cmd.Op)
	}
	f, err := ParseFault(cmd.Fault)
	if err != nil {
		return err
	}
	if err := f.check(t); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	switch {
	case cmd.Times < 0 || cmd.Times > 1_000_000:
		return fmt.Errorf("times: %d is outside 0..1000000", cmd.Times)
	case cmd.Standing && cmd.Times > 0:
		return fmt.Errorf("times: %d with standing; a standing fault has no number", cmd.Times)
	case cmd.Standing:
		to.Standing(f)
	default:
		for range max(cmd.Times, 1) {
			to.Fault(f)
		}
	}
	return nil
}

// Stats returns a snapshot of all counts.
func (c *Cluster) Stats() Stats {
	s := Stats{URL: c.URL(), Messages: c.Count(), ManagerCalls: c.manager.Calls(), Nodes: []NodeStats{}}
	if c.opts.recording == recordDigest {
		d := c.Digest()
		s.Digest = &d
	}
	for _, n := range c.Nodes() {
		s.Nodes = append(s.Nodes, n.stats())
	}
	return s
}

func (n *Node) stats() NodeStats {
	live, total := n.Connections()
	return NodeStats{
		Node: n.index, Addr: n.Addr(), Listed: n.listed.Load(), Running: n.Running(),
		Connections: live, ConnectionsTotal: total,
		Heartbeats: n.Heartbeats(), Frames: n.Frames(), Messages: n.Count(), PendingFaults: n.PendingFaults(),
		Refused: int(n.counts.refused.Load()), Acked: int(n.counts.acked.Load()), Bytes: int(n.counts.bytes.Load()),
	}
}

func (c *Cluster) messagePage(cmd Command) (any, error) {
	if c.opts.recording != recordFrames {
		return nil, errors.New("messages: none are kept under WithoutRecorder and WithDigestRecorder")
	}
	limit := cmd.Limit
	if limit == 0 {
		limit = 1000
	}
	switch {
	case cmd.Offset < 0:
		return nil, fmt.Errorf("offset: %d is below 0", cmd.Offset)
	case limit < 1 || limit > MaxPage:
		return nil, fmt.Errorf("limit: %d is outside 1..%d", limit, MaxPage)
	}
	page := MessagePage{Total: c.Count(), Offset: cmd.Offset, Messages: []MessagePayload{}}
	records, at := c.rec.page(cmd.Offset, limit)
	for _, rec := range records {
		for i, payload := range rec.Items {
			if at >= cmd.Offset && at < cmd.Offset+limit {
				m := MessagePayload{Node: rec.Node, Group: rec.Group, Stream: rec.Stream, Attr: rec.Attr, Acked: rec.Acked, Payload: payload}
				if rec.ItemAttrs != nil {
					m.ItemAttr = rec.ItemAttrs[i]
				}
				page.Messages = append(page.Messages, m)
			}
			at++
		}
	}
	return page, nil
}
