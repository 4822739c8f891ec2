package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	// enoughLines makes a run long enough to see it, and to kill a node in the middle of it.
	enoughLines = 1_000_000
	// littleLines are over in a few milliseconds.
	littleLines = 20_000
	// maxBytes bounds the memory of the demo, which keeps all that the nodes received.
	maxBytes = 512 << 20
)

// packageLogs are where package managers keep a log of what they did.
var packageLogs = []string{
	"/var/log/dpkg.log", "/var/log/dnf.rpm.log", "/var/log/dnf.log", "/var/log/yum.log", "/var/log/pacman.log",
	"/var/log/zypp/history", "/var/log/apk.log", "/var/log/dpkg.log.1",
}

// source is the file that every program ships.
type source struct {
	path        string
	description string
	lines       int // without the empty ones, which no program sends
	tally       *tally
}

// prepareSource makes the file to ship in folder from the file at path, which is repeated when it is small.
func prepareSource(path string, repeat int, folder string) (*source, error) {
	data, path, err := readLog(path)
	if err != nil {
		return nil, err
	}
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%s has %d MiB; the demo compares in memory and takes at most %d", path, len(data)>>20, maxBytes>>20)
	}
	if data[len(data)-1] != '\n' {
		data = append(data, '\n')
	}
	counted := newTally()
	counted.addFile(data, 1)
	once := counted.total
	if once == 0 {
		return nil, fmt.Errorf("%s has only empty lines", path)
	}
	s := &source{description: fmt.Sprintf("%s: %s lines, once", path, thousands(once))}
	if repeat == 0 {
		repeat = min((enoughLines+once-1)/once, max(1, maxBytes/len(data)))
	}
	if repeat < 0 || repeat > 1 && repeat*len(data) > maxBytes {
		return nil, fmt.Errorf("a repeat of %d: must be at least 1 and give at most %d MiB", repeat, maxBytes>>20)
	}
	if repeat > 1 {
		s.description = fmt.Sprintf("%s: %s lines, %d times over: %s lines (DEMO_REPEAT=1 ships it once)",
			path, thousands(once), repeat, thousands(once*repeat))
	}
	if repeat*once < littleLines {
		s.description += " - so few that they are gone before a node can die in the middle"
	}
	s.tally = newTally()
	s.tally.addFile(data, repeat)
	s.lines = s.tally.total
	s.path = filepath.Join(folder, filepath.Base(path))
	return s, writeRepeated(s.path, data, repeat)
}

func readLog(path string) ([]byte, string, error) {
	if path != "" {
		data, err := os.ReadFile(path)
		if err == nil && len(data) == 0 {
			err = fmt.Errorf("%s is empty", path)
		}
		return data, path, err
	}
	for _, candidate := range packageLogs {
		if data, err := os.ReadFile(candidate); err == nil && len(data) > 0 {
			return data, candidate, nil
		}
	}
	return nil, "", errors.New("found no package manager's log on this machine; name a file: make demo FILE=path")
}

func writeRepeated(path string, data []byte, repeat int) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	for range repeat {
		if _, err := file.Write(data); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return file.Close()
}

// tally counts how often each line occurs.
type tally struct {
	index  map[string]int // of a line in counts
	counts []int
	total  int
}

func newTally() *tally { return &tally{index: map[string]int{}} }

func (t *tally) addFile(data []byte, times int) {
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		i, known := t.index[string(line)]
		if !known {
			i = len(t.counts)
			t.index[string(line)] = i
			t.counts = append(t.counts, 0)
		}
		t.counts[i] += times
		t.total += times
	}
}

// difference is what tells received lines from those of the file.
type difference struct {
	missing int // lines of the file that did not arrive
	extra   int // copies of lines of the file beyond those in it
	foreign int // lines that are not in the file
}

// compare counts the difference of received to the file, as multisets.
func (t *tally) compare(received func(yield func(line []byte) bool)) (d difference) {
	left := append([]int(nil), t.counts...)
	for line := range received {
		if i, known := t.index[string(line)]; known {
			left[i]--
		} else {
			d.foreign++
		}
	}
	for _, n := range left {
		if n > 0 {
			d.missing += n
		} else {
			d.extra -= n
		}
	}
	return d
}
