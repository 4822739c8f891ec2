package spool

import "sort"

const (
	markEvery = 1000 // ms
	mostMarks = 1024
)

// ages holds when the records of a segment were stored: to the second, or less exactly if that would take too many marks.
type ages struct {
	marks []mark
	every int64 // ms between two of them, approximately
}

// mark is when a record was stored. Those after it were stored soon after it.
type mark struct {
	index  uint32
	stored int64
}

// note adds records, in their order. A record that it gets again changes nothing.
func (a *ages) note(index uint32, stored int64) {
	a.every = max(a.every, markEvery)
	if n := len(a.marks); n > 0 {
		last := a.marks[n-1]
		if index <= last.index || max(stored-last.stored, last.stored-stored) < a.every {
			return
		}
		if n == mostMarks {
			for i := range n / 2 {
				a.marks[i] = a.marks[2*i]
			}
			a.marks = a.marks[:n/2]
			a.every *= 2
		}
	}
	a.marks = append(a.marks, mark{index, stored})
}

// of returns when a record was stored; 0 if that is not known.
func (a *ages) of(index uint32) int64 {
	if len(a.marks) == 0 {
		return 0
	}
	behind := sort.Search(len(a.marks), func(i int) bool { return a.marks[i].index > index })
	return a.marks[max(behind-1, 0)].stored
}
