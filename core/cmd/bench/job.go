package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/cputime"
)

// The commands by which the program starts itself again.
const (
	serverCommand = "serve-cluster"
	clientCommand = "run-client"
)

const (
	benchGroup  = "bench_group"
	benchStream = "bench_stream"
)

// job is one measured run of one of this program's own clients, in a process of its own.
type job struct {
	Kind     string            `json:"kind"`
	Server   address           `json:"server"`
	Corpus   string            `json:"corpus"`
	Size     int               `json:"size"`
	Count    int64             `json:"count"`   // messages to send; 0: by time
	Seconds  float64           `json:"seconds"` // how long to send
	WarmUp   float64           `json:"warm_up"` // seconds before that, not measured
	Streams  int               `json:"streams"`
	Callers  int               `json:"callers"` // goroutines that send
	Row      bool              `json:"row"`     // a row of ten fields is made of each message
	Items    bool              `json:"items"`   // each message has attributes of its own
	Options  map[string]string `json:"options"`
	Spool    map[string]string `json:"spool"` // its client has a spool, with these options; nil: none
	Profiles profiles          `json:"profiles"`
}

// sample is what one run measured. A C or Python program prints the first five or six only.
type sample struct {
	Messages   int64   `json:"messages"`
	Acked      int64   `json:"acked"`
	Failed     int64   `json:"failed"`
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
	Broker     float64 `json:"broker_cpu_seconds,omitempty"` // of a server inside the process, which CPUSeconds leaves out

	Allocs     float64 `json:"allocs_per_message"`
	P50        float64 `json:"p50_us,omitempty"`
	P99        float64 `json:"p99_us,omitempty"`
	First      float64 `json:"first_ack_seconds,omitempty"` // of a replay, since the client's start
	Heap       uint64  `json:"heap,omitempty"`              // of a replay, at most
	Idle       *idle   `json:"idle,omitempty"`
	Collected  uint32  `json:"gc_cycles"`
	SystemTime float64 `json:"system_seconds"` // of CPUSeconds
}

func (s sample) nsPerMessage() float64 { return s.CPUSeconds * 1e9 / float64(s.Messages) }

func (s sample) perSecond() float64 { return float64(s.Messages) / s.Seconds }

// runJob is the client's process: it does the job given as JSON and prints the sample.
func runJob(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	does, known := map[string]func(job) (sample, error){
		kindBare: runBare, kindTrip: runTrip, kindAsync: runAsync, kindSteady: runSteady, kindSync: runSync, kindIdle: runIdle,
		kindReplay: runReplay, kindDisk: runDisk,
	}[j.Kind]
	if !known {
		return fmt.Errorf("job of unknown kind %q", j.Kind)
	}
	s, err := does(j)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

// meter measures from its start to its stop.
type meter struct {
	wall         time.Time
	user, system time.Duration
	memory       runtime.MemStats
}

func startMeter() *meter {
	m := new(meter)
	runtime.ReadMemStats(&m.memory)
	m.user, m.system = cputime.Used()
	m.wall = time.Now()
	return m
}

func (m *meter) stop(messages int64) sample {
	took := time.Since(m.wall)
	user, system := cputime.Used()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return sample{
		Messages: messages, Acked: messages, Seconds: took.Seconds(), SystemTime: (system - m.system).Seconds(),
		CPUSeconds: (user + system - m.user - m.system).Seconds(),
		Allocs:     float64(memory.Mallocs-m.memory.Mallocs) / float64(max(messages, 1)), Collected: memory.NumGC - m.memory.NumGC,
	}
}

// pace says how long a sender continues: a number of messages, or until a time that is looked up once a step.
type pace struct {
	count, step int64
	end         time.Time
}

// next returns how many messages to send before asking again; 0 is the end.
func (p pace) next(sent int64) int64 {
	switch {
	case p.count > 0:
		return min(p.step, p.count-sent)
	case time.Now().Before(p.end):
		return p.step
	}
	return 0
}

func (j job) warmUp(step int64) pace {
	return pace{step: step, end: time.Now().Add(seconds(j.WarmUp))}
}

// measured is the pace of one of several senders.
func (j job) measured(step int64, senders int) pace {
	p := pace{step: step, end: time.Now().Add(seconds(j.Seconds))}
	if j.Count > 0 {
		p.count = max(1, j.Count/int64(senders))
	}
	return p
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
