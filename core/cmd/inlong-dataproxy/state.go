package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	stateVersion  = 1
	stateInterval = 200 * time.Millisecond
)

// state is the file that says up to where each input is acked.
type state struct {
	path    string
	Version int                 `json:"version"`
	Files   map[string]position `json:"files"` // by absolute path

	lock *os.File
}

func newState(path string) *state {
	return &state{path: path, Version: stateVersion, Files: map[string]position{}}
}

// openState reads the file, if there is one. It is this process's alone until close.
func openState(path string) (*state, error) {
	s := newState(path)
	// The file itself is replaced with every write, and with it would go the lock.
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(lock); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%s is in use by another run, whose lines would be sent twice", path)
	}
	s.lock = lock
	if err := s.read(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *state) close() { s.lock.Close() }

func (s *state) read() error {
	path := s.path
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s.write() // a place that cannot be written is better known now than after the first million lines
	}
	if err != nil {
		return err
	}
	s.Version, s.Files = 0, nil
	if err := json.Unmarshal(data, s); err != nil {
		return fmt.Errorf("%s is not a state file: %w; without it everything is sent from the beginning", path, err)
	}
	if s.Version != stateVersion || s.Files == nil {
		return fmt.Errorf("%s: version %d is not %d: it is no state file, or that of another version of this program", path, s.Version, stateVersion)
	}
	for file, at := range s.Files {
		if at.Offset < 0 || at.Line < 0 || at.LastStart < 0 || at.LastLength < 0 || at.LastLength > at.Offset-at.LastStart {
			return fmt.Errorf("%s is damaged: its place in %s cannot be; without it everything is sent from the beginning", path, file)
		}
	}
	return nil
}

func (s *state) of(path string) position { return s.Files[stateKey(path)] }

func stateKey(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

// write replaces the file at once: a kill at any moment leaves the old one or the new one.
func (s *state) write() error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(s.path, append(data, '\n'), 0o600)
}

// save writes how far the inputs are, if that changed.
func (s *state) save(inputs []*input) error {
	changed := false
	for _, in := range inputs {
		if at, moved := in.window.look(); moved {
			s.Files[stateKey(in.name)] = at
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return s.write()
}

// keep saves now and then until the returned function is called, which saves a last time. failed is told of an error.
func (s *state) keep(inputs []*input, failed func(error)) (stop func() error) {
	quit := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(stateInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := s.save(inputs); err != nil {
					failed(fmt.Errorf("writing the state: %w", err))
					return
				}
			case <-quit:
				return
			}
		}
	})
	return func() error {
		close(quit)
		ended.Wait()
		return s.save(inputs)
	}
}
