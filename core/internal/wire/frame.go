// Package wire builds and reads the frames of the DataProxy's TCP protocol. It knows neither goroutines nor sockets.
//
// Every frame starts with an int32 that counts the bytes after it; all numbers are big endian.
package wire

import (
	"encoding/binary"
	"slices"

	"github.com/klauspost/compress/s2"
)

// The frame types, the low five bits of the byte after the length word.
const (
	TypeHeartbeat       = 1
	TypeText            = 5
	TypeBinary          = 7
	TypeBinaryHeartbeat = 8

	typeMask   = 0x1f
	flagSnappy = 0x20 // in a binary frame's type byte: the body is a raw Snappy block
)

const (
	// BinaryMagic ends every frame of type 7 and 8.
	BinaryMagic = 0xEE01
	// extStringIDs in a type 7 header: group and stream are named in the attributes.
	extStringIDs = 0x04

	// MinCompress is the longest body that is never compressed: shorter ones grow.
	MinCompress = 256

	// TextOverhead and BinaryOverhead are the bytes of a frame beside body and attributes, the length word included.
	TextOverhead   = 13
	BinaryOverhead = 29

	// ItemHeader is the length word before each payload in a body, and before its attributes.
	ItemHeader = 4

	snappyAttr = "&cp=snappy"
)

// Heartbeat is the shortest heartbeat frame; a node answers it with the same bytes.
var Heartbeat = []byte{0, 0, 0, 1, TypeHeartbeat}

// AppendItem appends one message to a body: its length and its bytes. A later empty item would make the server drop the rest
// of the batch in silence, so callers must not append one.
func AppendItem(body, payload []byte) []byte {
	body = binary.BigEndian.AppendUint32(body, uint32(len(payload)))
	return append(body, payload...)
}

// AppendText appends a frame of type 5 to dst: body as built by AppendItem, attributes as "key=value&key=value". With compress a
// body longer than MinCompress becomes a raw Snappy block, and "cp=snappy" is added to the attributes.
func AppendText(dst, body, attr []byte, compress bool) []byte {
	return appendText(dst, body, attr, packingOf(compress))
}

// AppendTextBlock is AppendText for a body that Compress has made.
func AppendTextBlock(dst, block, attr []byte) []byte { return appendText(dst, block, attr, packed) }

func appendText(dst, body, attr []byte, how packing) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, TypeText, 0, 0, 0, 0)
	dst, compressed := appendBody(dst, body, how)
	binary.BigEndian.PutUint32(dst[start+5:], uint32(len(dst)-start-9))
	attrLen := len(attr)
	if compressed {
		attrLen += len(snappyAttr)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(attrLen))
	dst = append(dst, attr...)
	if compressed {
		dst = append(dst, snappyAttr...)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

// AppendBinary appends a frame of type 7 to dst. seconds is the event time, count the number of items in body, uniq comes
// back in the answer. itemized says that the attributes of each item follow it in body, as their length and "key=value&key=value".
func AppendBinary(dst, body, attr []byte, uniq, seconds uint32, count uint16, compress, itemized bool) []byte {
	return appendBinary(dst, body, attr, uniq, seconds, count, packingOf(compress), itemized)
}

// AppendBinaryBlock is AppendBinary for a body that Compress has made.
func AppendBinaryBlock(dst, block, attr []byte, uniq, seconds uint32, count uint16, itemized bool) []byte {
	return appendBinary(dst, block, attr, uniq, seconds, count, packed, itemized)
}

func appendBinary(dst, body, attr []byte, uniq, seconds uint32, count uint16, how packing, itemized bool) []byte {
	start := len(dst)
	ext := byte(extStringIDs)
	if itemized {
		ext |= extItemAttrs
	}
	dst = append(dst, 0, 0, 0, 0, TypeBinary, 0, 0, 0, 0, 0, ext)
	dst = binary.BigEndian.AppendUint32(dst, seconds)
	dst = binary.BigEndian.AppendUint16(dst, count)
	dst = binary.BigEndian.AppendUint32(dst, uniq)
	bodyLenAt := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst, compressed := appendBody(dst, body, how)
	if compressed {
		dst[start+4] |= flagSnappy
	}
	binary.BigEndian.PutUint32(dst[bodyLenAt:], uint32(len(dst)-bodyLenAt-4))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(attr)))
	dst = append(dst, attr...)
	dst = binary.BigEndian.AppendUint16(dst, BinaryMagic)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

// packing says how a frame holds its body.
type packing int

const (
	plain packing = iota
	compress
	packed // it is compressed
)

func packingOf(toCompress bool) packing {
	if toCompress {
		return compress
	}
	return plain
}

func appendBody(dst, body []byte, how packing) ([]byte, bool) {
	if how == compress {
		if dst, ok := Compress(dst, body); ok {
			return dst, true
		}
	}
	return append(dst, body...), how == packed
}

// Compress appends body to dst as a raw Snappy block, directly in dst's spare room. It returns false, and appends nothing, for a
// body that does not shrink, or is too short to be compressed.
func Compress(dst, body []byte) ([]byte, bool) {
	if len(body) <= MinCompress {
		return dst, false
	}
	n := len(dst)
	dst = slices.Grow(dst, s2.MaxEncodedLen(len(body)))
	block := s2.EncodeSnappy(dst[n:cap(dst)], body)
	if len(block) >= len(body) {
		return dst, false
	}
	return dst[:n+len(block)], true
}

// Decompress appends the body that Compress was given to dst, unless block is not from Compress, or the body is longer than most.
func Decompress(dst, block []byte, most int) ([]byte, error) {
	size, err := s2.DecodedLen(block)
	if err != nil {
		return dst, err
	}
	if size > most {
		return dst, s2.ErrTooLarge
	}
	n := len(dst)
	dst = slices.Grow(dst, size)[:n+size]
	if _, err := s2.Decode(dst[n:], block); err != nil {
		return dst[:n], err
	}
	return dst, nil
}
