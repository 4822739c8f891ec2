package tail

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// File is one file, whatever names it has in its life. Between Next and Release what it reads belongs to who got it; all else is
// guarded by the set.
type File struct {
	// Reader is the caller's own, for as long as the file is read.
	Reader any
	// Held is a record of which a part was passed over, since it is too long to be held: it is named once its end was seen.
	Held *Record
	// Passing is set while that is so: its bytes do not count as read ahead.
	Passing bool
	// Rewritten: the file had other content before.
	Rewritten bool

	live string // the path by which it was met
	real string // where it is, without symbolic links, as far as known
	id   ID
	text text // nil while it is closed
	head Head
	at   Place // read up to here
	size int64 // of its text, as last seen by its reader: what follows at is lost with it
	tall int64 // the same, as scans have seen it since: its reader may wait, for an outage to end

	proven   int64 // when it was written to last, of what was read
	modified int64 // the same, when a path led to it last: what has the path later is written to later
	seen     meta  // when it was read to its end last

	progress progress

	older    *File     // is read to its end first
	atEnd    bool      // nothing followed at when it was last read
	last     bool      // nothing will be: what is after the last newline is a record
	busy     bool      // handed out
	still    bool      // the last scan found it as it was read
	queued   bool      //
	aside    bool      // no path that is followed leads to it
	fromPast bool      // known from the state, and not found yet
	gone     time.Time // when it was given up, zero otherwise
	sought   time.Time // since when, zero otherwise
	changed  time.Time // when it grew last, or was put aside
	why      string    // it is not found, in the words of a loss
	fault    error     // why it cannot be read
	retryAt  time.Time
	dead     bool // its fault does not pass
	latest   bool // of its path, as the state had it
	start    int64
	cut      int64 // bytes that were seen after at, and did not exist when it was read
	cutAt    int64 // where the unpacking met a fault
	broken   meta  // packed, as it was when the fault was met: until it changes the next reading meets it too
	name     atomic.Pointer[string]
}

// learn changes what is known of the file's text. Only who has the file calls it, and reads it without the lock.
func (f *File) learn(head Head, at Place, size int64) {
	f.progress.mu.Lock()
	defer f.progress.mu.Unlock()
	f.head, f.at, f.size = head, at, size
}

// grown notes how long the file is while nobody reads it. What stands before the place shows that nothing was truncated yet.
func (f *File) grown(size int64) {
	head, at, known := f.known()
	if f.text == nil || f.text.packed() || head.Length == 0 || size <= known {
		return
	}
	if ok, err := holds(f.text, head, at); ok && err == nil {
		f.setTall(size)
	}
}

func (f *File) setTall(size int64) {
	f.progress.mu.Lock()
	defer f.progress.mu.Unlock()
	f.tall = size
}

// prove notes when the file was written to last. Before what was read, so that a truncation since is not taken for it.
func (f *File) prove(modified int64) {
	f.progress.mu.Lock()
	defer f.progress.mu.Unlock()
	f.proven = modified
}

func (f *File) wasProven() int64 {
	f.progress.mu.Lock()
	defer f.progress.mu.Unlock()
	return f.proven
}

// known is what others may read of it.
func (f *File) known() (head Head, at Place, size int64) {
	f.progress.mu.Lock()
	defer f.progress.mu.Unlock()
	return f.head, f.at, max(f.size, f.tall)
}

// beginning is how many bytes it begins with, up to printLength: what was written since it was met may be unread yet, and in a copy.
func (f *File) beginning() int64 {
	head, _, _ := f.known()
	if f.text == nil || f.text.packed() || head.Length == printLength {
		return head.Length
	}
	own, err := headOf(f.text, printLength)
	if err != nil {
		return head.Length
	}
	return max(head.Length, own.Length)
}

// Name is what messages call it.
func (f *File) Name() string { return *f.name.Load() }

func (f *File) rename() {
	name := f.live
	if f.aside && f.real != "" {
		name = f.real
	}
	f.name.Store(&name)
}

// Packed reports whether it is unpacked on the way.
func (f *File) Packed() bool { return f.text != nil && f.text.packed() }

// At is the place up to which it was read.
func (f *File) At() Place { return f.at }

// Head gives its beginning again.
func (f *File) Head(limit int64) io.Reader { return io.NewSectionReader(f.text, 0, limit) }

// errTruncated: what follows the place has changed.
var errTruncated = errors.New("the file was truncated")

// Chunk is a part of a file in memory: what follows its place.
type Chunk struct {
	// Data is valid until the next Read.
	Data []byte
	// End: nothing follows Data now. Last: and nothing ever will.
	End, Last bool

	buf   []byte
	front int // bytes of buf before Data
	file  *File
	block *block
	used  int // bytes of Data that were passed
	lines int64
}

// Read reads up to size bytes after the place.
func (c *Chunk) Read(f *File, size int) error {
	w := window(f.at.Offset)
	if need := int(w) + size; cap(c.buf) < need {
		c.buf = make([]byte, need)
	}
	*c = Chunk{buf: c.buf[:int(w)+size], front: int(w), file: f}
	seen, err := f.text.stat()
	if err != nil {
		return err
	}
	n, err := f.text.ReadAt(c.buf, f.at.Offset-w)
	if err != nil && !errors.Is(err, io.EOF) {
		// What was unpacked before a fault is sent; the next read meets the fault alone.
		end := f.at.Offset - w + int64(n)
		if !f.text.packed() || n <= int(w) || end == f.cutAt {
			c.buf = nil // the disk may still write to it
			return err
		}
		f.cutAt = end
	}
	c.End = errors.Is(err, io.EOF)
	if err := c.prove(n); err != nil {
		return err
	}
	c.Data = c.buf[w:n]
	head, stop := f.head, f.at.Offset+int64(len(c.Data))
	length := max(f.size, seen.size, stop)
	if c.End && !f.text.packed() && f.head.Length > 0 { // what was seen after the end is gone; of a file without a head a copy may have it
		f.cut += length - stop
		length = stop
	}
	if f.at.Offset < printLength { // buf has the file from its beginning
		m := min(n, printLength)
		head = Head{int64(m), xxhash.Sum64(c.buf[:m])}
	}
	f.learn(head, f.at, length)
	f.prove(seen.modified)
	if c.End {
		f.seen, c.Last = seen, f.last
	}
	return nil
}

// prove makes sure that what was read stood after the place: what is before the place is there, and was there still when the
// read had ended. A truncation in between would have taken it away.
func (c *Chunk) prove(n int) error {
	f, w := c.file, c.front
	switch {
	case n < w || xxhash.Sum64(c.buf[:w]) != f.at.Tail && w > 0:
		return errTruncated
	case f.at.Offset < printLength && f.head.Length > 0 && (int64(n) < f.head.Length || xxhash.Sum64(c.buf[:f.head.Length]) != f.head.Sum):
		return errTruncated
	case f.text.packed() || n == w:
		return nil
	}
	again := make([]byte, min(n, printLength))
	m, err := f.text.ReadAt(again, f.at.Offset-int64(w))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.Equal(again[:m], c.buf[:len(again)]) {
		return errTruncated
	}
	return nil
}

// Add notes a record that ends after that many bytes of Data, and whose last line is that many lines after the place. Its Done
// is to be called once, from any goroutine.
func (c *Chunk) Add(end int, lines int64) *Record {
	if c.block != nil && c.block.count.Load() == blockRecords {
		c.seal(c.used, c.lines)
	}
	if c.block == nil {
		c.begin()
	}
	b := c.block
	b.open.Add(1)
	from := b.start.Offset - c.file.at.Offset
	r := &b.records[b.count.Load()]
	r.block, r.end, r.line = b, uint32(int64(end)-from), uint32(c.file.at.Line+lines-b.start.Line)
	b.count.Add(1)
	c.used, c.lines = end, lines
	return r
}

func (c *Chunk) begin() {
	b := blocks.Get().(*block)
	b.file, b.start, b.end = c.file, c.placeAt(c.used, c.lines), Place{}
	b.open.Store(1)
	c.block = b
	c.file.progress.add(b)
}

func (c *Chunk) seal(used int, lines int64) {
	c.used, c.lines = used, lines
	c.block.end = c.placeAt(used, lines)
	c.block.open.Add(-1)
	c.block = nil
}

// Pass moves the file's place forward by that many bytes and lines of Data: they are records, or nothing worth a message.
func (c *Chunk) Pass(used int, lines int64) {
	if used > 0 {
		if c.block == nil {
			c.begin()
		}
		c.seal(used, lines)
	}
	c.file.learn(c.file.head, c.placeAt(used, lines), c.file.size)
	c.Data, c.front, c.used, c.lines = c.Data[used:], c.front+used, 0, 0
}

func (c *Chunk) placeAt(used int, lines int64) Place {
	f := c.file
	p := Place{Offset: f.at.Offset + int64(used), Line: f.at.Line + lines}
	end := c.front + used
	p.Tail = xxhash.Sum64(c.buf[end-int(window(p.Offset)) : end])
	return p
}

// acked is the place up to which all has its result; also within a block, where the file still tells what is there.
func (f *File) acked() Place {
	done, next, ahead := f.progress.look()
	if next == nil || ahead == 0 || f.text == nil || f.text.packed() {
		return done
	}
	r := &next.records[ahead-1]
	p := Place{Offset: next.start.Offset + int64(r.end), Line: r.Line()}
	w := window(p.Offset)
	_, sum, err := sumAt(f.text, p.Offset-w, w)
	if err != nil {
		return done
	}
	// What was read proves nothing if the file was truncated before: then the block's own beginning is gone too.
	head, _, _ := f.known()
	if ok, err := holds(f.text, head, done); !ok || err != nil {
		return done
	}
	p.Tail = sum
	return p
}

// behind is how many bytes are between the last place that is acked and the last one that was read.
func (f *File) behind() int64 {
	done, _, _ := f.progress.look()
	_, at, _ := f.known()
	return at.Offset - done.Offset
}
