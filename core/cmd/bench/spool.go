package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/cmd/internal/loglines"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

const (
	syncedBytes  = 1 << 20 // of payload that a client with spool_sync=batch stores with one write and one fsync at most
	segmentBytes = 8 << 20 // of its files

	backlogPerSecond = 1_000_000 // messages of a backlog, for each second that a run is to take
)

// makeSpool makes the folder of a job's spool, beside the corpus: a system's folder for temporary files may be in memory.
func (j *job) makeSpool() (remove func(), err error) {
	if j.Spool == nil {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp(filepath.Dir(j.Corpus), "spool")
	if err != nil {
		return nil, err
	}
	j.Spool = maps.Clone(j.Spool)
	j.Spool["spool_dir"] = dir
	return func() { _ = os.RemoveAll(dir) }, nil
}

// runDisk is the loop that spool_sync=batch is compared with: it writes the bytes that a client stores, which it has made before, and
// waits for the disk, again and again.
func runDisk(j job) (s sample, err error) {
	corpus, err := openCorpus(j.Corpus, j.Size)
	if err != nil {
		return s, err
	}
	f := &framer{corpus: loglines.NewCursor(corpus, j.Size, 0), id: wire.BatchID{Client: 1}}
	var frames []byte
	messages, each := int64(0), messagesPerFrame(j.Size)
	for messages*int64(j.Size) < syncedBytes {
		frames = append(frames, f.next(each)...)
		messages += each
	}
	j.Spool = map[string]string{}
	remove, err := j.makeSpool()
	if err != nil {
		return s, err
	}
	defer remove()
	write := func(p pace) (sent int64, err error) {
		var file *os.File
		size := 0
		for n := p.next(0); n > 0 && err == nil; n = p.next(sent) {
			if file == nil || size > segmentBytes {
				name := filepath.Join(j.Spool["spool_dir"], "segment")
				if file != nil {
					_ = file.Close()
					_ = os.Remove(name)
				}
				if file, err = os.Create(name); err != nil {
					return sent, err
				}
				size = 0
			}
			if _, err = file.Write(frames); err == nil {
				err = file.Sync()
			}
			size += len(frames)
			sent += messages
		}
		if file != nil {
			_ = file.Close()
		}
		return sent, err
	}
	if _, err := write(j.warmUp(messages)); err != nil {
		return s, err
	}
	m := startMeter()
	sent, err := write(j.measured(messages, 1))
	return m.stop(sent), err
}

// runReplay stores messages while there is no node, and measures how the next client delivers them.
func runReplay(j job) (s sample, err error) {
	remove, err := j.makeSpool()
	if err != nil {
		return s, err
	}
	defer remove()
	if err := storeBacklog(j); err != nil {
		return s, err
	}
	m := startMeter()
	client, err := connect(j)
	if err != nil {
		return s, err
	}
	defer client.Close()
	for wait := time.Now().Add(programTakes / 2); client.Stats().Spool.Messages > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(wait) {
			return s, fmt.Errorf("%d messages of the backlog are left", client.Stats().Spool.Messages)
		}
	}
	return m.stop(j.backlog()), nil
}

func (j job) backlog() int64 {
	if j.Count > 0 {
		return j.Count
	}
	return int64(j.Seconds * backlogPerSecond)
}

func storeBacklog(j job) error {
	away := j
	away.Spool = maps.Clone(j.Spool)
	maps.Copy(away.Spool, map[string]string{"static_nodes": "127.0.0.1:1", "lazy_start": "true", "spool_result": string(dataproxy.SpoolResultStored)})
	away.Server.URL = ""
	client, err := connect(away)
	if err != nil {
		return err
	}
	defer client.Close()
	l, err := newLoad(j, client)
	if err != nil {
		return err
	}
	_, err = l.run(pace{count: j.backlog(), step: asyncStep})
	return err
}
