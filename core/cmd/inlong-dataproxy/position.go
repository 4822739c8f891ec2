package main

import (
	"io"
	"os"

	"github.com/cespare/xxhash/v2"
)

// position is a place between two records of a file, and the record before it, by which the file is known again: after a
// rotation its name belongs to another one.
type position struct {
	Offset int64 `json:"offset"`
	Line   int64 `json:"line"`

	LastStart  int64  `json:"last_start"`
	LastLength int64  `json:"last_length"`
	LastSum    uint64 `json:"last_sum,string"`

	// Modified is when the file had been written to last as its reading began, in ns since 1970, 0 if that is not known. When
	// the file is gone, those written to later are the ones behind it.
	Modified int64 `json:"modified,omitempty"`

	// Inode is the file's, 0 if that is not known. It decides where the record before the place is in several files, as
	// where lines repeat; it does not where only one has that record, for a copy of the file has another inode.
	Inode uint64 `json:"inode,omitempty"`
}

func behind(r *record) position {
	return position{Offset: r.end, Line: r.number,
		LastStart: r.start, LastLength: int64(len(r.payload)), LastSum: xxhash.Sum64(r.payload)}
}

// fits reports whether the file is the one that the position was taken in.
func (p position) fits(file *os.File) bool {
	if p.Offset == 0 {
		return true
	}
	if info, err := file.Stat(); err != nil || info.Size() < p.Offset {
		return false
	}
	hash := xxhash.New()
	n, err := io.Copy(hash, io.NewSectionReader(file, p.LastStart, p.LastLength))
	return err == nil && n == p.LastLength && hash.Sum64() == p.LastSum
}
