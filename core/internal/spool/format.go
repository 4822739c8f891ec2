package spool

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// Version is the version of the files which this package writes, and the newest that it reads.
const Version = 1

// All numbers are big endian; core/SPOOL.md has the tables.
const (
	headerSize    = 64 // of a segment, in every version
	recordHeader  = 80
	recordTrailer = 4
	footerSize    = 64
	ackSize       = 16

	// MaxRecord is the size of the longest record, with its header.
	MaxRecord = 64 << 20
	// mostRecords bounds the index of a record in its segment, and with it the memory that a damaged one can ask for.
	mostRecords = 1 << 20
	mostText    = 1<<16 - 1 // of a group, a stream and attributes
)

var (
	segmentMagic = []byte("INLSPOOL")
	recordMagic  = []byte{0xd1, 'R', 'E', 'C'}
	footerMagic  = []byte{0xd1, 'E', 'N', 'D'}

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// checksum is a variable for one test: it must find out a store that does not check sums.
var checksum = func(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Record is a sealed batch as it is stored.
type Record struct {
	ID                        wire.BatchID
	Group, Stream, Attributes string
	EventTime                 int64 // ms since 1970
	Stored                    int64 // ms since 1970, of the wall clock when it was stored
	Messages                  int
	Flags                     uint32 // how Body is made; the store does not read it
	Body                      []byte
}

// size is the number of bytes that r takes in a file.
func (r *Record) size() int {
	return recordHeader + len(r.Group) + len(r.Stream) + len(r.Attributes) + len(r.Body) + recordTrailer
}

// fits reports whether r can be written.
func (r *Record) fits() bool {
	return max(len(r.Group), len(r.Stream), len(r.Attributes)) <= mostText && r.Messages >= 0 && r.Messages <= 1<<31-1 && r.size() <= MaxRecord
}

// segmentHeader starts a segment. Each record has the salt, too, so that a payload which contains another spool's file is not read
// as records.
type segmentHeader struct {
	number, salt uint64
	created      int64 // ms since 1970
}

func (h segmentHeader) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, segmentMagic...)
	dst = binary.BigEndian.AppendUint32(dst, Version)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint64(dst, h.number)
	dst = binary.BigEndian.AppendUint64(dst, h.salt)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.created))
	dst = append(dst, make([]byte, headerSize-4-(len(dst)-start))...)
	return binary.BigEndian.AppendUint32(dst, checksum(dst[start:]))
}

// parseSegmentHeader reports ok for a header of any version, which tells no more of a newer one.
func parseSegmentHeader(b []byte) (h segmentHeader, version uint32, ok bool) {
	if len(b) < headerSize || !bytes.HasPrefix(b, segmentMagic) || checksum(b[:headerSize-4]) != binary.BigEndian.Uint32(b[headerSize-4:]) {
		return h, 0, false
	}
	version = binary.BigEndian.Uint32(b[8:])
	if version == Version {
		h = segmentHeader{binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:]), int64(binary.BigEndian.Uint64(b[32:]))}
	}
	return h, version, version > 0
}

// place is a record's position, which its head states. A copy of the record elsewhere does not count.
type place struct {
	salt   uint64
	offset int64
	index  uint32
}

func (r *Record) append(dst []byte, at place) []byte {
	start := len(dst)
	dst = append(dst, recordMagic...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.size()-recordHeader-recordTrailer))
	dst = binary.BigEndian.AppendUint64(dst, at.salt)
	dst = binary.BigEndian.AppendUint64(dst, uint64(at.offset))
	dst = binary.BigEndian.AppendUint32(dst, at.index)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.Messages))
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.EventTime))
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Stored))
	dst = binary.BigEndian.AppendUint64(dst, r.ID.Client)
	dst = binary.BigEndian.AppendUint64(dst, r.ID.Seq)
	dst = binary.BigEndian.AppendUint32(dst, r.Flags)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.Group)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.Stream)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.Attributes)))
	dst = binary.BigEndian.AppendUint16(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, checksum(dst[start:]))
	dst = append(dst, r.Group...)
	dst = append(dst, r.Stream...)
	dst = append(dst, r.Attributes...)
	dst = append(dst, r.Body...)
	return binary.BigEndian.AppendUint32(dst, checksum(dst[start:]))
}

// recordHead is a record without what follows its header.
type recordHead struct {
	at                        place
	size                      int64 // of all of it
	messages                  int
	stored                    int64
	group, stream, attributes int // lengths
}

// parseRecordHead reads the header of a record at offset. If salt is 0 any salt is accepted.
func parseRecordHead(b []byte, salt uint64, offset int64) (h recordHead, ok bool) {
	if len(b) < recordHeader || !bytes.HasPrefix(b, recordMagic) {
		return h, false
	}
	h.at = place{binary.BigEndian.Uint64(b[8:]), int64(binary.BigEndian.Uint64(b[16:])), binary.BigEndian.Uint32(b[24:])}
	if h.at.offset != offset || salt != 0 && h.at.salt != salt || h.at.index >= mostRecords {
		return h, false
	}
	if checksum(b[:recordHeader-4]) != binary.BigEndian.Uint32(b[recordHeader-4:]) {
		return h, false
	}
	h.size = recordHeader + int64(binary.BigEndian.Uint32(b[4:])) + recordTrailer
	h.messages = int(binary.BigEndian.Uint32(b[28:]))
	h.stored = int64(binary.BigEndian.Uint64(b[40:]))
	h.group, h.stream, h.attributes = int(binary.BigEndian.Uint16(b[68:])), int(binary.BigEndian.Uint16(b[70:])), int(binary.BigEndian.Uint16(b[72:]))
	return h, h.size <= MaxRecord && h.size >= int64(recordHeader+h.group+h.stream+h.attributes+recordTrailer)
}

// record reads the rest of h from all of its bytes, and returns false if they are damaged. Body points into b.
func (h recordHead) record(b []byte) (r Record, ok bool) {
	end := len(b) - recordTrailer
	if int64(len(b)) != h.size || checksum(b[:end]) != binary.BigEndian.Uint32(b[end:]) {
		return r, false
	}
	texts := b[recordHeader:end]
	stream := texts[h.group:]
	attributes := stream[h.stream:]
	return Record{
		ID:    wire.BatchID{Client: binary.BigEndian.Uint64(b[48:]), Seq: binary.BigEndian.Uint64(b[56:])},
		Group: string(texts[:h.group]), Stream: string(stream[:h.stream]), Attributes: string(attributes[:h.attributes]),
		EventTime: int64(binary.BigEndian.Uint64(b[32:])), Stored: h.stored, Messages: h.messages,
		Flags: binary.BigEndian.Uint32(b[64:]), Body: attributes[h.attributes:],
	}, true
}

// footer ends a segment that was closed in order. With it the records need not be counted, and an end that was cut off is noticed.
type footer struct {
	records  uint32 // one more than the highest index
	batches  uint32 // that are in it; a segment that was written anew does not have what was acked
	messages int64
	oldest   int64 // Stored of the first record
}

func (f footer) append(dst []byte, salt uint64, offset int64) []byte {
	start := len(dst)
	dst = append(dst, footerMagic...)
	dst = binary.BigEndian.AppendUint32(dst, f.records)
	dst = binary.BigEndian.AppendUint64(dst, salt)
	dst = binary.BigEndian.AppendUint64(dst, uint64(offset))
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.messages))
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.oldest))
	dst = binary.BigEndian.AppendUint32(dst, f.batches)
	dst = append(dst, make([]byte, footerSize-4-(len(dst)-start))...)
	return binary.BigEndian.AppendUint32(dst, checksum(dst[start:]))
}

func parseFooter(b []byte, salt uint64, offset int64) (f footer, ok bool) {
	if len(b) < footerSize || !bytes.HasPrefix(b, footerMagic) || salt != 0 && binary.BigEndian.Uint64(b[8:]) != salt ||
		int64(binary.BigEndian.Uint64(b[16:])) != offset || checksum(b[:footerSize-4]) != binary.BigEndian.Uint32(b[footerSize-4:]) {
		return f, false
	}
	f = footer{records: binary.BigEndian.Uint32(b[4:]), messages: int64(binary.BigEndian.Uint64(b[24:])),
		oldest: int64(binary.BigEndian.Uint64(b[32:])), batches: binary.BigEndian.Uint32(b[40:])}
	return f, f.records <= mostRecords && f.batches <= f.records && f.messages >= 0
}

// ackRange says that the records from first on are acked. Each range stands alone: a damaged one costs no more than its own
// records, which are sent again.
type ackRange struct{ first, count uint32 }

func (a ackRange) append(dst []byte, h segmentHeader) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, a.first)
	dst = binary.BigEndian.AppendUint32(dst, a.count)
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.salt))
	return binary.BigEndian.AppendUint32(dst, a.sum(dst[start:], h))
}

// sum covers the segment, too, so that its acks are not taken for those of another segment that gets its name later.
func (a ackRange) sum(b []byte, h segmentHeader) uint32 {
	all := append(make([]byte, 0, 32), b[:12]...)
	all = binary.BigEndian.AppendUint64(all, h.salt)
	all = binary.BigEndian.AppendUint64(all, h.number)
	return checksum(all)
}

// parseAcks calls ack for each valid entry, and returns the number of invalid ones. Not counted are an entry at the end that a
// crash has cut off, and the zeros that fill it up to the next one.
func parseAcks(b []byte, h segmentHeader, ack func(ackRange)) (damaged int) {
	for ; len(b) >= ackSize; b = b[ackSize:] {
		a := ackRange{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
		valid := binary.BigEndian.Uint32(b[8:]) == uint32(h.salt) && a.sum(b, h) == binary.BigEndian.Uint32(b[12:]) &&
			a.first < mostRecords && a.count <= mostRecords-a.first
		switch {
		case valid:
			ack(a)
		case b[ackSize-1] != 0: // not filled up
			damaged++
		}
	}
	return damaged
}
