package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Frame types that this project never sends, yet a DataProxy understands.
const (
	typeCommon    = 2
	typeAck       = 3
	typeOriginal  = 4
	typeTextAttrs = 6
	extItemAttrs  = 0x01
	maxBinaryAttr = math.MaxInt16
	hbOverhead    = 18
	binaryBodyAt  = 25
	hbBodyAt      = 14
)

// Codes that decoding itself can answer.
const (
	codeBadMagic       = 94
	codeBadSnappy      = 96
	codeTextLengths    = 104
	codeBodyEmpty      = 105
	codeBodyNegative   = 106
	codeAttrNegative   = 107
	codeBadAttr        = 109
	codeBadItems       = 123
	codeSyncAndNoAck   = 150
	codeProxyAndNoAck  = 151
	fourBytes          = 4
	maxSnappyExpansion = 64 // a Snappy copy of 3 bytes yields at most 64
)

// Verdict is what a DataProxy makes of a frame while decoding it. The zero value means: decoded.
type Verdict struct {
	Close bool   // the connection is closed and nothing is answered
	Code  int    // error code of the answer; 0 is none
	Text  string // errMsg of the answer; empty is none
}

// Ok reports whether the frame was decoded.
func (v Verdict) Ok() bool { return !v.Close && v.Code == 0 }

var closed = Verdict{Close: true}

// Request is one frame as a DataProxy decodes it. Its slices point into the frame or into a scratch buffer of the
// Request: they are good until the next Parse. A Request is not safe for concurrent use.
type Request struct {
	Type     byte   // low five bits of the type byte
	Flags    byte   // its upper three bits
	WireBody []byte // as sent; nil if decoding failed before it
	Body     []byte // decompressed if the frame is of a text type and says so
	Attr     []byte // attribute text, also when it does not split; nil if decoding failed before it
	Attrs    []RequestAttr
	NoAck    bool // isAck=false: nothing is answered
	SinkAck  bool // syncSend or proxySend: success is never answered

	// Binary frames (7) and binary heartbeats (8) only.
	GroupNum, StreamNum, Ext, Count uint16
	Seconds, Uniq                   uint32
	Version                         byte

	// Items is how many messages a consumer gets of a type 5 frame; of other types and under SkipBody it is 0.
	Items int

	// SkipBody leaves compressed text bodies as they are: neither opened nor checked. Parse keeps it.
	SkipBody bool

	total     int // value of the length word
	scratch   []byte
	seen      map[string]struct{} // keys, when there are many
	replacing []byte
}

// IsHeartbeat reports whether the frame is one of the two heartbeats.
func (r *Request) IsHeartbeat() bool {
	return r.Type == TypeHeartbeat || r.Type == TypeBinaryHeartbeat
}

// IsBinary reports whether the frame is a binary data frame.
func (r *Request) IsBinary() bool { return r.Type == TypeBinary }

// ItemAttrs reports whether the sender says that each item of a binary frame is followed by attributes of its own.
func (r *Request) ItemAttrs() bool { return r.IsBinary() && r.Ext&extItemAttrs != 0 }

// Compressed reports whether the sender says that the body is Snappy.
func (r *Request) Compressed() bool {
	if r.IsBinary() {
		return r.Flags&flagSnappy != 0
	}
	cp, _ := r.Lookup("cp")
	return !blank(cp)
}

// Parse decodes one whole frame, length word included, in the order in which a DataProxy looks at it: the order
// decides which of two faults is answered.
func (r *Request) Parse(frame []byte) Verdict {
	r.reset()
	if len(frame) < fourBytes+1 {
		return closed
	}
	r.total = int(int32(binary.BigEndian.Uint32(frame)))
	if r.total+fourBytes != len(frame) {
		return closed
	}
	r.Type, r.Flags = frame[4]&typeMask, frame[4]&^typeMask
	switch r.Type {
	case TypeHeartbeat:
		return Verdict{}
	case TypeBinaryHeartbeat:
		return r.parseBinaryHeartbeat(frame)
	case typeCommon, typeAck, typeOriginal, TypeText, typeTextAttrs:
		return r.parseText(frame)
	case TypeBinary:
		return r.parseBinary(frame)
	}
	return closed
}

func (r *Request) reset() {
	*r = Request{Attrs: r.Attrs[:0], SkipBody: r.SkipBody, scratch: r.scratch, replacing: r.replacing}
}

func (r *Request) parseText(frame []byte) Verdict {
	if len(frame) < TextOverhead {
		return closed
	}
	bodyLen := int(int32(binary.BigEndian.Uint32(frame[5:])))
	switch {
	case bodyLen == 0:
		return Verdict{Code: codeBodyEmpty}
	case bodyLen < 0:
		return Verdict{Code: codeBodyNegative}
	case bodyLen > math.MaxInt32-TextOverhead:
		// The server's own sum overflows here, so that it passes the check below and fails while copying.
		return closed
	case bodyLen+TextOverhead > len(frame):
		return Verdict{Code: codeTextLengths, Text: fmt.Sprintf(
			"Error msg, bodyLen(%d) + fixedLength(%d) > totalDataLen(%d) + 4", bodyLen, TextOverhead, r.total)}
	}
	r.WireBody = frame[9 : 9+bodyLen]
	attrLen := int(int32(binary.BigEndian.Uint32(frame[9+bodyLen:])))
	switch {
	case attrLen < 0:
		return Verdict{Code: codeAttrNegative}
	case TextOverhead+bodyLen+attrLen != len(frame):
		return Verdict{Code: codeTextLengths, Text: fmt.Sprintf(
			"Error msg, totalDataLen(%d) + 4 != fixedLength(%d) + bodyLen(%d) + attrLen(%d)",
			r.total, TextOverhead, bodyLen, attrLen)}
	}
	if v := r.parseAttr(frame[TextOverhead+bodyLen:]); !v.Ok() {
		return v
	}
	r.Body = r.WireBody
	if r.SkipBody && r.Compressed() {
		return Verdict{}
	}
	if v := r.decompress(); !v.Ok() {
		return v
	}
	if r.Type == TypeText {
		return r.checkTextItems()
	}
	return Verdict{}
}

func (r *Request) decompress() Verdict {
	cp, _ := r.Lookup("cp")
	if blank(cp) {
		return Verdict{}
	}
	body, err := DecodeSnappy(r.scratch[:0], r.WireBody)
	switch {
	case err == errSnappyHuge:
		return closed
	case err != nil:
		return Verdict{Code: codeBadSnappy, Text: fmt.Sprintf(
			"Error to uncompress msg, compress type(%s), attr: (%s), error: (null)", cp, r.Attr)}
	case len(body) == 0:
		return Verdict{Code: codeBadSnappy, Text: fmt.Sprintf(
			"Error to uncompress msg, compress type(%s), attr: (%s), error: 2", cp, r.Attr)}
	}
	r.Body, r.scratch = body, body
	return Verdict{}
}

// checkTextItems finds the faults of a type 5 body. Only a bad first item is a fault. A bad item after a good one ends the search,
// and the frame is accepted without it and the rest.
func (r *Request) checkTextItems() Verdict {
	if len(r.Body) <= fourBytes {
		return Verdict{Code: codeBadItems, Text: fmt.Sprintf(
			"Malformed data len, bodyLen(%d), attr: (%s)", len(r.Body), r.Attr)}
	}
	for at := 0; at < len(r.Body); {
		if len(r.Body)-at < fourBytes {
			return closed
		}
		n := int(int32(binary.BigEndian.Uint32(r.Body[at:])))
		rest := len(r.Body) - at - fourBytes
		if n <= 0 || n > rest {
			if at > 0 {
				break
			}
			return Verdict{Code: codeBadItems, Text: fmt.Sprintf(
				"Malformed data len, singleMsgLen(%d), buffer remaining(%d), attr: (%s)", n, rest, r.Attr)}
		}
		at += fourBytes + n
		r.Items++
	}
	return Verdict{}
}

func (r *Request) parseBinary(frame []byte) Verdict {
	if len(frame) < BinaryOverhead {
		return closed
	}
	r.GroupNum = binary.BigEndian.Uint16(frame[5:])
	r.StreamNum = binary.BigEndian.Uint16(frame[7:])
	r.Ext = binary.BigEndian.Uint16(frame[9:])
	r.Seconds = binary.BigEndian.Uint32(frame[11:])
	r.Count = binary.BigEndian.Uint16(frame[15:])
	r.Uniq = binary.BigEndian.Uint32(frame[17:])
	bodyLen, attrLen, magic, ok := binaryTail(frame, 21)
	switch {
	case !ok:
		return closed
	case bodyLen == 0:
		return Verdict{Code: codeBodyEmpty}
	case bodyLen < 0:
		return Verdict{Code: codeBodyNegative}
	case attrLen < 0:
		return Verdict{Code: codeAttrNegative}
	case magic != BinaryMagic:
		return Verdict{Code: codeBadMagic, Text: fmt.Sprintf("magicInMsg(%d) != %d", magic, BinaryMagic)}
	}
	r.WireBody = frame[binaryBodyAt : binaryBodyAt+bodyLen]
	attrAt := binaryBodyAt + bodyLen + 2
	if v := r.parseAttr(frame[attrAt : attrAt+attrLen]); !v.Ok() {
		return v
	}
	r.Body = r.WireBody
	return Verdict{}
}

func (r *Request) parseBinaryHeartbeat(frame []byte) Verdict {
	if len(frame) < hbOverhead {
		return closed
	}
	bodyLen, attrLen, magic, ok := binaryTail(frame, 10)
	if !ok || magic != BinaryMagic || bodyLen < 0 || attrLen < 0 {
		return closed
	}
	r.Seconds = binary.BigEndian.Uint32(frame[5:])
	r.Version = frame[9]
	r.Attr = frame[hbBodyAt+bodyLen+2:][:attrLen]
	return Verdict{}
}

// binaryTail reads body length, attr length and magic, each found by the one before it. The server reads all three
// before it judges any; a position outside the frame is an exception there, which closes the connection.
func binaryTail(frame []byte, lengthAt int) (bodyLen, attrLen int, magic uint16, ok bool) {
	bodyLen = int(int32(binary.BigEndian.Uint32(frame[lengthAt:])))
	at := lengthAt + fourBytes + bodyLen
	if at < 0 || at+2 > len(frame) {
		return 0, 0, 0, false
	}
	attrLen = int(int16(binary.BigEndian.Uint16(frame[at:])))
	at += 2 + attrLen
	if at < 0 || at+2 > len(frame) {
		return 0, 0, 0, false
	}
	return bodyLen, attrLen, binary.BigEndian.Uint16(frame[at:]), true
}

// AcceptCloses reports whether a DataProxy that accepted the frame fails while storing it, which closes the connection without an
// answer. added is the number of attribute bytes it puts in front, the separator included.
func (r *Request) AcceptCloses(added int) bool {
	switch r.Type {
	case TypeBinary:
		exact := BinaryOverhead - fourBytes + len(r.WireBody) + len(r.Attr)
		return r.total != exact || !ascii(r.Attr) || len(r.Attr)+added > maxBinaryAttr
	case typeCommon, typeAck, typeOriginal:
		mt, _ := r.Lookup("mt")
		return len(r.Body) == 1 && r.Body[0] == '\n' && string(mt) != "pb"
	}
	return false
}
