package spool

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

const testDir = "/slot"

// fate is what a store was told, and has promised, of one record.
type fate struct {
	record   Record
	ref      Ref
	life     int  // of the store, in which it was appended
	appended bool // Append has returned
	durable  bool // Sync has, after it
	doubtful bool // an fsync failed, and the process ended before a Sync was through: nobody can know
	acked    bool // Ack was called
	now      bool // in this life of the store
	recorded bool // FlushAcks has returned after it
	forgot   bool // the same with an fsync
}

// history drives a store through steps drawn from a seed, and has each state judged that a crash could leave on the way.
type history struct {
	rng    *rand.Rand
	sync   Sync
	fs     *memFS
	store  *Spool
	fates  []*fate
	states int
	fault  error
	faulty bool // the disk fails now and then
	failed bool // the last Sync
	life   int  // of the store
	behind bool // in this life a Sync could not make all durable that earlier ones have left
	early  bool // bent: acks are recorded before there is an answer
}

const (
	powerCut   = "a power cut"
	processEnd = "the end of the process"
)

func newHistory(seed uint64) *history {
	h := &history{rng: rand.New(rand.NewPCG(seed, 1)), fs: newMemFS(testDir)}
	h.sync = []Sync{SyncBatch, SyncBatch, SyncInterval, SyncOff}[seed%4]
	h.fs.after = func() { h.crash() }
	h.faulty = seed%3 == 0
	h.fs.before = func(op, path string, size int) (int, error) {
		if h.faulty && h.rng.IntN(25) == 0 {
			fault := &fs.PathError{Op: op, Path: path, Err: []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE}[h.rng.IntN(3)]}
			if op == "write" {
				return h.rng.IntN(size + 1), fault
			}
			return 0, fault
		}
		if op == "write" && size > 1 { // a process that ends within a write leaves a part of it
			h.judgeKill(h.fs.kill(), path, 1+h.rng.IntN(size-1))
		}
		return size, nil
	}
	return h
}

func (h *history) options() Options {
	return Options{Sync: h.sync, FS: h.fs, SegmentBytes: 900}
}

// run takes steps until one breaks a promise.
func (h *history) run(steps int) error {
	h.open()
	for range steps {
		if h.fault != nil {
			return h.fault
		}
		switch n := h.rng.IntN(100); {
		case n < 45:
			h.append()
		case n < 60:
			h.ack()
		case n < 75:
			h.flushAcks(h.rng.IntN(3) == 0)
		case n < 85:
			h.readBack()
		case n < 90:
			h.syncNow()
		case n < 95:
			h.closeNow()
			h.open()
		default: // killed, without a chance to end anything
			h.open()
		}
	}
	h.closeNow()
	return h.fault
}

func (h *history) closeNow() {
	err := h.store.Close()
	h.failed = h.failed || err != nil
	h.sayFor(err)
}

// sayFor ends the history with an error that a disk which works cannot have caused.
func (h *history) sayFor(err error) {
	if err != nil && h.fault == nil && !h.faulty {
		h.fault = err
	}
}

func (h *history) open() {
	faulty := h.faulty
	store, err := openSlot(testDir, h.options(), nil)
	if err != nil {
		h.sayFor(err)
		h.faulty = false // its owner tries again
		store, err = openSlot(testDir, h.options(), nil)
		h.sayFor(err)
	}
	h.store, h.faulty = store, faulty
	for _, f := range h.fates { // refs are of one life of a store
		f.ref, f.now = Ref{}, false
		f.doubtful = f.doubtful || h.failed && !f.durable
	}
	h.failed, h.behind = false, false
	h.life++
}

func (h *history) append() {
	var records []Record
	var fates []*fate
	for range 1 + h.rng.IntN(2) {
		f := &fate{record: h.newRecord(uint64(len(h.fates) + 1)), life: h.life}
		fates = append(fates, f)
		records = append(records, f.record)
		h.fates = append(h.fates, f)
	}
	refs, err := h.store.Append(nil, records, h.rng.IntN(2) == 0)
	if err != nil {
		h.sayFor(err)
		return
	}
	for i, f := range fates {
		f.appended, f.ref = true, refs[i]
		if h.early {
			h.store.Ack(f.ref)
		}
	}
	if h.early {
		h.sayFor(h.store.FlushAcks(false))
	}
	if h.sync == SyncBatch || h.sync == SyncInterval && h.rng.IntN(4) == 0 {
		h.syncNow()
	}
}

func (h *history) syncNow() {
	before := h.store.Stats().Errors
	err := h.store.Sync()
	h.behind = h.behind || h.store.Stats().Errors > before
	h.failed = err != nil || h.behind
	if err != nil {
		h.sayFor(err)
		return
	}
	for _, f := range h.fates {
		f.durable = f.durable || f.appended && !f.doubtful && h.sync != SyncOff && (!h.behind || f.life == h.life)
	}
}

func (h *history) newRecord(n uint64) Record {
	body := make([]byte, h.rng.IntN(300))
	if h.rng.IntN(8) == 0 {
		body = make([]byte, 700+h.rng.IntN(300))
	}
	for i := range body {
		body[i] = byte(h.rng.Uint32())
	}
	return Record{ID: wire.BatchID{Client: 7, Seq: n}, Group: "group", Stream: fmt.Sprint("s", n%3), Attributes: "&a=b", EventTime: int64(n) * 1000,
		Stored: int64(n), Messages: 1 + int(n%5), Flags: uint32(n), Body: body}
}

// known returns the records that the store of this life has told the name of, and that are not acked.
func (h *history) known() (known []*fate) {
	for _, f := range h.fates {
		if f.ref != (Ref{}) && !f.now {
			known = append(known, f)
		}
	}
	return known
}

func (h *history) ack() {
	known := h.known()
	for range min(len(known), 1+h.rng.IntN(4)) {
		f := known[h.rng.IntN(len(known))]
		f.acked, f.now = true, true
		h.store.Ack(f.ref)
	}
}

func (h *history) flushAcks(durable bool) {
	acked := slices.DeleteFunc(slices.Clone(h.fates), func(f *fate) bool { return !f.now })
	if err := h.store.FlushAcks(durable); err != nil {
		h.sayFor(err)
		return
	}
	for _, f := range acked {
		f.recorded = true
		f.forgot = f.forgot || durable && h.sync == SyncBatch && f.durable
	}
}

func (h *history) readBack() {
	for range 1 + h.rng.IntN(4) {
		ref, rec, ok := h.store.Next()
		if !ok {
			return
		}
		f := h.fateOf(rec)
		if f == nil {
			h.fault = cmp.Or(h.fault, fmt.Errorf("batch %s was read back, and was never stored so", rec.ID))
			return
		}
		f.ref = ref
		if h.rng.IntN(3) == 0 {
			h.store.Release(ref)
		}
	}
}

// fateOf finds the record that was stored with exactly these contents.
func (h *history) fateOf(r Record) *fate {
	if r.ID.Seq == 0 || r.ID.Seq > uint64(len(h.fates)) {
		return nil
	}
	f := h.fates[r.ID.Seq-1]
	if !sameRecord(f.record, r) {
		return nil
	}
	return f
}

func sameRecord(a, b Record) bool {
	return a.ID == b.ID && a.Group == b.Group && a.Stream == b.Stream && a.Attributes == b.Attributes && a.EventTime == b.EventTime &&
		a.Stored == b.Stored && a.Messages == b.Messages && a.Flags == b.Flags && bytes.Equal(a.Body, b.Body)
}

// crash judges every state that a crash could leave now.
func (h *history) crash() {
	if h.fault != nil {
		return
	}
	h.fs.cuts(h.rng, func(disk *memFS) {
		h.judge(disk, powerCut, func(f *fate) bool { return f.durable }, func(f *fate) bool { return f.forgot })
	})
	h.judgeKill(h.fs.kill(), "", 0)
}

// judgeKill judges the end of the process, in the middle of a write of which n bytes came into the file at path.
func (h *history) judgeKill(disk *memFS, path string, n int) {
	if path != "" {
		_, node, err := disk.node("", path)
		if err != nil {
			return
		}
		// What the bytes are does not matter to the store's promise, only that they are not whole.
		node.now = append(slices.Clip(node.now), bytes.Repeat([]byte{0xd1}, n)...)
	}
	h.judge(disk, processEnd, func(f *fate) bool { return f.appended }, func(f *fate) bool { return f.recorded })
}

// judge opens what a crash has left, and holds it against what was promised.
func (h *history) judge(disk *memFS, crash string, stored, forgotten func(*fate) bool) {
	if h.fault != nil {
		return
	}
	h.states++
	err := h.check(disk, stored, forgotten)
	if err == nil && h.rng.IntN(40) == 0 {
		err = h.crashAgain(disk, crash, stored, forgotten)
	}
	if err != nil {
		h.fault = fmt.Errorf("after %s: %w\nmode %d, on the disk:\n%s", crash, err, h.sync, disk.files())
	}
}

func (h *history) check(disk *memFS, stored, forgotten func(*fate) bool) error {
	options := h.options()
	options.FS = disk
	store, err := openSlot(testDir, options, nil)
	if err != nil {
		return fmt.Errorf("it does not open: %w", err)
	}
	found := map[uint64]bool{}
	last := uint64(0)
	for {
		_, rec, ok := store.Next()
		if !ok {
			break
		}
		f := h.fateOf(rec)
		switch {
		case f == nil:
			return fmt.Errorf("batch %s was never stored so", rec.ID)
		case found[rec.ID.Seq]:
			return fmt.Errorf("batch %s comes twice", rec.ID)
		case rec.ID.Seq < last:
			return fmt.Errorf("batch %s comes after %d", rec.ID, last)
		case forgotten(f):
			return fmt.Errorf("batch %s comes again, though its ack was recorded", rec.ID)
		}
		last = rec.ID.Seq
		found[last] = true
	}
	for _, f := range h.fates {
		if stored(f) && !f.acked && !found[f.record.ID.Seq] {
			return fmt.Errorf("batch %s is lost", f.record.ID)
		}
	}
	return nil
}

var errCrash = errors.New("the process ends here")

// crashAgain has the recovery itself crash at each of its changes, and judges what is left then.
func (h *history) crashAgain(disk *memFS, crash string, stored, forgotten func(*fate) bool) error {
	for at := 0; ; at++ {
		again, changes, crashed := disk.kill(), 0, false
		again.before = func(op, _ string, size int) (int, error) {
			if op == "read" || op == "open" || op == "list" {
				return size, nil
			}
			if changes++; changes > at {
				crashed = true
				return 0, errCrash
			}
			return size, nil
		}
		options := h.options()
		options.FS = again
		store, err := openSlot(testDir, options, nil)
		if err == nil {
			for ok := true; ok; {
				_, _, ok = store.Next()
			}
			_ = store.Close()
		}
		again.before = nil
		fault := h.check(again.kill(), stored, forgotten)
		if crash == powerCut {
			again.cuts(h.rng, func(left *memFS) {
				if fault == nil {
					fault = h.check(left, stored, forgotten)
				}
			})
		}
		if fault != nil || !crashed {
			return fault
		}
	}
}
