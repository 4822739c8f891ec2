package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// Answer is a node's answer to one frame.
type Answer struct {
	Type byte
	// Uniq is that of the request, for a binary answer.
	Uniq uint32
	// ID is the batch id of a text answer, when HasID is set. Some error answers carry nothing of the request: then HasMID is
	// false, and only the order of answers says which batch is meant.
	ID     BatchID
	HasID  bool
	HasMID bool // there is a "mid", ours or not
	// Code is the server's errCode, 0 for success.
	Code int
	// Text is the server's errMsg; valid as long as the frame's bytes are.
	Text []byte
}

// okBody is the one byte that answers to text frames carry as their body.
const okBody = "2"

// ErrAnswer is wrapped by every error of ParseAnswer.
var ErrAnswer = errors.New("malformed answer")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrAnswer}, args...)...)
}

// sentBack is added to errors about bytes that only a request can have.
const sentBack = ": what is here sends back what it gets, and is no DataProxy"

// ParseAnswer reads one answer, without its length word. An error means that the stream cannot be trusted any more.
func ParseAnswer(frame []byte) (Answer, error) {
	if len(frame) == 0 {
		return Answer{}, malformed("empty frame")
	}
	a := Answer{Type: frame[0]}
	switch a.Type {
	case TypeHeartbeat:
		return a, nil
	case TypeText:
		attr, err := textAttr(frame)
		if err != nil {
			return a, err
		}
		return a, a.parseAttr(attr)
	case TypeBinary:
		if len(frame) < 9 {
			return a, malformed("binary answer of %d bytes", len(frame))
		}
		a.Uniq = binary.BigEndian.Uint32(frame[1:])
		attrLen := int(binary.BigEndian.Uint16(frame[5:]))
		if len(frame) != 9+attrLen {
			return a, malformed("binary answer of %d bytes with %d bytes of attributes%s", len(frame), attrLen, sentBack)
		}
		if magic := binary.BigEndian.Uint16(frame[7+attrLen:]); magic != BinaryMagic {
			return a, malformed("binary answer ends in %#04x", magic)
		}
		return a, a.parseAttr(frame[7 : 7+attrLen])
	}
	return a, malformed("type %d, with which no DataProxy answers", a.Type)
}

func textAttr(frame []byte) ([]byte, error) {
	if len(frame) < 9+len(okBody) {
		return nil, malformed("text answer of %d bytes", len(frame))
	}
	bodyLen := int64(int32(binary.BigEndian.Uint32(frame[1:])))
	if bodyLen != int64(len(okBody)) {
		return nil, malformed("text answer of %d bytes with a body of %d%s", len(frame), bodyLen, sentBack)
	}
	rest := frame[5+bodyLen:]
	attrLen := int64(int32(binary.BigEndian.Uint32(rest)))
	if attrLen != int64(len(rest)-4) {
		return nil, malformed("text answer of %d bytes with %d bytes of attributes", len(frame), attrLen)
	}
	return rest[4:], nil
}

// parseAttr trusts errCode only in the first place or directly after dpIp, because what a client sent is echoed after these. Ids
// are taken from their last occurrence, since an errMsg may quote attributes. A success names its node: without that, the answer
// may be an echo of what a client sent to something that is no DataProxy.
func (a *Answer) parseAttr(attr []byte) error {
	rest := attr
	named := bytes.HasPrefix(rest, []byte("dpIp="))
	if named {
		_, rest, _ = bytes.Cut(rest, []byte("&"))
	}
	value, refused := bytes.CutPrefix(rest, []byte("errCode="))
	if !named && !refused {
		return malformed("neither dpIp nor errCode%s", sentBack)
	}
	if refused {
		digits, tail, _ := bytes.Cut(value, []byte("&"))
		code, err := strconv.Atoi(string(digits))
		if err != nil || !isDigits(digits) { // "-0" and "+0" are no success
			return malformed("errCode %q", digits[:min(len(digits), 32)])
		}
		a.Code = code
		if text, ok := bytes.CutPrefix(tail, []byte("errMsg=")); ok {
			a.Text = trimEcho(text)
		}
	}
	if a.Type != TypeText {
		return nil
	}
	at := bytes.LastIndex(attr, []byte("&mid="))
	if at < 0 {
		return nil
	}
	a.HasMID = true
	mid, _, _ := bytes.Cut(attr[at+len("&mid="):], []byte("&"))
	a.ID, a.HasID = ParseBatchID(mid)
	return nil
}

// trimEcho cuts the echoed request attributes off an errMsg, which may hold '&' itself. Ours start with groupId, and the
// server may have put its times in front of them.
func trimEcho(text []byte) []byte {
	if at := bytes.LastIndex(text, []byte("&groupId=")); at >= 0 {
		text = text[:at]
		for _, key := range []string{"&rtms=", "&rt="} {
			if at := bytes.LastIndex(text, []byte(key)); at >= 0 && isDigits(text[at+len(key):]) {
				text = text[:at]
			}
		}
	}
	return text
}

func isDigits(text []byte) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
