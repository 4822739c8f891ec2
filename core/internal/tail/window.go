package tail

import (
	"sync"
	"sync/atomic"
)

// blockRecords is how many records a block has at most. A state's place stops at the first one without a result, so that fewer
// gain nothing; more would be held for one that waits.
const blockRecords = 256

// Record is one record on its way: it has its result when Done was called.
type Record struct {
	block *block
	end   uint32 // in the file, from the block's start
	line  uint32 // from the block's first
	sent  bool   // by the time that it is done
	done  atomic.Bool
}

// block is a run of records of one file, in the order of reading.
type block struct {
	file       *File
	start, end Place
	records    [blockRecords]Record
	count      atomic.Int32 // of records, which may be read while others are added
	open       atomic.Int32 // records without a result, and one while it is being filled
}

var blocks = sync.Pool{New: func() any { return new(block) }}

// Sent says, before Done, that others have the record: it is there twice if the next run meets it again.
func (r *Record) Sent() { r.sent = true }

// Done says that the record is finished. When those before it are, too, the next run begins after it.
func (r *Record) Done() {
	if !r.done.Swap(true) {
		r.block.open.Add(-1)
	}
}

// Name is the file's, as messages give it.
func (r *Record) Name() string { return r.block.file.Name() }

// Line is the number of the record's last line in its file, from 1.
func (r *Record) Line() int64 { return r.block.start.Line + int64(r.line) }

// Start is where the record begins in its file, with the empty lines before it.
func (r *Record) Start() int64 { return r.block.startOf(r) }

// Size is how many bytes of the file it takes.
func (r *Record) Size() int64 { return r.block.start.Offset + int64(r.end) - r.Start() }

// startOf finds the record by its own end: the one before it ends where it starts.
func (b *block) startOf(r *Record) int64 {
	low, high := 0, int(b.count.Load())
	for low < high {
		if mid := (low + high) / 2; b.records[mid].end < r.end {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		return b.start.Offset
	}
	return b.start.Offset + int64(b.records[low-1].end)
}

// progress is what of a file is on its way, and up to where all has its result.
type progress struct {
	mu     sync.Mutex
	blocks []*block
	done   Place
}

func (p *progress) add(b *block) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blocks = append(p.blocks, b)
}

// look moves on over the blocks that are done. ahead is how many records of the next block are done from its beginning.
func (p *progress) look() (done Place, next *block, ahead int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.blocks) && p.blocks[n].open.Load() == 0 {
		b := p.blocks[n]
		p.done, p.blocks[n] = b.end, nil
		n++
		clear(b.records[:b.count.Load()])
		b.file = nil
		b.count.Store(0)
		blocks.Put(b)
	}
	if p.blocks = p.blocks[n:]; len(p.blocks) == 0 {
		p.blocks = nil
		return p.done, nil, 0
	}
	next = p.blocks[0]
	for n := int(next.count.Load()); ahead < n && next.records[ahead].done.Load(); {
		ahead++
	}
	return p.done, next, ahead
}

// Ahead is how many records were sent and are after the place of their file: the next run meets them again.
func (s *Set) Ahead() (records int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		records += f.ahead()
	}
	return records
}

func (f *File) ahead() (records int64) {
	at := f.acked().Offset
	f.progress.mu.Lock()
	defer f.progress.mu.Unlock()
	for _, b := range f.progress.blocks {
		for i := range b.records[:b.count.Load()] {
			if r := &b.records[i]; r.done.Load() && r.sent && b.start.Offset+int64(r.end) > at {
				records++
			}
		}
	}
	return records
}
