package main

import (
	"os"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/cmd/internal/loglines"
)

// diskGroup is how many bytes of messages are stored with one fsync, by a client that has as many.
const diskGroup = 1 << 20

// runDisk is the loop that a client with spool_sync=batch is compared with: it writes what is ready, as much as the client stores at once, and
// waits for the disk to have it. It is in the folder in which the spools are.
func runDisk(j job) (sample, error) {
	corpus, err := openCorpus(j.Corpus, j.Size)
	if err != nil {
		return sample{}, err
	}
	dir, err := os.MkdirTemp("", "bench-spool")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(dir)
	f := &framer{corpus: loglines.NewCursor(corpus, j.Size, 0)}
	perFrame := messagesPerFrame(j.Size)
	var group []byte
	step := int64(0)
	for ; step*int64(j.Size) < diskGroup; step += perFrame {
		group = append(group, f.next(perFrame)...)
	}
	file, err := os.CreateTemp(dir, "")
	if err != nil {
		return sample{}, err
	}
	defer file.Close()
	write := func(p pace) (sent int64, err error) {
		for n := p.next(0); n > 0; n = p.next(sent) {
			if _, err = file.Write(group[:int64(len(group))*n/step]); err == nil {
				err = file.Sync()
			}
			if err != nil {
				return sent, err
			}
			sent += n
		}
		return sent, nil
	}
	if _, err := write(j.warmUp(step)); err != nil {
		return sample{}, err
	}
	m := startMeter()
	sent, err := write(j.measured(step, 1))
	return m.stop(sent), err
}
