package dataproxy

import "reflect"

// Sizes in bytes of what the budget cannot look up. A test compares their sum with the heap.
const (
	detailSize   = 80  // a detail
	batchCost    = 850 // a batch without body and lists: its timer, its entries in queues and tables, the error that it may end with
	callbackCost = 16  // a small closure
	callerCost   = 900 // a caller that waits in Send: a blocked goroutine, without its stack, and what takes its result
	memberCost   = 112 // a message of SendBatch
	mapHeader    = 48  // a map
	mapEntry     = 36  // an entry of it
)

// besideOf is how many bytes a message that may join open holds outside its batch: its receiver, and the maps that its callback
// gets back.
func (st *stream) besideOf(open *batch, msg *Message, own []byte, attributes string, recv receiver, kind sendKind) int64 {
	switch kind {
	case sendSync:
		return callerCost
	case sendGroup:
		return memberCost
	}
	if _, ok := recv.(Callback); !ok {
		return 0
	}
	cost := int64(callbackCost)
	if len(msg.Attributes)+len(msg.ItemAttributes) == 0 {
		return cost
	}
	var before detail // many programs use one map for all
	var item ofItem
	if open != nil && len(open.details) > 0 {
		before = open.details[len(open.details)-1]
	}
	if open != nil && len(open.ofItems) > 0 {
		item = open.ofItems[len(open.ofItems)-1]
	}
	cost += mapCost(msg.Attributes, before.attributes, len(st.key.attributes)+len(attributes))
	return cost + mapCost(msg.ItemAttributes, item.attributes, len(own))
}

// mapCost is the memory of a map with so many bytes of texts: nothing if the message before has the same map.
func mapCost(m, before map[string]string, texts int) int64 {
	if len(m) == 0 || reflect.ValueOf(m).Pointer() == reflect.ValueOf(before).Pointer() {
		return 0
	}
	entries := 8 // entries, rounded up to the power of two that leaves an eighth free
	for len(m) > 8 && len(m) > entries/8*7 {
		entries *= 2
	}
	return int64(mapHeader + mapEntry*entries + texts)
}

// footprint is the memory that b holds: the room in its lists and its body, used or not.
func (b *batch) footprint() int64 {
	block := 0
	if b.kept != nil {
		block = cap(b.kept.block)
	}
	return batchCost + b.beside + int64(block+cap(b.body.b)+4*cap(b.ends)+16*(cap(b.receivers)+cap(b.tags)+cap(b.ofItems)+cap(b.tokens))+detailSize*cap(b.details)+len(b.attributes))
}

// pay sets the charge for b to what it holds. The caller holds the lock that guards b.
func (b *batch) pay() {
	now, before := b.footprint(), b.charged
	b.charged = now
	switch budget := &b.st.c.budget; {
	case now > before:
		budget.add(b.st, 0, now-before)
	case now < before:
		budget.release(b.st, 0, before-now)
	}
}

// uncharge ends the charge for b, and returns its amount for the budget to release.
func (b *batch) uncharge() (bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bytes, b.charged = b.charged, 0
	return bytes
}
