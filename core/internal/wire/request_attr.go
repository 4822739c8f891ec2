package wire

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// mapFrom is the number of attributes from which duplicate keys are looked up in a map.
const mapFrom = 24

// RequestAttr is one attribute of a request. Both slices point into the request.
type RequestAttr struct{ Key, Value []byte }

// Lookup returns an attribute's value; ok tells an absent key from an empty value.
func (r *Request) Lookup(key string) (value []byte, ok bool) {
	for i := range r.Attrs {
		if string(r.Attrs[i].Key) == key {
			return r.Attrs[i].Value, true
		}
	}
	return nil, false
}

// parseAttr splits the attribute text by the server's rule: entries are separated by '&' and trimmed, each has
// exactly one '=', and no key comes twice.
func (r *Request) parseAttr(attr []byte) Verdict {
	r.Attr = attr
	if !utf8.Valid(attr) {
		// The server holds the text as a string, and replaces what is not UTF-8.
		r.replacing = appendReplaced(r.replacing[:0], attr)
		r.Attr = r.replacing
	}
	if !blank(r.Attr) && !r.splitAttr() {
		r.Attrs = r.Attrs[:0]
		return Verdict{Code: codeBadAttr, Text: fmt.Sprintf("Parse attr (%s) failure", r.Attr)}
	}
	r.NoAck = r.attrIs("isAck", "false")
	if r.attrIs("syncSend", "true") {
		if r.NoAck {
			r.NoAck = false
			return Verdict{Code: codeSyncAndNoAck}
		}
		r.SinkAck = true
	}
	if r.attrIs("proxySend", "true") {
		if r.NoAck {
			r.NoAck = false
			return Verdict{Code: codeProxyAndNoAck}
		}
		r.SinkAck = true
	}
	return Verdict{}
}

func (r *Request) splitAttr() bool {
	for rest, more := r.Attr, true; more; {
		var entry []byte
		entry, rest, more = bytes.Cut(rest, []byte{'&'})
		key, value, found := bytes.Cut(bytes.TrimSpace(entry), []byte{'='})
		if !found || bytes.IndexByte(value, '=') >= 0 || r.hasKey(key) {
			return false
		}
		r.Attrs = append(r.Attrs, RequestAttr{key, value})
	}
	return true
}

// hasKey reports whether the key was there before. Many keys go through a map, so that a hostile frame cannot make
// the comparison quadratic.
func (r *Request) hasKey(key []byte) bool {
	if len(r.Attrs) < mapFrom {
		_, found := r.Lookup(string(key))
		return found
	}
	if len(r.Attrs) == mapFrom {
		r.seen = make(map[string]struct{})
		for _, a := range r.Attrs {
			r.seen[string(a.Key)] = struct{}{}
		}
	}
	_, found := r.seen[string(key)]
	r.seen[string(key)] = struct{}{}
	return found
}

func (r *Request) attrIs(key, word string) bool {
	value, _ := r.Lookup(key)
	return len(value) == len(word) && bytes.EqualFold(value, []byte(word))
}

func appendReplaced(dst, text []byte) []byte {
	for _, c := range string(text) {
		dst = utf8.AppendRune(dst, c)
	}
	return dst
}

func blank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }

func ascii(text []byte) bool {
	for _, b := range text {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
