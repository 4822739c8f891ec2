// Package inlongmsg reads InLongMsg, the form in which a DataProxy leaves frames in the message queue (Kafka, Pulsar): version 1, made of
// text frames, and version 4, made of binary ones. [Dedup] tells doubles among what was read. All numbers are big endian.
package inlongmsg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
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

var (
	// ErrMalformed is wrapped by every error of Decode.
	ErrMalformed = errors.New("malformed InLongMsg")
	// ErrTooLarge is wrapped, too, where a value would take more than [Decoder.MaxBytes]. Nobody sends such a one by accident.
	ErrTooLarge = errors.New("it takes too much memory")
)

// DefaultMaxBytes is the MaxBytes of a Decoder that has none.
const DefaultMaxBytes = 256 << 20

// Decoder reads values within a bound. It does not change and may be used from many goroutines.
type Decoder struct {
	// MaxBytes is how much memory one decoded value may take beside the value itself, about: half a megabyte can be made that takes gigabytes.
	// 0 or less: DefaultMaxBytes.
	MaxBytes int64
}

// room is what is left of it while one value is decoded.
type room struct{ most, left int64 }

func (r *room) take(n int64) error {
	if r.left -= n; r.left < 0 {
		return fmt.Errorf("%w: %w: more than the %d bytes of MaxBytes", ErrMalformed, ErrTooLarge, r.most)
	}
	return nil
}

// The memory of an item and of a block in addition to their bytes, with the unused room of growing slices and maps.
const (
	itemOverhead  = 80
	blockOverhead = 512
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

const magic = 0x0F // first of the two bytes around a value; the second is the version

// Decode is [Decoder.Decode] within DefaultMaxBytes.
func Decode(value []byte) (Message, error) { return Decoder{}.Decode(value) }

// Decode reads one value. The items may share memory with it.
func (d Decoder) Decode(value []byte) (Message, error) {
	if len(value) < 4 {
		return Message{}, malformed("%d bytes", len(value))
	}
	m := Message{Version: int(value[1])}
	body, tail := value[2:len(value)-2], value[len(value)-2:]
	if value[0] != magic || tail[0] != magic || tail[1] != value[1] {
		return m, malformed("it starts with % x and ends with % x", value[:2], tail)
	}
	r := &room{most: d.MaxBytes}
	if r.most <= 0 {
		r.most = DefaultMaxBytes
	}
	r.left = r.most
	var err error
	switch m.Version {
	case VersionText:
		m.Blocks, err = r.textBlocks(body)
	case VersionBinary:
		m.Blocks, err = r.binaryBlocks(body)
	default:
		err = malformed("version %d", m.Version)
	}
	return m, err
}

// textBlocks reads: time of creation, number of blocks, and each as attributes and body.
func (r *room) textBlocks(rest []byte) (blocks []Block, err error) {
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
		if err := r.take(blockOverhead + int64(n)); err != nil {
			return blocks, err
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
		if b.Compressed = packed[0] == 1; packed[0] > 1 {
			return blocks, malformed("compression %d", packed[0])
		}
		items, err := r.items(packed[1:], b.Compressed, false)
		if err != nil {
			return blocks, err
		}
		b.add(items)
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

// items reads a body: payloads, each followed by its attributes if it has some.
func (r *room) items(body []byte, compressed, attributes bool) (items []wire.Item, err error) {
	if compressed {
		length, _ := binary.Uvarint(body)
		if err := r.take(int64(min(length, math.MaxInt64))); err != nil {
			return nil, err
		}
		if body, err = wire.DecodeSnappy(nil, body); err != nil {
			return nil, malformed("%w", err)
		}
	}
	for len(body) > 0 {
		if err := r.take(itemOverhead); err != nil {
			return nil, err
		}
		var item wire.Item
		ok := true
		if item.Data, body, ok = wire.CutItem(body); ok && attributes {
			item.Attr, body, ok = wire.CutItem(body)
		}
		if !ok {
			return nil, malformed("item %d goes past the end", len(items))
		}
		items = append(items, item)
	}
	return items, nil
}

func (b *Block) add(items []wire.Item) {
	b.Items, b.Places = make([][]byte, len(items)), make([]int, len(items))
	for i, item := range items {
		b.Items[i], b.Places[i] = item.Data, i
	}
}

// binaryBlocks reads a binary frame as it was sent, except that the node put attributes in front and compressed the body.
func (r *room) binaryBlocks(frame []byte) ([]Block, error) {
	var q wire.Request
	if v := q.Parse(frame); !v.Ok() || !q.IsBinary() {
		return nil, malformed("no binary frame: %d %s", v.Code, v.Text)
	}
	items, err := r.items(q.Body, q.Compressed(), q.ItemAttrs())
	if err != nil {
		return nil, err
	}
	b := Block{Attr: string(q.Attr), Time: time.Unix(int64(q.Seconds), 0), Count: int(q.Count), Compressed: q.Compressed()}
	if q.ItemAttrs() {
		return r.grouped(b, items)
	}
	b.add(items)
	return []Block{b}, nil
}

// maxItemized is the largest count of a frame with attributes of items: a consumer takes a larger one for negative.
const maxItemized = 1<<15 - 1

// grouped makes a block of the items that have the same attributes together with the frame's, whose values win. One item that a
// consumer cannot read makes it lose the whole value.
func (r *room) grouped(frame Block, items []wire.Item) (blocks []Block, err error) {
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
			if err := r.take(blockOverhead + int64(text.Cap())); err != nil {
				return nil, err
			}
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
