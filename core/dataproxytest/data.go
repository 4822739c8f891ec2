package dataproxytest

import (
	"strconv"
	"strings"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// data judges one data frame, records it and answers it, or does what a fault says.
func (c *conn) data(v wire.Verdict) next {
	c.node.counts.frames.Add(1)
	var f Fault
	if h := c.node.handler.Load(); h != nil {
		rec := c.record()
		c.fill(rec, true)
		f = (*h)(*rec)
	}
	if f.Kind == "" {
		f = c.node.faults.take(onData)
	}
	j := c.judge(v, f)
	if j.dies {
		return hangUp
	}
	if f.Kind == KindResetMidFrame {
		return rst // given by a handler, which sees whole frames only
	}
	rec, lives := c.keep(j)
	if !lives {
		return hangUp
	}
	return c.answer(j, f, rec)
}

// keep records and counts the frame, unless the connection has ended. The record is nil if the cluster keeps none.
func (c *conn) keep(j judgement) (rec *Record, lives bool) {
	c.keeping.Lock()
	defer c.keeping.Unlock()
	n := c.node
	select {
	case <-c.gone:
		if j.kept {
			n.counts.forgotten.Add(int64(c.countItems()))
		}
		return nil, false
	default:
	}
	mode := n.cluster.rec.mode
	messages := 0
	switch {
	case mode == recordCounts && j.kept:
		messages = c.countItems()
		n.cluster.rec.count(messages)
	case mode == recordFrames || mode == recordDigest:
		rec = c.record()
		rec.Kept, rec.Code = j.kept, j.code
		c.fill(rec, mode == recordFrames)
		if j.kept {
			messages = len(rec.Items)
		}
		n.cluster.rec.add(rec)
	}
	if j.kept {
		n.counts.messages.Add(int64(messages))
		n.counts.bytes.Add(int64(len(c.req.WireBody)))
	} else {
		n.counts.refused.Add(1)
	}
	if mode != recordFrames {
		return nil, true
	}
	return rec, true
}

// countItems counts without opening what need not be opened.
func (c *conn) countItems() int {
	if c.req.IsBinary() {
		return int(max(c.req.Count, 1))
	}
	if c.req.SkipBody && c.req.Compressed() {
		cnt, _ := c.req.Lookup("cnt")
		n, _ := strconv.Atoi(string(cnt))
		return max(n, 1)
	}
	if c.req.Items > 0 {
		return c.req.Items
	}
	c.items, _ = c.req.AppendItems(c.items[:0])
	return len(c.items)
}

func (c *conn) record() *Record {
	return &Record{Node: c.node.index, Conn: c.id, Type: c.req.Type, At: c.now, Uniq: c.req.Uniq}
}

// fill decodes the frame into the record; owned makes copies that outlive the frame.
func (c *conn) fill(rec *Record, owned bool) {
	r := &c.req
	rec.Compressed = r.Compressed()
	if r.Body != nil {
		c.items, rec.Whole = r.AppendItems(c.items[:0])
		rec.Items = c.payloads(owned)
	}
	if !owned {
		return
	}
	if r.ItemAttrs() {
		rec.ItemAttrs = make([]string, len(c.items))
		for i, item := range c.items {
			rec.ItemAttrs[i] = string(item.Attr)
		}
	}
	rec.RawAttr = string(r.Attr)
	if len(r.Attrs) > 0 {
		rec.Attr = make(map[string]string, len(r.Attrs))
		for _, entry := range strings.Split(rec.RawAttr, "&") {
			key, value, _ := strings.Cut(strings.TrimSpace(entry), "=")
			rec.Attr[key] = value
		}
	}
	rec.Group, rec.Stream = rec.Attr["groupId"], rec.Attr["streamId"]
	rec.EventTime = rec.At
	if r.IsBinary() {
		rec.EventTime = time.Unix(int64(r.Seconds), 0)
	} else if ms, err := strconv.ParseInt(rec.Attr["dt"], 10, 64); err == nil {
		rec.EventTime = time.UnixMilli(ms)
	}
}

func (c *conn) payloads(owned bool) [][]byte {
	list := make([][]byte, len(c.items))
	size := 0
	for i, item := range c.items {
		list[i] = item.Data
		size += len(item.Data)
	}
	if !owned {
		return list
	}
	copied := make([]byte, 0, size)
	for i, data := range list {
		at := len(copied)
		copied = append(copied, data...)
		list[i] = copied[at:len(copied):len(copied)]
	}
	return list
}

// answer sends the judgement's answer, bent by the fault. Faults of the connection apply to refused frames too.
func (c *conn) answer(j judgement, f Fault, rec *Record) next {
	switch f.Kind {
	case KindSilence:
		c.silent = true
	case KindSlowRead:
		c.rate = f.Rate
	case KindCloseAfterRead:
		return hangUp
	case KindResetAfterRead:
		return rst
	case KindReorderAnswers:
		c.flush()
		c.box.hold(f.N)
	case KindMalformed:
		c.flush()
		c.out = append(c.out, f.Raw...)
		return goOn
	}
	if j.silent || c.silent || f.Kind == KindDropAnswer {
		return goOn
	}
	if j.kept {
		c.node.counts.acked.Add(1)
	}
	start := len(c.out)
	c.out = c.appendAnswer(c.out, j)
	if f.Kind == KindDuplicateAnswer {
		c.out = append(c.out, c.out[start:]...)
	}
	var ack []*Record
	if rec != nil && j.kept {
		ack = []*Record{rec}
	}
	switch {
	case f.Kind == KindDelay:
		late := c.cutAnswer(start)
		c.flush()
		c.box.sendLater(f.Delay, late, ack)
	case c.box.take(c.out[start:], ack):
		c.out = c.out[:start]
	default:
		c.kept = append(c.kept, ack...)
	}
	return goOn
}

// cutAnswer takes the last answer out of this round's.
func (c *conn) cutAnswer(start int) []byte {
	late := append([]byte(nil), c.out[start:]...)
	c.out = c.out[:start]
	return late
}
