package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"runtime"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// What a spool costs is compared with the same client without one. `--spool` measures that, and nothing else.
const (
	keySpool  = "spool"
	keyAfter  = "spool-after"
	keyReplay = "spool-replay"
	keyDisk   = "disk"
	keySync   = "spool-sync"

	kindReplay = "replay"
	kindDisk   = "disk"
)

var spoolPrograms = []program{
	{key: keyAfter, label: "Go async, spool_after=100ms", job: job{Kind: kindAsync, Streams: 1, Spool: map[string]string{"spool_after": "100ms"}}, pair: keyGo, yardstick: keyGo},
	{key: keySpool, label: "Go async, spool_dir", job: job{Kind: kindAsync, Streams: 1, Spool: map[string]string{}}, pair: keyGo, yardstick: keyGo},
	{key: keyReplay, label: "replay of a backlog", job: job{Kind: kindReplay, Streams: 1, Spool: map[string]string{}}, pair: keyGo, yardstick: keyGo},
	{key: keyDisk, label: "bare loop of write and fsync", job: job{Kind: kindDisk}, alone: true},
	{key: keySync, label: "Go async, spool_sync=batch", job: job{Kind: kindAsync, Streams: 1, Spool: map[string]string{"spool_sync": "batch"}},
		pair: keySpool, yardstick: keyDisk, orSlower: keySpool},
}

var spoolLimits = []limit{
	{"spool_after=100ms: CPU to that without a spool", 1.05, "x", keyAfter, limitSize, keyGo, toGo},
	{"spool_after=100ms: rate without a spool to its", 1 / 0.97, "x", keyAfter, limitSize, keyGo, slower},
	{"spool_dir: CPU to that without a spool", 1.35, "x", keySpool, limitSize, keyGo, toGo},
	{"spool_dir: rate without a spool to its", 1 / 0.75, "x", keySpool, limitSize, keyGo, slower},
	{"spool_sync=batch: the disk's rate to its", 1 / 0.7, "x", keySync, limitSize, keyDisk, slower},
	{"replay: CPU to that of sending", 1, "x", keyReplay, limitSize, keyGo, toGo},
	{"replay: rate of sending to its", 1 / 0.9, "x", keyReplay, limitSize, keyGo, slower},
	{"replay: first ack after the start", 2e6, "us", keyReplay, limitSize, "", func(r, _ row) float64 { return r.First * 1e6 }},
	{"replay: heap", 256, "MiB", keyReplay, limitSize, "", func(r, _ row) float64 { return mebibytes(r.Heap) }},
}

// spoolOptions makes a folder for the job's client, where it has a spool.
func (j job) spoolOptions() (options map[string]string, remove func(), err error) {
	if j.Spool == nil {
		return j.Options, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "bench-spool")
	if err != nil {
		return nil, nil, err
	}
	options = maps.Clone(j.Options)
	if options == nil {
		options = map[string]string{}
	}
	maps.Copy(options, j.Spool)
	options["spool_dir"], options["spool_max_bytes"] = dir, "64G"
	return options, func() { _ = os.RemoveAll(dir) }, nil
}

// backlogRate is how many messages are stored for each second that the replay is to take, about.
const backlogRate = 1_000_000

// runReplay has a client store what it cannot send, and measures from the start of the next one until all of that is acked.
func runReplay(j job) (sample, error) {
	options, remove, err := j.spoolOptions()
	if err != nil {
		return sample{}, err
	}
	defer remove()
	j.Options, j.Spool = options, nil
	if j.Count == 0 {
		j.Count = int64(j.Seconds * backlogRate)
	}
	if err := storeBacklog(j); err != nil {
		return sample{}, err
	}
	m := startMeter()
	client, err := connect(j)
	if err != nil {
		return sample{}, err
	}
	defer client.Close()
	first, heap, memory := time.Duration(0), uint64(0), new(runtime.MemStats)
	for st := client.Stats().Spool; st.Replayed < j.Count; st = client.Stats().Spool {
		runtime.ReadMemStats(memory)
		heap = max(heap, memory.HeapAlloc)
		if st.Replayed > 0 && first == 0 {
			first = time.Since(m.wall)
		}
		if time.Since(m.wall) > programTakes {
			return sample{}, fmt.Errorf("%d of %d messages were sent again", st.Replayed, j.Count)
		}
		time.Sleep(10 * time.Millisecond)
	}
	s := m.stop(j.Count)
	s.First, s.Heap = first.Seconds(), heap
	return s, nil
}

// storeBacklog fills the folder with messages that no node takes.
func storeBacklog(j job) error {
	j.Options = maps.Clone(j.Options)
	j.Options["static_nodes"], j.Options["lazy_start"] = "127.0.0.1:1", "true"
	j.Server.URL = ""
	_, err := withLoad(j, func(l *load) (sample, error) {
		l.push(pace{step: asyncStep, count: j.Count})
		for l.client.Stats().Spool.Messages < j.Count {
			time.Sleep(time.Millisecond)
		}
		now, cancel := context.WithCancel(context.Background())
		cancel()
		report, _ := l.client.Shutdown(now)
		if report.Acked > 0 || report.Unsent > 0 || report.ByCode[dataproxy.CodeStored]+report.Uncalled < j.Count {
			return sample{}, fmt.Errorf("a backlog was not stored: %+v", report)
		}
		return sample{}, nil
	})
	return err
}
