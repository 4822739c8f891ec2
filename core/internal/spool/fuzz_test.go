package spool

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// fileOf returns a segment as a store writes it, with these batches.
func fileOf(numbers ...int) []byte {
	h := segmentHeader{number: 5, salt: 0x1234567890abcdef, created: 1}
	b := h.append(nil)
	end := footer{records: uint32(len(numbers)), batches: uint32(len(numbers)), oldest: 1}
	for i, n := range numbers {
		r := batchOf(n)
		b = r.append(b, place{h.salt, int64(len(b)), uint32(i)})
		end.messages += int64(r.Messages)
	}
	return end.append(b, h.salt, int64(len(b)))
}

// slotWith returns a slot with a segment and its acks.
func slotWith(segment, acks []byte) *memFS {
	disk := newMemFS(testDir)
	disk.dirs[testDir].now[fileName(5, segmentSuffix)] = &memNode{now: segment}
	if acks != nil {
		disk.dirs[testDir].now[fileName(5, ackSuffix)] = &memNode{now: acks}
	}
	return disk
}

// drain reads all that a slot has, acks it and closes, and returns what it read.
func drain(t *testing.T, disk *memFS) (found []Record) {
	began := time.Now()
	s, err := openSlot(testDir, Options{FS: disk}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for {
		ref, r, ok := s.Next()
		if !ok {
			break
		}
		r.Body = bytes.Clone(r.Body)
		found = append(found, r)
		if len(found)%2 == 0 {
			s.Ack(ref)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Fatalf("it took %v", took)
	}
	return found
}

// A segment may hold anything: a record that is not there in all its bytes is read from it, or the client hangs, dies or asks for
// memory as its lengths say.
func FuzzSegment(f *testing.F) {
	f.Add(fileOf(1, 2, 3))
	f.Add(fileOf())
	f.Add(fileOf(1, 2, 3)[:300])
	f.Add([]byte{})
	f.Add(bytes.Repeat(recordMagic, 200))
	newer := fileOf(1)
	binary.BigEndian.PutUint32(newer[8:], 7)
	binary.BigEndian.PutUint32(newer[headerSize-4:], checksum(newer[:headerSize-4]))
	f.Add(newer)
	f.Fuzz(func(t *testing.T, file []byte) {
		disk := slotWith(bytes.Clone(file), nil)
		total := 0
		for _, r := range drain(t, disk) {
			// The record's own bytes, from its texts to its end, are in the file, with the checksum that a writer gives it.
			text := slices.Concat([]byte(r.Group), []byte(r.Stream), []byte(r.Attributes), r.Body)
			if !bytes.Contains(file, text) {
				t.Fatalf("an invented batch: %+v", r)
			}
			total += r.size()
		}
		if total > len(file) {
			t.Fatalf("%d bytes of batches from a file of %d", total, len(file))
		}
		for name, n := range disk.dirs[testDir].now {
			if filepath.Ext(name) == segmentSuffix && !bytes.Equal(n.now, file) {
				t.Fatal("the file was changed")
			}
		}
	})
}

// Damage of any kind to a file that was right: a batch comes out of it that was not put in, or in another order, or twice.
func FuzzDamagedSegment(f *testing.F) {
	f.Add(uint16(70), uint16(1), []byte{1}, uint16(0))
	f.Add(uint16(0), uint16(4096), []byte{}, uint16(100))
	f.Add(uint16(464), uint16(64), []byte("xyz"), uint16(1))
	f.Add(uint16(200), uint16(0), fileOf(3), uint16(0))
	f.Fuzz(func(t *testing.T, at, gone uint16, put []byte, tail uint16) {
		file := fileOf(1, 2, 3, 4)
		start := min(int(at), len(file))
		file = slices.Concat(file[:start], put, file[min(start+int(gone), len(file)):])
		file = file[:len(file)-min(len(file), int(tail))]
		last := uint64(0)
		for _, r := range drain(t, slotWith(file, nil)) {
			if r.ID.Seq <= last || r.ID.Seq > 4 || !sameRecord(batchOf(int(r.ID.Seq)), r) {
				t.Fatalf("after batch %d: %+v", last, r)
			}
			last = r.ID.Seq
		}
	})
}

// Acks may be anything: a batch is taken for acked that no entry names.
func FuzzAcks(f *testing.F) {
	h := segmentHeader{number: 5, salt: 0x1234567890abcdef}
	entry := ackRange{1, 2}.append(nil, h)
	f.Add(entry)
	f.Add(entry[:7])
	f.Add(slices.Concat(entry[:3], make([]byte, 13), ackRange{0, 1}.append(nil, h)))
	f.Add(ackRange{0, 1 << 31}.append(nil, h))
	f.Add(ackRange{1, 1}.append(nil, segmentHeader{number: 6, salt: h.salt}))
	f.Fuzz(func(t *testing.T, acks []byte) {
		left := map[uint64]bool{}
		for _, r := range drain(t, slotWith(fileOf(1, 2, 3, 4), acks)) {
			left[r.ID.Seq] = true
		}
		for i := range uint32(4) {
			named := false
			for at := 0; at+ackSize <= len(acks); at += ackSize {
				first, n := binary.BigEndian.Uint32(acks[at:]), binary.BigEndian.Uint32(acks[at+4:])
				named = named || bytes.Equal(acks[at:at+ackSize], ackRange{first, n}.append(nil, h)) && first <= i && i-first < n && n <= mostRecords-first
			}
			if left[uint64(i+1)] == named {
				t.Fatalf("batch %d: acked %v, read %v", i+1, named, left[uint64(i+1)])
			}
		}
	})
}

// The line of /proc that names a process has a name in it which its user chose.
func FuzzStartOfAProcess(f *testing.F) {
	f.Add([]byte("12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21"))
	f.Add([]byte("12 (x"))
	f.Fuzz(func(t *testing.T, stat []byte) {
		for _, n := range []int{22, 28} {
			if field := statField(stat, n); field != "" && !bytes.Contains(stat, []byte(field)) {
				t.Fatal(field)
			}
		}
	})
}
