package spool

import (
	"encoding/binary"
	"errors"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Flags of records that clients store. The store does not read them.
const (
	// FlagItemized: each message has attributes of its own after its payload.
	FlagItemized = 1 << iota
	// FlagSnappy: the body is a raw Snappy block, as it is sent.
	FlagSnappy
)

const itemHeader = wire.ItemHeader

// Items returns r's body uncompressed, in buf if it was compressed, and where each of its messages ends in it. It returns an error
// for a record that no client has stored.
func (r *Record) Items(buf []byte) (body []byte, ends []uint32, err error) {
	body = r.Body
	if r.Flags&FlagSnappy != 0 {
		if body, err = wire.Decompress(buf[:0], r.Body, MaxRecord); err != nil {
			return nil, nil, err
		}
	}
	if ends = EndsOf(body, r.Flags&FlagItemized != 0); len(ends) == 0 || len(ends) != r.Messages {
		return nil, nil, errors.New("its body has other messages, or none")
	}
	return body, ends, nil
}

// Split returns the payload of an item, and its attributes with FlagItemized.
func (r *Record) Split(item []byte) (payload, attributes []byte) {
	end := itemHeader + binary.BigEndian.Uint32(item)
	if r.Flags&FlagItemized != 0 {
		attributes = item[end+itemHeader:]
	}
	return item[itemHeader:end], attributes
}

// EndsOf returns where each message of a body ends, or nil for a body that no client has made.
func EndsOf(body []byte, itemized bool) (ends []uint32) {
	for at, payload := 0, true; at < len(body); payload = !payload || !itemized {
		if len(body)-at < itemHeader {
			return nil
		}
		n := int(binary.BigEndian.Uint32(body[at:]))
		if n > len(body)-at-itemHeader || n == 0 && payload {
			return nil
		}
		if at += itemHeader + n; !payload || !itemized {
			ends = append(ends, uint32(at))
		} else if at == len(body) {
			return nil
		}
	}
	return ends
}
