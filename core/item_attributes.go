package dataproxy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// If one item is not as consumers want it, they lose the whole record, although the node acks it. So everything is checked before a
// message is accepted.

// itemSize is how many bytes a message adds to a batch's body. own are the attributes of its item as text, nil for none.
func itemSize(msg *Message, own []byte) int {
	size := itemHeader + len(msg.Payload)
	if own != nil {
		size += itemHeader + len(own)
	}
	return size
}

// appendItem appends a message to a body: its payload, then the attributes of its item if there are some.
func appendItem(body, payload, own []byte) []byte {
	body = wire.AppendItem(body, payload)
	if own != nil {
		body = wire.AppendItem(body, own)
	}
	return body
}

// appendOwn writes and checks the attributes of a message's item, as "key=value&key=value" in any order: consumers compare them as sets.
func (st *stream) appendOwn(dst []byte, msg *Message) ([]byte, error) {
	if st.c.opts.MessageFormat != Binary {
		return nil, errors.New("item attributes: take the option message_format=binary")
	}
	for k, v := range msg.ItemAttributes {
		if err := CheckAttributesTotal(uint64(len(dst) + len(k) + len(v) + 2)); err != nil {
			return nil, fmt.Errorf("item attributes: %w", err)
		}
		if err := CheckAttribute(k, v); err != nil {
			return nil, fmt.Errorf("item attributes: %w", err)
		}
		if k == auditVersion {
			return nil, fmt.Errorf("item attributes: %q is read from the batch's attributes alone", k)
		}
		_, ofBatch := msg.Attributes[k]
		_, added := st.c.opts.AddColumns[k]
		if ofBatch || added || strings.HasPrefix(k, "__addcol") {
			return nil, fmt.Errorf("item attributes: %q belongs to the whole batch, whose value a consumer would get", k)
		}
		if len(dst) > 0 {
			dst = append(dst, '&')
		}
		dst = append(append(append(dst, k...), '='), v...)
	}
	return dst, nil
}
