package dataproxytest

import (
	"bytes"
	"fmt"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Codes that a node answers after decoding.
const (
	codeUnready      = 1
	codeStopped      = 2
	codeNoNumMap     = 3
	codeBadMagic     = 94
	codeBadLength    = 95
	codeBadSnappy    = 96
	codeNoGroup      = 100
	codeTextLengths  = 104
	codeBodyEmpty    = 105
	codeBodyNegative = 106
	codeAttrNegative = 107
	codeBadAttr      = 109
	codeIndexMessage = 112
	codeChannelFull  = 114
	codeNoTopic      = 115
	codeBadItems     = 123
)

// Bits of a binary frame's extField.
const (
	extTrace     = 0x02
	extStringIDs = 0x04
	extIndex     = 0x18
)

// judgement is the fate of a decoded frame.
type judgement struct {
	dies   bool // storing it closes the connection
	kept   bool
	silent bool // no answer, not even for an error
	added  bool // the answer starts with what the node added
	bare   bool // the answer carries nothing of the request
	code   int
	text   string
}

// judge follows the order of a real node: decoding, service state, fields, storing.
func (c *conn) judge(v wire.Verdict, f Fault) judgement {
	r := &c.req
	refuse := func(code int, text string) judgement {
		return judgement{code: code, text: text, silent: r.NoAck}
	}
	if !v.Ok() {
		return refuse(v.Code, v.Text)
	}
	switch f.Kind {
	case KindErrorCode:
		j := refuse(f.Code, f.Text)
		if f.Text == "" {
			j.text = c.usualText(f.Code)
		}
		j.added = f.Code == codeChannelFull
		j.bare = beforeAttrs(f.Code)
		return j
	case KindServiceStopped:
		return refuse(codeStopped, "")
	case KindUnready:
		return refuse(codeUnready, "")
	}
	if code, text := c.checkFields(); code != 0 {
		return refuse(code, text)
	}
	c.added = appendAdded(c.added[:0], r, c.receiveTime(), c.node.portText)
	separated := len(c.added)
	if separated > 0 {
		separated++
	}
	if r.AcceptCloses(separated) {
		return judgement{dies: true}
	}
	return judgement{kept: true, added: true, silent: r.NoAck || r.SinkAck}
}

// beforeAttrs tells the codes that a node answers without having read the attributes.
func beforeAttrs(code int) bool {
	switch code {
	case codeBadMagic, codeBadLength, codeTextLengths, codeBodyEmpty, codeBodyNegative, codeAttrNegative:
		return true
	}
	return false
}

func (c *conn) checkFields() (code int, text string) {
	r := &c.req
	if r.IsBinary() {
		switch {
		case r.Ext&extIndex != 0:
			return codeIndexMessage, ""
		case r.Ext&extStringIDs == 0 && r.GroupNum == 0:
			return codeNoGroup, "groupIdNum is 0 in message"
		case r.Ext&extStringIDs == 0:
			return codeNoNumMap, "GroupId-Mapping configuration is null"
		}
	}
	group, _ := r.Lookup("groupId")
	if len(bytes.TrimSpace(group)) == 0 {
		return codeNoGroup, ""
	}
	if stream, _ := r.Lookup("streamId"); !c.node.cluster.opts.topicKnown(group, stream) {
		return codeNoTopic, c.topicText()
	}
	return 0, ""
}

func (c *conn) topicText() string {
	group, _ := c.req.Lookup("groupId")
	stream, ok := c.req.Lookup("streamId")
	if !ok {
		stream = []byte("null")
	}
	return fmt.Sprintf("Topic not configured for groupId=(%s), streamId=(%s)", group, stream)
}

// usualText is the errMsg that a real node gives with a code, for faults that name the code alone.
func (c *conn) usualText(code int) string {
	r := &c.req
	total := 9 + len(r.WireBody) + len(r.Attr)
	switch code {
	case codeNoNumMap:
		return "GroupId-Mapping configuration is null"
	case codeBadMagic:
		return fmt.Sprintf("magicInMsg(%d) != %d", wire.BinaryMagic+1, wire.BinaryMagic)
	case codeBadSnappy:
		return fmt.Sprintf("Error to uncompress msg, compress type(snappy), attr: (%s), error: (null)", r.Attr)
	case codeTextLengths:
		return fmt.Sprintf("Error msg, totalDataLen(%d) + 4 != fixedLength(13) + bodyLen(%d) + attrLen(%d)",
			total, len(r.WireBody), len(r.Attr)+1)
	case codeBadAttr:
		return fmt.Sprintf("Parse attr (%s) failure", r.Attr)
	case codeChannelFull:
		return "Put msg event to channel failure: no space left in the channel"
	case codeNoTopic:
		return c.topicText()
	case codeBadItems:
		return fmt.Sprintf("Malformed data len, singleMsgLen(0), buffer remaining(%d), attr: (%s)",
			max(len(r.Body)-4, 0), r.Attr)
	}
	return ""
}

// appendAnswer appends the answer that the judgement calls for.
func (c *conn) appendAnswer(dst []byte, j judgement) []byte {
	a := answerAttr{nodeIP: c.node.cluster.opts.nodeIP, code: j.code, text: j.text}
	if !j.bare {
		a.attr = c.req.Attr
	}
	if j.added {
		if !j.kept {
			c.added = appendAdded(c.added[:0], &c.req, c.receiveTime(), c.node.portText)
		}
		a.added = c.added
	}
	return appendDataAnswer(dst, &c.req, a)
}
