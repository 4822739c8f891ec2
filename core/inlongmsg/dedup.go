package inlongmsg

import (
	"slices"
	"strings"
	"sync"
)

// Dedup tells values of the queue that were there before. A batch whose ack was lost is sent again, and is then there twice: as whole
// values, with the same messages in the same order under the same "mid". No other batch of any client of this project has that mid, so
// none is taken for a double that is not one. Values without a mid, which other SDKs send, are never doubles.
//
// It remembers as many batches as it was made for; when one more comes the oldest is forgotten. A double comes as late as the sender's
// send_timeout, or after a restart of the sender where a spool sends again: keep as many as arrive in that time. It may be used from many
// goroutines; partitions of a topic may have one each, or share one.
type Dedup struct {
	mu    sync.Mutex
	known map[batchKey]struct{}
	ring  []batchKey // in the order of coming; next is the oldest once it is full
	next  int
}

type batchKey struct{ group, stream, mid string }

// longestKey is more than the ids of a batch of any client of this project have. Other writers of the queue could fill the memory with longer
// ones.
const longestKey = 1024

// NewDedup remembers that many batches, 1 at least. Each takes some 250 bytes, 1.3 KB at most.
func NewDedup(batches int) *Dedup {
	batches = max(batches, 1)
	return &Dedup{known: make(map[batchKey]struct{}), ring: make([]batchKey, 0, batches)}
}

// Seen reports whether a value with the same batch came before, and remembers it. Ask once for each value, and before what it holds is
// used; where using it fails, say so with Forget, or it counts as a double when it is read again.
func (d *Dedup) Seen(m *Message) bool {
	key, ok := keyOf(m)
	if !ok {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, seen := d.known[key]; seen {
		return true
	}
	key = batchKey{strings.Clone(key.group), strings.Clone(key.stream), strings.Clone(key.mid)} // they would keep all attributes
	d.known[key] = struct{}{}
	if len(d.ring) < cap(d.ring) {
		d.ring = append(d.ring, key)
		return false
	}
	delete(d.known, d.ring[d.next])
	d.ring[d.next] = key
	d.next = (d.next + 1) % len(d.ring)
	return false
}

// Forget takes a value's Seen back.
func (d *Dedup) Forget(m *Message) {
	key, ok := keyOf(m)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, seen := d.known[key]; !seen {
		return
	}
	delete(d.known, key)
	at := (d.next + len(d.ring) - 1) % len(d.ring) // from the newest on: what fails was asked for a moment ago
	for d.ring[at] != key {
		at = (at + len(d.ring) - 1) % len(d.ring)
	}
	if len(d.ring) < cap(d.ring) {
		d.ring = slices.Delete(d.ring, at, at+1)
		return
	}
	// Those that came later move up, and the next one gets the room: a value that is read again and again must push no other one out.
	for after := (at + 1) % len(d.ring); after != d.next; at, after = after, (after+1)%len(d.ring) {
		d.ring[at] = d.ring[after]
	}
	d.ring[at], d.next = batchKey{}, at // which no value has
}

// keyOf is false for a value of which no batch is known, or, as no DataProxy leaves it, of several.
func keyOf(m *Message) (key batchKey, ok bool) {
	for i := range m.Blocks {
		attributes := Attributes(m.Blocks[i].Attr)
		own := batchKey{attributes["groupId"], attributes["streamId"], attributes["mid"]}
		if own.mid == "" || len(own.group)+len(own.stream)+len(own.mid) > longestKey || i > 0 && own != key {
			return key, false
		}
		key = own
	}
	return key, len(m.Blocks) > 0
}
