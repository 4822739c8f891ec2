// Package inlongmsg reads InLongMsg, the form in which a DataProxy leaves frames in the message queue (Kafka, Pulsar): version 1, made of
// text frames, and version 4, made of binary ones. [Dedup] tells doubles among what was read. All numbers are big endian.
package inlongmsg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// The versions that a DataProxy makes of what this project sends.
const (
	VersionText   = 1
	VersionBinary = 4
)

// Message is one value of the queue, decoded.
type Message struct {
	Version int
	// Blocks are what was sent with the same attributes. A DataProxy puts one frame into a value: one block, except where items have
	// attributes of their own: one for each set of them then, in the order of their first items.
	Blocks []Block
}

// Block is some messages with the attributes that they share.
type Block struct {
	Attr string
	// Time is the event time: "dt" of a text frame in milliseconds, the header's seconds of a binary one. Zero: there is none.
	Time  time.Time
	Items [][]byte
	// Places are those of the items in the frame, from 0. Items with attributes of their own are put together by them.
	Places []int
	// Count is the number of items by the header of a binary frame. A text frame says none that could be trusted.
	Count int
	// Compressed says that the value's body is a Snappy block.
	Compressed bool
}

// ErrMalformed is wrapped by every error of Decode.
var ErrMalformed = errors.New("malformed InLongMsg")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

const magic = 0x0F // first of the two bytes around a value; the second is the version

// Decode reads one value. The items may share memory with it.
func Decode(value []byte) (Message, error) {
	if len(value) < 4 {
		return Message{}, malformed("%d bytes", len(value))
	}
	m := Message{Version: int(value[1])}
	body, tail := value[2:len(value)-2], value[len(value)-2:]
	if value[0] != magic || tail[0] != magic || tail[1] != value[1] {
		return m, malformed("it starts with % x and ends with % x", value[:2], tail)
	}
	var err error
	switch m.Version {
	case VersionText:
		m.Blocks, err = textBlocks(body)
	case VersionBinary:
		m.Blocks, err = binaryBlocks(body)
	default:
		err = malformed("version %d", m.Version)
	}
	return m, err
}

// textBlocks reads: time of creation, number of blocks, and each as attributes and body.
func textBlocks(rest []byte) (blocks []Block, err error) {
	if len(rest) < 12 {
		return nil, malformed("a head of %d bytes", len(rest))
	}
	count, rest := binary.BigEndian.Uint32(rest[8:]), rest[12:]
	for range count {
		if len(rest) < 2 {
			return blocks, malformed("%d of %d blocks", len(blocks), count)
		}
		n := int(binary.BigEndian.Uint16(rest))
		if len(rest) < 2+n+5 {
			return blocks, malformed("attributes of %d bytes in %d", n, len(rest))
		}
		var b Block
		if b.Attr, err = modifiedUTF8(rest[2 : 2+n]); err != nil {
			return blocks, err
		}
		rest = rest[2+n:]
		size := int64(int32(binary.BigEndian.Uint32(rest)))
		if size < 1 || size > int64(len(rest)-4) {
			return blocks, malformed("a body of %d bytes in %d", size, len(rest)-4)
		}
		packed := rest[4 : 4+size]
		rest = rest[4+size:]
		if b.Items, err = textItems(packed[0], packed[1:]); err != nil {
			return blocks, err
		}
		b.Compressed = packed[0] == 1
		for i := range b.Items {
			b.Places = append(b.Places, i)
		}
		if ms, err := strconv.ParseInt(Attributes(b.Attr)["dt"], 10, 64); err == nil {
			b.Time = time.UnixMilli(ms)
		}
		blocks = append(blocks, b)
	}
	if len(rest) > 0 {
		return blocks, malformed("%d bytes after the last block", len(rest))
	}
	return blocks, nil
}

func textItems(compressed byte, body []byte) (items [][]byte, err error) {
	switch compressed {
	case 0:
	case 1:
		if body, err = wire.DecodeSnappy(nil, body); err != nil {
			return nil, malformed("%w", err)
		}
	default:
		return nil, malformed("compression %d", compressed)
	}
	for len(body) > 0 {
		item, rest, ok := wire.CutItem(body)
		if !ok {
			return nil, malformed("item %d goes past the end", len(items))
		}
		items, body = append(items, item), rest
	}
	return items, nil
}

// binaryBlocks reads a binary frame as it was sent, except that the node put attributes in front and compressed the body.
func binaryBlocks(frame []byte) ([]Block, error) {
	var r wire.Request
	if v := r.Parse(frame); !v.Ok() || !r.IsBinary() {
		return nil, malformed("no binary frame: %d %s", v.Code, v.Text)
	}
	items, whole := r.AppendItems(nil)
	if !whole {
		return nil, malformed("the body cannot be read to its end")
	}
	b := Block{Attr: string(r.Attr), Time: time.Unix(int64(r.Seconds), 0), Count: int(r.Count), Compressed: r.Compressed()}
	if r.ItemAttrs() {
		return grouped(b, items)
	}
	for i, item := range items {
		b.Items, b.Places = append(b.Items, item.Data), append(b.Places, i)
	}
	return []Block{b}, nil
}

// maxItemized is the largest count of a frame with attributes of items: a consumer takes a larger one for negative.
const maxItemized = 1<<15 - 1

// grouped makes a block of the items that have the same attributes together with the frame's, whose values win. One item that a
// consumer cannot read makes it lose the whole value.
func grouped(frame Block, items []wire.Item) (blocks []Block, err error) {
	if frame.Count > maxItemized {
		return nil, malformed("%d items with attributes: a consumer takes %d at most", frame.Count, maxItemized)
	}
	ofFrame := Attributes(frame.Attr)
	found := map[string]int{} // attributes to the place of their block
	for i, item := range items {
		own, err := strictAttributes(string(item.Attr))
		switch {
		case err != nil:
			return nil, malformed("item %d: %w", i, err)
		case len(item.Data) == 0:
			return nil, malformed("item %d is empty", i)
		}
		var text strings.Builder
		text.WriteString(frame.Attr)
		for _, key := range slices.Sorted(maps.Keys(own)) {
			if _, wins := ofFrame[key]; !wins {
				text.WriteString("&" + key + "=" + own[key])
			}
		}
		at, known := found[text.String()]
		if !known {
			at = len(blocks)
			found[text.String()] = at
			b := frame
			b.Attr = text.String()
			blocks = append(blocks, b)
		}
		blocks[at].Items, blocks[at].Places = append(blocks[at].Items, item.Data), append(blocks[at].Places, i)
	}
	return blocks, nil
}

// strictAttributes splits as a consumer does with those of an item.
func strictAttributes(text string) (map[string]string, error) {
	attributes := make(map[string]string)
	for entry := range strings.SplitSeq(text, "&") {
		key, value, ok := strings.Cut(strings.TrimSpace(entry), "=")
		if _, twice := attributes[key]; !ok || twice || strings.Contains(value, "=") {
			return nil, fmt.Errorf("attributes %q: a consumer wants key=value&key=value, each key once", text)
		}
		attributes[key] = value
	}
	return attributes, nil
}

// Attributes splits attribute text. A consumer refuses a key that comes twice; here the last one counts.
func Attributes(text string) map[string]string {
	attributes := make(map[string]string)
	for entry := range strings.SplitSeq(text, "&") {
		if key, value, ok := strings.Cut(strings.TrimSpace(entry), "="); ok {
			attributes[key] = value
		}
	}
	return attributes
}

// modifiedUTF8 decodes text of Java's writeUTF: UTF-8 of UTF-16 units, with NUL in two bytes.
func modifiedUTF8(text []byte) (string, error) {
	units := make([]uint16, 0, len(text))
	for i := 0; i < len(text); {
		c, size := text[i], 1
		unit := uint16(c)
		switch {
		case c >= 0x01 && c <= 0x7F:
		case c&0xE0 == 0xC0 && continues(text, i+1):
			unit, size = uint16(c&0x1F)<<6|uint16(text[i+1]&0x3F), 2
		case c&0xF0 == 0xE0 && continues(text, i+1) && continues(text, i+2):
			unit, size = uint16(c&0x0F)<<12|uint16(text[i+1]&0x3F)<<6|uint16(text[i+2]&0x3F), 3
		default:
			return "", malformed("byte %#02x in attributes", c)
		}
		units, i = append(units, unit), i+size
	}
	decoded := make([]byte, 0, len(text))
	for _, r := range utf16.Decode(units) {
		decoded = utf8.AppendRune(decoded, r)
	}
	return string(decoded), nil
}

func continues(text []byte, i int) bool { return i < len(text) && text[i]&0xC0 == 0x80 }
