package wire

import "encoding/binary"

// Item is one message of a frame, as a consumer gets it. Attr is set only if each item has attributes of its own.
type Item struct{ Data, Attr []byte }

// AppendItems appends the messages that a consumer gets of the accepted frame. whole is false if part of the body is lost or
// unreadable for the consumer: a DataProxy acks such frames, too.
func (r *Request) AppendItems(dst []Item) (items []Item, whole bool) {
	switch r.Type {
	case TypeText:
		return appendTextItems(dst, r.Body)
	case TypeBinary:
		body := r.Body
		if r.Compressed() {
			plain, err := DecodeSnappy(r.scratch[:0], body)
			if err != nil {
				return dst, false
			}
			body, r.scratch = plain, plain
		}
		return appendItems(dst, body, r.Ext&extItemAttrs != 0)
	case typeTextAttrs:
		if len(r.Body) < fourBytes || int(binary.BigEndian.Uint32(r.Body)) != len(r.Body)-fourBytes {
			return dst, false
		}
		return appendItems(dst, r.Body[fourBytes:], true)
	}
	return append(dst, Item{Data: r.stripped()}), true
}

// stripped is the body of types 2, 3 and 4 without the one line end that the server takes off.
func (r *Request) stripped() []byte {
	body := r.Body
	if mt, _ := r.Lookup("mt"); string(mt) == "pb" {
		return body
	}
	if n := len(body); n > 1 && body[n-1] == '\n' {
		body = body[:n-1]
		if body[n-2] == '\r' {
			body = body[:n-2]
		}
	}
	return body
}

func appendTextItems(dst []Item, body []byte) (items []Item, whole bool) {
	for len(body) > 0 {
		data, rest, ok := CutItem(body)
		if !ok || len(data) == 0 {
			return dst, false
		}
		dst, body = append(dst, Item{Data: data}), rest
	}
	return dst, true
}

func appendItems(dst []Item, body []byte, attrs bool) (items []Item, whole bool) {
	for len(body) > 0 {
		var item Item
		var ok bool
		if item.Data, body, ok = CutItem(body); !ok {
			return dst, false
		}
		if attrs {
			if item.Attr, body, ok = CutItem(body); !ok {
				return dst, false
			}
		}
		dst = append(dst, item)
	}
	return dst, true
}

// CutItem cuts the first message off a body: its length and its bytes. ok is false if it goes past the end.
func CutItem(body []byte) (data, rest []byte, ok bool) {
	if len(body) < fourBytes {
		return nil, nil, false
	}
	n := int(int32(binary.BigEndian.Uint32(body)))
	body = body[fourBytes:]
	if n < 0 || n > len(body) {
		return nil, nil, false
	}
	return body[:n], body[n:], true
}
