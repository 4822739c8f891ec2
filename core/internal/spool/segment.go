package spool

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	segmentSuffix = ".seg"
	ackSuffix     = ".ack"
	newSuffix     = ".new" // a segment that is being written anew
	quarantine    = "quarantine"
)

// segment is what is known of one file of records, and of the file with their acks.
type segment struct {
	segmentHeader
	size, ackSize int64

	records  uint32 // all indexes are below it
	acked    bitmap // also what is not in the file, if that is known
	recorded bitmap // the part of acked that is in the file of acks
	held     bitmap // the part of what is not acked that is in memory
	inMemory int    // how many are in memory
	ackCount int    // of acked
	recCount int    // of recorded
	batches  int    // not acked, as far as is known
	messages int64
	total    int64 // messages, acked or not
	ages     ages

	own         bool  // this spool made it
	surveyed    bool  // its header and its acks were read, or it is own
	known       bool  // no index below records is unknown: a missing one is in acked
	ended       bool  // nothing more is written to it
	damaged     bool  // it is moved to the quarantine, not removed
	damage      int64 // bytes of it that are no record, as far as it was read
	lacks       bool  // it is being written, and some of it was not found
	acksDamaged bool  // the same for the file of its acks
	trouble     error // it could not be read to its end; it stays, and is tried again later
	anew        int   // how often it was written anew, which moves its records

	// Guarded by writing.
	file       File // while it is written
	unsure     bool // has bytes that no fsync has made durable
	entries    bool // its name in the folder is not durable
	distrusted bool // an fsync of it has failed

	// Guarded by acking.
	acksUnsure bool // has acks that no fsync has made durable
}

// oldest returns when the first record that is not acked was stored.
func (g *segment) oldest() int64 { return g.ages.of(g.acked.least()) }

// done reports whether nothing of it is left to deliver, and nothing will be added.
func (g *segment) done() bool {
	return g.ended && g.known && g.trouble == nil && g.ackCount >= int(g.records)
}

// ack takes record i out. It returns false if it was out already.
func (g *segment) ack(i uint32, messages int) bool {
	if i >= g.records || !g.acked.set(i) {
		return false
	}
	g.ackCount++
	g.release(i)
	g.batches = max(0, g.batches-1)
	g.messages = max(0, g.messages-int64(messages))
	return true
}

// record notes that the file of acks has i.
func (g *segment) record(i uint32) {
	if g.recorded.set(i) {
		g.recCount++
	}
}

// wasAcked notes what an earlier owner has recorded, also about records that no longer exist.
func (g *segment) wasAcked(i uint32) {
	g.records = max(g.records, i+1)
	if g.acked.set(i) {
		g.ackCount++
	}
	g.record(i)
}

// misses takes out what was not found in the file, and returns how many records those are.
func (g *segment) misses(seen bitmap) (missing int) {
	for i := range g.records {
		if !seen.has(i) && !g.acked.has(i) {
			g.wasAcked(i)
			g.release(i)
			missing++
		}
	}
	if g.batches = int(g.records) - g.ackCount; g.batches == 0 {
		g.messages = 0
	}
	return missing
}

func (g *segment) hold(i uint32) {
	if g.held.set(i) {
		g.inMemory++
	}
}

func (g *segment) release(i uint32) {
	if g.held.has(i) {
		g.held.clear(i)
		g.inMemory--
	}
}

func (s *Spool) path(number uint64, suffix string) string {
	return filepath.Join(s.dir, fileName(number, suffix))
}

func fileName(number uint64, suffix string) string { return fmt.Sprintf("%016x%s", number, suffix) }

// parseName returns the number of a file with a name as from fileName.
func parseName(name, suffix string) (number uint64, ok bool) {
	text, ok := strings.CutSuffix(name, suffix)
	if !ok || len(text) != 16 || strings.ToLower(text) != text {
		return 0, false
	}
	number, err := strconv.ParseUint(text, 16, 64)
	return number, err == nil
}
