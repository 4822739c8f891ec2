package oteldataproxy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/propagation"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// Carrier says what takes a span's context to the consumer.
type Carrier int

const (
	// ItemAttributes are the message's own attributes. They take dataproxy.WithMessageFormat(Binary): with the text format nothing is
	// carried. Traced messages and others travel in batches of their own.
	ItemAttributes Carrier = iota
	// BatchAttributes are those of the message's batch, in any format: each traced message travels in a batch of its own.
	BatchAttributes
	// Nothing is carried.
	Nothing
)

// place is where the span's context goes, nil for nowhere.
func (t *tracing) place(msg *dataproxy.Message) *map[string]string {
	switch {
	case t.carrier == BatchAttributes:
		return &msg.Attributes
	case t.carrier == Nothing || t.client.MessageFormat != dataproxy.Binary:
		return nil
	}
	return &msg.ItemAttributes
}

// inject adds the span's context to a copy of the message's attributes. What is there already stays: the program's own, and a name that
// belongs to the whole batch. whole is false where a part of it cannot be an attribute.
func (t *tracing) inject(ctx context.Context, msg *dataproxy.Message) (added carrier, whole bool) {
	attributes := t.place(msg)
	if attributes == nil {
		return nil, true
	}
	added, whole = carrier{}, true
	t.propagator.Inject(ctx, added)
	total := uint64(0)
	size := func(name, value string) uint64 { return uint64(len("&") + len(name) + len("=") + len(value)) }
	for name, value := range *attributes {
		total += size(name, value)
	}
	var room [4]string
	names := room[:0]
	for name := range added {
		if has(msg.Attributes, name) || has(msg.ItemAttributes, name) || has(t.client.AddColumns, name) {
			delete(added, name)
		} else {
			names = append(names, name)
		}
	}
	if len(names) > 1 {
		slices.SortFunc(names, func(a, b string) int { return len(added[a]) - len(added[b]) })
	}
	for _, name := range names { // the shortest value first: a long baggage leaves room for the trace
		more := size(name, added[name])
		if dataproxy.CheckAttribute(name, added[name]) != nil || dataproxy.CheckAttributesTotal(total+more) != nil {
			delete(added, name)
			whole = false
			continue
		}
		total += more
	}
	switch {
	case len(added) > 0 && len(*attributes) > 0:
		all := maps.Clone(*attributes)
		maps.Copy(all, added)
		*attributes = all
	case len(added) > 0:
		*attributes = added
	}
	return added, whole
}

// Extract returns ctx with the span's context that came with a message's attributes, as a consumer gets them, package inlongmsg for
// example. p is what WithPropagator had; nil: propagation.TraceContext.
func Extract(ctx context.Context, p propagation.TextMapPropagator, attributes map[string]string) context.Context {
	if p == nil {
		p = propagation.TraceContext{}
	}
	return p.Extract(ctx, carrier(attributes))
}

// carrier writes values as attributes allow: '%', '&', '=' and what is not printable as %XX. W3C's "traceparent" has none of them.
type carrier map[string]string

func (c carrier) Get(name string) string { return unescape(c[name]) }

func (c carrier) Set(name, value string) {
	if value != "" {
		c[name] = escape(value)
	}
}

func (c carrier) Keys() []string {
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	return names
}

func has(attributes map[string]string, name string) bool {
	_, there := attributes[name]
	return there
}

const digits = "0123456789ABCDEF"

func isEscaped(c byte) bool { return c <= ' ' || c > '~' || c == '%' || c == '&' || c == '=' }

func escape(value string) string {
	plain := 0
	for plain < len(value) && !isEscaped(value[plain]) {
		plain++
	}
	if plain == len(value) {
		return value
	}
	var b strings.Builder
	b.WriteString(value[:plain])
	for i := plain; i < len(value); i++ {
		if c := value[i]; isEscaped(c) {
			b.WriteString("%" + digits[c>>4:c>>4+1] + digits[c&15:c&15+1])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape leaves what is no %XX as it is.
func unescape(value string) string {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] == '%' && i+2 < len(value) {
			high, low := strings.IndexByte(digits, value[i+1]), strings.IndexByte(digits, value[i+2])
			if high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(value[i])
	}
	return b.String()
}
