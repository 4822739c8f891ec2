package dataproxytest

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// typeOriginal is the type of the frames whose body the answer carries.
const typeOriginal = 4

// answerAttr is what the attribute text of an answer is built from.
type answerAttr struct {
	nodeIP string // dpIp
	code   int    // errCode; 0 is success and leaves errCode and errMsg out
	text   string // errMsg; left out if empty
	added  []byte // what the node put in front of the request's attributes, without a separator
	attr   []byte // the request's attributes; left out if empty
}

func (a *answerAttr) append(dst []byte) []byte {
	dst = append(append(dst, "dpIp="...), a.nodeIP...)
	if a.code != 0 {
		dst = strconv.AppendInt(append(dst, "&errCode="...), int64(a.code), 10)
		if a.text != "" {
			dst = append(append(dst, "&errMsg="...), a.text...)
		}
	}
	if len(a.added) > 0 {
		dst = append(append(dst, '&'), a.added...)
	}
	if len(a.attr) > 0 {
		dst = append(append(dst, '&'), a.attr...)
	}
	return dst
}

// appendDataAnswer appends the answer to a data frame.
func appendDataAnswer(dst []byte, r *wire.Request, a answerAttr) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, r.Type)
	if r.IsBinary() {
		dst = binary.BigEndian.AppendUint32(dst, r.Uniq)
		dst = append(dst, 0, 0)
		attrAt := len(dst)
		dst = a.append(dst)
		// Only the low 16 bits fit: the server cuts the length of an over-long text the same way.
		binary.BigEndian.PutUint16(dst[attrAt-2:], uint16(len(dst)-attrAt))
		dst = binary.BigEndian.AppendUint16(dst, wire.BinaryMagic)
	} else {
		if r.Type == typeOriginal {
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(r.WireBody)))
			dst = append(dst, r.WireBody...)
		} else {
			dst = append(dst, 0, 0, 0, 1, '2')
		}
		dst = append(dst, 0, 0, 0, 0)
		attrAt := len(dst)
		dst = a.append(dst)
		binary.BigEndian.PutUint32(dst[attrAt-lengthWord:], uint32(len(dst)-attrAt))
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-lengthWord))
	return dst
}

// appendAdded appends the attributes that a node puts in front of an accepted frame's own: receive times that the
// sender did not give, and the trace pair if asked for. millis is the receive time in decimal; port the node's.
func appendAdded(dst []byte, r *wire.Request, millis, port string) []byte {
	start := len(dst)
	add := func(key, value string) {
		if len(dst) > start {
			dst = append(dst, '&')
		}
		dst = append(append(append(dst, key...), '='), value...)
	}
	if !r.IsBinary() && lacks(r, "rt") {
		add("rt", millis)
	}
	if lacks(r, "rtms") {
		add("rtms", millis)
	}
	if r.IsBinary() && r.Ext&extTrace != 0 {
		add("node2ip", port) // the real one writes its port here, whatever the name says
		add("rtime2", millis)
	}
	return dst
}

func lacks(r *wire.Request, key string) bool {
	value, _ := r.Lookup(key)
	return len(bytes.TrimSpace(value)) == 0
}

// appendHeartbeatAnswer appends the answer to a heartbeat of either type. seconds is the node's clock.
func appendHeartbeatAnswer(dst []byte, r *wire.Request, seconds uint32) []byte {
	if r.Type == wire.TypeHeartbeat {
		return append(dst, 0, 0, 0, 1, wire.TypeHeartbeat)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(16+len(r.Attr)))
	dst = append(dst, wire.TypeBinaryHeartbeat)
	dst = binary.BigEndian.AppendUint32(dst, seconds)
	dst = append(dst, r.Version, 0, 0, 0, 2, 0xFF, 0xFF)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.Attr)))
	dst = append(dst, r.Attr...)
	return binary.BigEndian.AppendUint16(dst, wire.BinaryMagic)
}
