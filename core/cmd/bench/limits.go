package main

import (
	"fmt"
	"slices"
)

const limitSize = 100 // the size of message that most limits are for

// limit is the most that a figure may be.
type limit struct {
	What     string  `json:"what"`
	Most     float64 `json:"most"`
	Unit     string  `json:"unit"`
	key      string
	size     int
	against  string // another program that must have run
	figureOf func(r, against row) float64
}

var limits = []limit{
	{"Go async: CPU to the bare loop's", 1.25, "x", keyGo, limitSize, keyBare, toBare},
	{"Go async, 1 KiB: CPU to the bare loop's", 1.2, "x", keyGo, 1024, keyBare, toBare},
	{"Go async, 10 streams: CPU to the bare loop's", 1.5, "x", "go-10", limitSize, keyBare, toBare},
	{"Go async, 1,000 streams: CPU to the bare loop's", 1.9, "x", "go-1000", limitSize, keyBare, toBare},
	{"Go async, 8 senders: CPU to the bare loop's", 1.3, "x", "go-8", limitSize, keyBare, toBare},
	{"Go async, making rows of 10 fields: CPU over none", 100, "ns", keyRows, limitSize, keyGo, overGo}, // 1 GB of rows a second
	{"Go async, 20,000 attributes: CPU to none", 1.5, "x", keyItems, limitSize, keyBin, toGo},
	{"Go async: allocations a message", 0.01, "", keyGo, limitSize, "", func(r, _ row) float64 { return *r.Allocs }},
	{"Go sync, 1 caller: p50 over the bare round trip", 50, "us", "sync-1", limitSize, keyTrip, func(r, _ row) float64 { return r.OverTrip }},
	{"Go sync, 32 callers: CPU a message", 6, "us", "sync-32", limitSize, "", func(r, _ row) float64 { return r.CPU / 1000 }},
	{"Go sync, 32 callers: p99", 5000, "us", "sync-32", limitSize, "", func(r, _ row) float64 { return r.P99 }},
	{"C async, callback: CPU to Go's", 1.4, "x", keyC, limitSize, keyGo, toGo},
	{"C async, queue: CPU to Go's", 1.4, "x", "c-queue", limitSize, keyGo, toGo},
	{"C async, batch callback: CPU to Go's", 1.4, "x", "c-batch", limitSize, keyGo, toGo},
	{"C send_many: CPU to Go's", 1.1, "x", "c-many", limitSize, keyGo, toGo},
	{"C async, 8 threads: CPU to that of 8 Go senders", 1.4, "x", keyC8, limitSize, keyGo8, toGo},
	{"C async, 8 threads: Go's gain of rate to C's", 1.1, "x", keyC8, limitSize, keyGo8, func(r, goes row) float64 { return goes.Gain / r.Gain }},
	{"C call on a closed client: CPU over an empty call", 10, "ns", keyShut, limitSize, "", func(r, _ row) float64 { return r.CPU }},
	{"Python send_many: CPU over Go's", 100, "ns", keyMany, limitSize, keyGo, overGo},
	{"Python send_async: confluent-kafka's rate to its", 1, "x", keyPy, limitSize, keyRival, slower},
	{"Python AsyncClient: send_async's rate to its", 1.5, "x", keyLoop, limitSize, keyPy, slower},
	{"idle client: heap", 8, "MiB", keyIdle, limitSize, "", func(r, _ row) float64 { return mebibytes(max(r.Idle.Heap, r.Idle.HeapUsed)) }},
	{"idle client: CPU of a core", 0.1, "%", keyIdle, limitSize, "", func(r, _ row) float64 { return max(r.Idle.CorePercent, r.Idle.CorePercentUsed) }},
}

func toBare(r, _ row) float64 { return r.ToBare }
func toGo(r, _ row) float64   { return r.ToGo }
func overGo(r, _ row) float64 { return r.OverGo }

// slower is how much less its rate is than that of its yardstick.
func slower(r, _ row) float64 { return 1 / r.Gain }

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
	for _, l := range slices.Concat(limits, spoolLimits) {
		// Latency and idleness are measured at the first size only, whichever that is.
		find := func(key string) *row {
			for i := range rows {
				if r := &rows[i]; r.Key == key && (r.Size == l.size || r.latency || r.Idle != nil) {
					return r
				}
			}
			return nil
		}
		r := find(l.key)
		if r == nil {
			continue
		}
		v, against := verdict{limit: l, Fault: r.Fault}, new(row)
		if l.against != "" && v.Fault == "" {
			if against = find(l.against); against == nil {
				continue
			}
			if against.Fault != "" {
				v.Fault = against.Label + ": " + against.Fault
			}
		}
		if v.Fault == "" {
			v.Figure = l.figureOf(*r, *against)
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
	return fmt.Sprintf("%-47s %9s, at most %-8s %s", v.What, figure, v.text(v.Most), word)
}

func (v verdict) text(figure float64) string {
	digits := map[string]int{"x": 2, "": 4, "ns": 0, "us": 1, "MiB": 1, "%": 3}[v.Unit]
	if v.Unit == "x" || v.Unit == "%" || v.Unit == "" {
		return fmt.Sprintf("%.*f%s", digits, figure, v.Unit)
	}
	return fmt.Sprintf("%.*f %s", digits, figure, v.Unit)
}

func mebibytes(bytes uint64) float64 { return float64(bytes) / (1 << 20) }
