package main

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// costs is a run of a thousand messages that cost so many nanoseconds each.
func costs(ns float64) sample { return sample{Messages: 1000, Seconds: 1, CPUSeconds: ns * 1000 / 1e9} }

func programOf(key string) *program {
	for i := range programs {
		if programs[i].key == key {
			return &programs[i]
		}
	}
	return nil
}

// A ratio of medians says something else than the median of ratios when the machine slows down in one round: the pairs must
// be compared, each with its own neighbour.
func TestRunsAreComparedInPairs(t *testing.T) {
	bare, goes := &figures{program: programOf(keyBare), size: 100}, &figures{program: programOf(keyGo), size: 100}
	c, c8, go8 := &figures{program: programOf(keyC), size: 100}, &figures{program: programOf(keyC8), size: 100}, &figures{program: programOf(keyGo8)}
	for _, round := range [][3]float64{{200, 300, 330}, {1000, 1500, 1500}, {300, 330, 660}} {
		before := last{}
		bare.add(costs(900), before) // one that a later run replaces
		bare.add(costs(round[0]), before)
		goes.add(costs(round[1]), before)
		c.add(costs(round[2]), before)
		go8.add(costs(round[1]/4), before)
		c8.add(costs(round[1]/2), before)
	}
	for _, want := range []struct {
		what        string
		got, figure float64
	}{
		{"Go to bare", goes.row().ToBare, 1.5}, {"Go's cost", goes.row().CPU, 330}, {"C to Go", c.row().ToGo, 1.1},
		{"C over Go", c.row().OverGo, 30}, {"C to bare", c.row().ToBare, 1.65}, {"bare to itself", bare.row().ToBare, 1},
		{"bare to Go", bare.row().ToGo, 0}, {"messages/s", c.row().PerSecond, 1000}, {"8 threads to 8 senders", c8.row().ToGo, 2},
		{"8 threads' gain", c8.row().Gain, 1}, {"one thread's gain", c.row().Gain, 0},
	} {
		if math.Abs(want.got-want.figure) > 1e-9 {
			t.Errorf("%s: %g, want %g", want.what, want.got, want.figure)
		}
	}
}

// An even number of rounds, or none, must not shift or crash the median.
func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{0: nil, 2: {3, 1, 2}, 2.5: {4, 1, 3, 2}, 7: {7}} {
		if got := median(values); got != want {
			t.Errorf("median of %v is %g, want %g", values, got, want)
		}
	}
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i)
	}
	if p50, p99 := percentile(hundred, 0.5), percentile(hundred, 0.99); p50 != 50 || p99 != 99 {
		t.Errorf("percentiles of 0..99: %g and %g", p50, p99)
	}
}

// --check is worth something only if it fails for a figure above its limit, and for a program that could not be measured.
func TestLimitsBite(t *testing.T) {
	// atLimit is what each program may just measure; over lets one limit be missed by a little.
	atLimit := func(over string) (rows []row) {
		for _, p := range programs {
			for _, size := range []int{1024, limitSize} { // a figure of the other size must not be taken for it
				r := row{Key: p.key, Label: p.label, Size: size, latency: p.latency, Allocs: new(float64)}
				for _, l := range limits {
					if l.key != p.key || l.size != size {
						continue
					}
					most := l.Most
					if l.What == over {
						most *= 1.001
					}
					switch l.Unit {
					case "x":
						if strings.Contains(l.What, "gain") || strings.Contains(l.What, "rate to its") {
							r.Gain = 1 / most
						} else {
							r.ToBare, r.ToGo = most, most
						}
					case "":
						*r.Allocs = most
					case "ns":
						if p.key == keyShut {
							r.CPU = most
						} else {
							r.OverGo = most
						}
					case "us":
						switch {
						case l.against == keyTrip:
							r.OverTrip = most
						case strings.Contains(l.What, "p99"):
							r.P99 = most
						default:
							r.CPU = 1000 * most
						}
					case "MiB", "%":
						if r.Idle == nil {
							r.Idle = new(idle)
						}
						if l.Unit == "%" {
							r.Idle.CorePercentUsed = most
						} else {
							r.Idle.HeapUsed = uint64(most * (1 << 20))
						}
					default:
						t.Fatalf("%s: unit %q", l.What, l.Unit)
					}
				}
				if p.key == keyGo8 {
					r.Gain = 1
				}
				if size == limitSize || !p.latency && p.key != keyIdle {
					rows = append(rows, r)
				}
			}
		}
		return rows
	}
	if err := (report{Limits: judge(atLimit(""))}).fault(true); err != nil {
		t.Errorf("figures at their limits: %v", err)
	}
	for _, l := range limits {
		verdicts := judge(atLimit(l.What))
		err := report{Limits: verdicts}.fault(true)
		if err == nil || strings.TrimSpace(err.Error()) != "limit missed: "+l.What {
			t.Errorf("%s: fault %v", l.What, err)
		}
		if err := (report{Limits: verdicts}).fault(false); err != nil {
			t.Errorf("%s: without --check: %v", l.What, err)
		}
		rows := atLimit("")
		for i := range rows {
			if rows[i].Key == l.key {
				rows[i].Fault = errNotBuilt.Error()
			}
		}
		if err := (report{Limits: judge(rows)}).fault(true); err == nil || !strings.Contains(err.Error(), "limit missed: "+l.What) {
			t.Errorf("%s: not built: fault %v", l.What, err)
		}
	}
	failed := report{Rows: []row{{Label: "C async", Fault: errors.New("exit status 1\nsegmentation fault").Error()}}}
	if failed.fault(false) == nil {
		t.Error("a program that failed is no fault")
	}
	if got := judge([]row{{Key: keyC, Size: 100, ToGo: 9}, {Key: keyC8, Size: 100, ToGo: 9}}); len(got) != 0 {
		t.Errorf("a limit against a program that did not run: %v", got)
	}
}

// Every figure against the bare loop needs a run of it right before, whatever was asked for.
func TestScheduleMakesPairs(t *testing.T) {
	for only, want := range map[string]string{
		"bare":               "bare bare",
		"go,bare":            "bare go bare go",
		"go,c":               "go c go c",
		"bare,go,c,go-10":    "bare go c bare go-10 bare go c bare go-10",
		"trip,sync-1,idle":   "trip sync-1",
		"bare,python-many,c": "bare c bare python-many bare c bare python-many",
		"go,c,c-many":        "go c go c-many go c go c-many",
		"bare,go-8,c-8":      "bare go-8 c-8 bare go-8 c-8",
		"go-8,c-8,c-closed":  "go-8 c-8 c-closed go-8 c-8",
	} {
		s, err := parse([]string{"--only", only})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, st := range s.schedule() {
			got = append(got, st.program.key)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("--only %s: %v, want %s", only, got, want)
		}
	}
}

// A mistyped flag must not end in a long run of something else.
func TestParseRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--only", "go,rust"}, {"--sizes", "100,abc"}, {"--sizes", "10"}, {"--rounds", "0"}, {"--seconds", "0"}, {"--count", "-1"},
		{"--option", "worker_num=x"}, {"--option", "no_such_option=1"}, {"extra"},
	} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v: not refused", args)
		}
	}
}
