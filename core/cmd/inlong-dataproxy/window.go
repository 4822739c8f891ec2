package main

import "sync"

// item is a record on its way; it travels with its message to the callback.
type item struct {
	in    *input
	start int64    // where its record begins
	at    position // behind it
	acked bool     // guarded by the input's window
}

// window holds the records of one input that are on their way, in the order of reading, and knows up to where all are acked.
type window struct {
	mu    sync.Mutex
	items []*item
	done  position
	moved bool // since the last look
}

func (w *window) add(it *item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.items = append(w.items, it)
}

// ack takes an item as finished. Results come out of order: done moves only over those that have no open one before them.
func (w *window) ack(it *item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	it.acked = true
	n := 0
	for n < len(w.items) && w.items[n].acked {
		w.done, w.moved = w.items[n].at, true
		w.items[n] = nil
		n++
	}
	w.items = w.items[n:]
}

// look returns up to where all is acked, and whether that changed since the last look.
func (w *window) look() (done position, moved bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	moved, w.moved = w.moved, false
	return w.done, moved
}
