package wire

import (
	"encoding/binary"
	"strconv"
)

// okBody is the one byte that answers to text frames carry as their body.
const okBody = "2"

// AnswerAttr is what the attribute text of an answer is built from.
type AnswerAttr struct {
	NodeIP string // dpIp
	Code   int    // errCode; 0 is success and leaves errCode and errMsg out
	Text   string // errMsg; left out if empty
	Added  []byte // what the node put in front of the request's attributes, without a separator
	Attr   []byte // the request's attributes; left out if empty
}

func (a *AnswerAttr) append(dst []byte) []byte {
	dst = append(append(dst, "dpIp="...), a.NodeIP...)
	if a.Code != 0 {
		dst = strconv.AppendInt(append(dst, "&errCode="...), int64(a.Code), 10)
		if a.Text != "" {
			dst = append(append(dst, "&errMsg="...), a.Text...)
		}
	}
	if len(a.Added) > 0 {
		dst = append(append(dst, '&'), a.Added...)
	}
	if len(a.Attr) > 0 {
		dst = append(append(dst, '&'), a.Attr...)
	}
	return dst
}

// AppendAnswer appends the answer to a data frame.
func AppendAnswer(dst []byte, r *Request, a AnswerAttr) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, r.Type)
	if r.IsBinary() {
		dst = binary.BigEndian.AppendUint32(dst, r.Uniq)
		dst = append(dst, 0, 0)
		attrAt := len(dst)
		dst = a.append(dst)
		// Only the low 16 bits fit: the server cuts the length of an over-long text the same way.
		binary.BigEndian.PutUint16(dst[attrAt-2:], uint16(len(dst)-attrAt))
		dst = binary.BigEndian.AppendUint16(dst, BinaryMagic)
	} else {
		if r.Type == typeOriginal {
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(r.WireBody)))
			dst = append(dst, r.WireBody...)
		} else {
			dst = append(append(dst, 0, 0, 0, 1), okBody...)
		}
		dst = append(dst, 0, 0, 0, 0)
		attrAt := len(dst)
		dst = a.append(dst)
		binary.BigEndian.PutUint32(dst[attrAt-fourBytes:], uint32(len(dst)-attrAt))
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-fourBytes))
	return dst
}

// AppendAdded appends the attributes that a node puts in front of an accepted frame's own: receive times that the
// sender did not give, and the trace pair if asked for. millis is the receive time in decimal; port the node's.
func AppendAdded(dst []byte, r *Request, millis, port string) []byte {
	start := len(dst)
	add := func(key, value string) {
		if len(dst) > start {
			dst = append(dst, '&')
		}
		dst = append(append(append(dst, key...), '='), value...)
	}
	if !r.IsBinary() && r.lacks("rt") {
		add("rt", millis)
	}
	if r.lacks("rtms") {
		add("rtms", millis)
	}
	if r.IsBinary() && r.Ext&extTrace != 0 {
		add("node2ip", port) // the real one writes its port here, whatever the name says
		add("rtime2", millis)
	}
	return dst
}

func (r *Request) lacks(key string) bool {
	value, _ := r.Lookup(key)
	return blank(value)
}

// AppendHeartbeatAnswer appends the answer to a heartbeat of either type. seconds is the node's clock.
func AppendHeartbeatAnswer(dst []byte, r *Request, seconds uint32) []byte {
	if r.Type == TypeHeartbeat {
		return append(dst, 0, 0, 0, 1, TypeHeartbeat)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(16+len(r.Attr)))
	dst = append(dst, TypeBinaryHeartbeat)
	dst = binary.BigEndian.AppendUint32(dst, seconds)
	dst = append(dst, r.Version, 0, 0, 0, 2, 0xFF, 0xFF)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.Attr)))
	dst = append(dst, r.Attr...)
	return binary.BigEndian.AppendUint16(dst, BinaryMagic)
}
