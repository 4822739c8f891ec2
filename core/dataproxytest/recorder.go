package dataproxytest

import (
	"context"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// Record is one data frame that a node decoded. Do not change what its maps and slices hold.
type Record struct {
	Seq        uint64 // arrival order over the whole cluster, from 1
	Node       int
	Conn       uint64 // identifies the connection over the whole cluster
	Type       byte   // 5 or 7; 2, 3, 4 and 6 are understood too
	Group      string
	Stream     string
	Attr       map[string]string
	RawAttr    string
	Items      [][]byte // the messages as a consumer gets them
	ItemAttrs  []string // the attribute text of each, of a frame of type 7 whose items have some; else nil
	Whole      bool     // false: part of the body is lost downstream, though a real node acks it
	Compressed bool
	Uniq       uint32 // type 7 only
	At         time.Time
	EventTime  time.Time // as a consumer gets it: dt of a text frame, the header's seconds of a binary one, else At
	Kept       bool      // the node took it over: not refused
	Acked      bool      // its success answer was handed to the connection
	Code       int       // the error code it was refused with
}

// recorder collects what the nodes kept.
type recorder struct {
	mode   recording
	target atomic.Int64 // lowest count that someone waits for

	mu       sync.Mutex
	seq      uint64
	records  []*Record
	first    []int // index of each record's first message
	messages atomic.Int64
	digest   Digest
	waiters  map[chan struct{}]int64
}

const nobodyWaits = int64(1) << 62

func newRecorder(mode recording) *recorder {
	r := &recorder{mode: mode, waiters: make(map[chan struct{}]int64)}
	r.target.Store(nobodyWaits)
	return r
}

// add records a frame before it is answered, so that what was acked is always recorded.
func (r *recorder) add(rec *Record) {
	var digest Digest
	if r.mode == recordDigest && rec.Kept {
		digest.Add(rec.Items...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	rec.Seq = r.seq
	n := 0
	if rec.Kept {
		n = len(rec.Items)
	}
	if r.mode == recordDigest {
		r.digest.merge(digest)
	} else {
		r.first = append(r.first, int(r.messages.Load()))
		r.records = append(r.records, rec)
	}
	r.countLocked(n)
}

// count is add for a cluster that keeps counts only.
func (r *recorder) count(messages int) {
	if r.messages.Add(int64(messages)) < r.target.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.countLocked(0)
}

func (r *recorder) countLocked(messages int) {
	count := r.messages.Add(int64(messages))
	if count < r.target.Load() {
		return
	}
	for ch, n := range r.waiters {
		if count >= n {
			close(ch)
			delete(r.waiters, ch)
		}
	}
	r.retarget()
}

func (r *recorder) retarget() {
	target := nobodyWaits
	for _, n := range r.waiters {
		target = min(target, n)
	}
	r.target.Store(target)
}

func (r *recorder) acked(records []*Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range records {
		rec.Acked = true
	}
}

// Received returns every data frame in order of arrival, refused ones included. Empty under WithoutRecorder and
// WithDigestRecorder.
func (c *Cluster) Received() []Record {
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	list := make([]Record, len(c.rec.records))
	for i, rec := range c.rec.records {
		list[i] = *rec
	}
	return list
}

// Each calls f for every record in order of arrival until it returns false. f runs outside the recorder's lock and may
// use the cluster.
func (c *Cluster) Each(f func(Record) bool) {
	for i := 0; ; i++ {
		c.rec.mu.Lock()
		if i >= len(c.rec.records) {
			c.rec.mu.Unlock()
			return
		}
		rec := *c.rec.records[i]
		c.rec.mu.Unlock()
		if !f(rec) {
			return
		}
	}
}

// Messages returns the payloads of all kept frames in order of arrival, whether their ack got out or not: the ack of a
// frame can be lost after a node kept it.
func (c *Cluster) Messages() [][]byte {
	var payloads [][]byte
	for _, rec := range c.Received() {
		if rec.Kept {
			payloads = append(payloads, rec.Items...)
		}
	}
	return payloads
}

// Count returns the number of messages in kept frames.
func (c *Cluster) Count() int { return int(c.rec.messages.Load()) }

// Digest returns the digest of the kept payloads. Only under WithDigestRecorder.
func (c *Cluster) Digest() Digest {
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	return c.rec.digest
}

// WaitCount blocks until n messages are kept, or returns ctx's error.
func (c *Cluster) WaitCount(ctx context.Context, n int) error {
	r := c.rec
	r.mu.Lock()
	ch := make(chan struct{})
	r.waiters[ch] = int64(n)
	r.retarget()
	// The count may have passed n before the target was lowered.
	r.countLocked(0)
	r.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.waiters, ch)
		r.retarget()
		return ctx.Err()
	}
}

// Reset forgets all that was recorded and counted: messages, frames, heartbeats, Manager calls. Faults and connections
// stay, and so does the number of live connections.
func (c *Cluster) Reset() {
	r := c.rec
	r.mu.Lock()
	r.records, r.first, r.digest = nil, nil, Digest{}
	r.messages.Store(0)
	r.mu.Unlock()
	for _, n := range c.Nodes() {
		for _, count := range []*atomic.Int64{&n.counts.heartbeats, &n.counts.frames, &n.counts.messages,
			&n.counts.bytes, &n.counts.acked, &n.counts.refused} {
			count.Store(0)
		}
	}
	c.manager.forget()
}

// page returns up to limit records that hold the messages from index offset on, and where the first of them starts.
func (r *recorder) page(offset, limit int) (records []Record, first int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The last record that starts at or before offset; frames without kept messages may share its start.
	i := sort.SearchInts(r.first, offset+1) - 1
	for i = max(i, 0); i < len(r.records) && len(records) <= limit; i++ {
		if rec := r.records[i]; rec.Kept && len(rec.Items) > 0 {
			if len(records) == 0 {
				first = r.first[i]
			}
			records = append(records, *rec)
		}
	}
	return records, first
}
