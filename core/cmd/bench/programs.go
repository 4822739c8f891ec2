package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The programs that figures are compared with.
const (
	keyBare  = "bare"
	keyTrip  = "trip"
	keyGo    = "go"
	keyGo8   = "go-8"
	keyC     = "c"
	keyC8    = "c-8"
	keyShut  = "c-closed"
	keyMany  = "python-many"
	keyPy    = "python-async"
	keyLoop  = "python-asyncio"
	keyRival = "confluent-kafka"
	keyIdle  = "idle"
	keyRows  = "go-rows"
	keyBin   = "go-binary"
	keyItems = "go-items"
)

// program is one thing that is measured.
type program struct {
	key, label string
	job        job // its kind, streams and callers, for one of our own clients
	// command makes the program's command line for another language; needs are the files without which it is not built.
	command   func(root string, j job) (args, env []string)
	needs     []string
	guess     float64 // messages a second, for a program that takes only a number of messages, until it was measured
	latency   bool    // its calls are timed; at the first size only
	first     bool    // at the first size only
	alone     bool    // no run of the bare loop before it
	yardstick string  // the program whose rate its own is compared with, which runs before it in every round
	orSlower  string  // where that one is slower, its rate is the yardstick
	pair      string  // the Go client that it is compared with, which runs right before it in place of the bare loop
}

var programs = []program{
	{key: keyBare, label: "bare loop", job: job{Kind: kindBare}, alone: true},
	{key: keyGo, label: "Go async, 1 stream", job: job{Kind: kindAsync, Streams: 1}},
	{key: keyC, label: "C async, callback", command: cProgram("callback", 1), needs: cNeeds, pair: keyGo},
	{key: "c-queue", label: "C async, queue", command: cProgram("queue", 1), needs: cNeeds, pair: keyGo},
	{key: "c-batch", label: "C async, batch callback", command: cProgram("batch", 1), needs: cNeeds, pair: keyGo},
	{key: "c-many", label: "C send_many", command: cProgram("many", 1), needs: cNeeds, pair: keyGo},
	{key: keyGo8, label: "Go async, 8 senders", job: job{Kind: kindAsync, Streams: 1, Callers: 8}, yardstick: keyGo},
	{key: keyC8, label: "C async, 8 threads", command: cProgram("callback", 8), needs: cNeeds, pair: keyGo8, yardstick: keyC},
	{key: keyShut, label: "C call on a closed client", command: cProgram("closed", 1), needs: cNeeds, alone: true, first: true},
	{key: keyMany, label: "Python send_many", command: pythonProgram("send_many"), needs: pythonNeeds, guess: 800_000},
	{key: keyRival, label: "confluent-kafka produce()", command: kafkaProgram, needs: kafkaNeeds, guess: 300_000, alone: true},
	{key: keyPy, label: "Python send_async, futures", command: pythonProgram("send_async"), needs: pythonNeeds, guess: 300_000,
		yardstick: keyRival},
	{key: "python-callback", label: "Python send_async, callback", command: pythonProgram("send_async_callback"), needs: pythonNeeds,
		guess: 300_000},
	{key: keyLoop, label: "Python AsyncClient", command: pythonProgram("asyncio"), needs: pythonNeeds, guess: 300_000, yardstick: keyPy},
	{key: "go-10", label: "Go async, 10 streams", job: job{Kind: kindAsync, Streams: 10}},
	{key: "go-1000", label: "Go async, 1,000 streams", job: job{Kind: kindAsync, Streams: 1000}},
	{key: keyRows, label: "Go async, a row of 10 fields made of each", job: job{Kind: kindAsync, Streams: 1, Row: true}, pair: keyGo, first: true},
	{key: keyBin, label: "Go async, binary", job: job{Kind: kindAsync, Streams: 1, Options: inBinary}, first: true},
	{key: keyItems, label: "Go async, attributes of items", job: job{Kind: kindAsync, Streams: 1, Items: true, Options: inBinary}, pair: keyBin, first: true},
	{key: keyTrip, label: "bare round trip", job: job{Kind: kindTrip}, latency: true, alone: true},
	{key: "sync-1", label: "Go sync, 1 caller", job: job{Kind: kindSync, Callers: 1}, latency: true, alone: true},
	{key: "sync-32", label: "Go sync, 32 callers", job: job{Kind: kindSync, Callers: 32}, latency: true, alone: true},
	{key: keyIdle, label: "idle Go client", job: job{Kind: kindIdle}, alone: true},
}

var inBinary = map[string]string{"message_format": "binary"}

var cNeeds = []string{"build/bench/bench_async"}

func cProgram(mode string, threads int) func(string, job) (args, env []string) {
	return func(root string, j job) (args, env []string) {
		count := strconv.FormatInt(j.Count, 10)
		warmUp := j.Count
		if j.Count == 0 {
			count = strconv.FormatFloat(j.Seconds, 'f', -1, 64) + "s"
			warmUp = max(1, int64(j.WarmUp*1e8)/int64(j.Size))
		}
		return []string{filepath.Join(root, "build/bench/bench_async"), j.Server.URL, benchGroup, benchStream, j.Corpus,
			strconv.Itoa(j.Size), count, strconv.FormatInt(warmUp, 10), mode, strconv.Itoa(threads)}, nil
	}
}

var pythonNeeds = []string{"bindings/python/bench/bench.py", "build/lib/libinlong_dataproxy.so"}

func pythonProgram(mode string) func(string, job) (args, env []string) {
	return func(root string, j job) (args, env []string) {
		args, env = python(root, "bench.py", j)
		return append(args, "--url", j.Server.URL, "--group", benchGroup, "--stream", benchStream, "--mode", mode), env
	}
}

var kafkaNeeds = []string{"bindings/python/bench/bench_kafka.py", "build/venv/lib", "build/lib/libinlong_dataproxy.so"}

// kafkaProgram is what Python's send_async is held against: produce() with a delivery callback for each message, to a mock cluster of
// its own, which is a thread of the program.
func kafkaProgram(root string, j job) (args, env []string) { return python(root, "bench_kafka.py", j) }

func python(root, script string, j job) (args, env []string) {
	python := filepath.Join(root, "build/venv/bin/python")
	if _, err := os.Stat(python); err != nil {
		python = "python3"
	}
	return []string{python, filepath.Join(root, "bindings/python/bench", script), "--corpus", j.Corpus, "--size", strconv.Itoa(j.Size),
		"--count", strconv.FormatInt(j.Count, 10)}, []string{"PYTHONPATH=" + filepath.Join(root, "bindings/python")}
}

var errNotBuilt = errors.New("not built")

// run does the job in a process of its own.
func (p *program) run(ctx context.Context, self, root string, j job) (sample, error) {
	var args, env []string
	if p.command != nil {
		for _, path := range p.needs {
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				return sample{}, errNotBuilt
			}
		}
		if j.Count == 0 && p.guess > 0 {
			j.Count = max(1, int64(p.guess*j.Seconds))
		}
		args, env = p.command(root, j)
	} else {
		text, err := json.Marshal(j)
		if err != nil {
			return sample{}, err
		}
		args = []string{self, clientCommand, string(text)}
	}
	s, err := runProgram(ctx, args, env)
	if err == nil && p.guess > 0 {
		p.guess = s.perSecond()
	}
	return s, err
}

const programTakes = 3 * time.Minute // at the longest

// runProgram returns the sample that the program prints as its last line.
func runProgram(ctx context.Context, args, env []string) (s sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, programTakes)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	text := strings.TrimSpace(stdout.String())
	if err == nil {
		err = json.Unmarshal([]byte(text[strings.LastIndexByte(text, '\n')+1:]), &s)
	}
	if err == nil && (s.Messages <= 0 || s.Failed > 0) {
		err = fmt.Errorf("%d messages were sent, %d failed", s.Messages, s.Failed)
	}
	if err != nil {
		return s, fmt.Errorf("%w\n%s", err, strings.TrimSpace(stderr.String()))
	}
	return s, nil
}
