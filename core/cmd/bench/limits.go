package main

import "fmt"

const limitSize = 100 // the size of message that the limits are for

// limit is the most that a figure may be.
type limit struct {
	What     string  `json:"what"`
	Most     float64 `json:"most"`
	Unit     string  `json:"unit"`
	key      string
	against  string // another program that must have run
	figureOf func(row) float64
}

var limits = []limit{
	{"Go async: CPU to the bare loop's", 1.6, "x", keyGo, keyBare, func(r row) float64 { return r.ToBare }},
	{"Go async: allocations a message", 0.01, "", keyGo, "", func(r row) float64 { return *r.Allocs }},
	{"C async: CPU to Go's", 1.6, "x", keyC, keyGo, func(r row) float64 { return r.ToGo }},
	{"Python send_many: CPU over Go's", 300, "ns", keyMany, keyGo, func(r row) float64 { return r.OverGo }},
	{"idle client: heap", 8, "MiB", keyIdle, "", func(r row) float64 { return mebibytes(max(r.Idle.Heap, r.Idle.HeapUsed)) }},
}

// verdict is a limit with what was measured.
type verdict struct {
	limit
	Figure float64 `json:"figure"`
	Ok     bool    `json:"ok"`
	Fault  string  `json:"fault,omitempty"` // why there is no figure
}

// judge holds the limits against the rows. A limit of a program that was not asked for is left out; one whose program did
// not work is missed.
func judge(rows []row) (verdicts []verdict) {
	find := func(key string) *row {
		for i := range rows {
			if rows[i].Key == key && (rows[i].Size == limitSize || rows[i].Idle != nil) {
				return &rows[i]
			}
		}
		return nil
	}
	for _, l := range limits {
		r := find(l.key)
		if r == nil {
			continue
		}
		v := verdict{limit: l, Fault: r.Fault}
		if l.against != "" && v.Fault == "" {
			switch other := find(l.against); {
			case other == nil:
				continue
			case other.Fault != "":
				v.Fault = other.Label + ": " + other.Fault
			}
		}
		if v.Fault == "" {
			v.Figure = l.figureOf(*r)
			v.Ok = v.Figure <= l.Most
		}
		verdicts = append(verdicts, v)
	}
	return verdicts
}

func (v verdict) String() string {
	figure, word := v.text(v.Figure), "ok"
	if !v.Ok {
		word = "MISSED"
	}
	if v.Fault != "" {
		figure, word = "-", word+": "+firstLine(v.Fault)
	}
	return fmt.Sprintf("%-34s %9s, at most %-8s %s", v.What, figure, v.text(v.Most), word)
}

func (v verdict) text(figure float64) string {
	digits := map[string]int{"x": 2, "": 4, "ns": 0, "MiB": 1}[v.Unit]
	if v.Unit == "x" || v.Unit == "" {
		return fmt.Sprintf("%.*f%s", digits, figure, v.Unit)
	}
	return fmt.Sprintf("%.*f %s", digits, figure, v.Unit)
}

func mebibytes(bytes uint64) float64 { return float64(bytes) / (1 << 20) }
