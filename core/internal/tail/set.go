// Package tail reads files that grow, are renamed, truncated, copied, packed and deleted meanwhile, and knows of each up to where all
// has been dealt with. A file is who it is: its device, number and time of birth, and the bytes at its beginning and before the
// place in it; names only say where to look.
package tail

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Config says what is to be read, and how.
type Config struct {
	// Paths are files, folders (all files in them), and patterns such as "*.log".
	Paths []string
	// Follow continues as files grow and come; otherwise each is read to its end once.
	Follow bool
	// Rotated looks for what was put aside from the files; without it only the files themselves are read.
	Rotated bool
	// Wait is how long a file that was put aside is waited for to grow again.
	Wait time.Duration
	// Own are files that are never read: those that the program writes itself.
	Own []string
	// MaxBehind is how many bytes of a file may be read and not be dealt with, now; nil: any number.
	MaxBehind func() int64
	// Quiet is called while files are watched, when none of them has grown for a second, but not twice in half a minute; nil for none.
	Quiet func()
	// State keeps the places; nil for none.
	State *State
	Log   *slog.Logger
}

const (
	// patience is how long a file is looked for that has vanished: rotation may be in the middle of it.
	patience = 3 * time.Second
	// lively is how long a file that grew is checked often. Among few files the others are, too.
	lively   = time.Second
	tick     = 100 * time.Millisecond
	perFile  = time.Millisecond // of the time between two looks at all files, so that many idle ones cost little
	mostPace = 5 * time.Second
	retryIn  = time.Second
	restful  = 30 * time.Second      // between two calls of Quiet
	forget   = 24 * time.Hour        // a file that is gone may come back, with a disk
	fileTick = 20 * time.Millisecond // by which the times of files are behind the clock, at most
)

// Loss is what could not be read any more.
type Loss struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"` // at least
	Why   string `json:"why"`
}

// Set is the files that are read.
type Set struct {
	cfg  Config
	disk *disk

	mu       sync.Mutex
	ready    sync.Cond
	files    []*File
	byKey    map[key]*File
	current  map[string]*File // by path: the file that has it
	ignored  map[key]ignored  // what had been put aside before anything was read
	copies   map[key]int64    // copies of files that are read, with the time of their last change
	held     map[string]time.Time
	doubts   map[doubt]doubted
	looked   map[string]look // by path
	plain    map[string]bool // the paths of cfg
	patterns []string        // those of them that are patterns

	listings map[string]*listing // of this scan, like the next two
	unknown  map[string][]entry
	times    map[string]int64

	said     map[string]string // by path: the fault that was told
	queue    []*File
	crowded  bool // it was told that there are more files than may be open
	losses   []Loss
	changes  int // that a state has to tell
	met      chan struct{}
	scanned  bool
	moved    bool      // a path changed hands during the last scan
	lastScan time.Time // what was written to since may be new to it
	ended    bool
}

// ignored is a file that is none of ours, for as long as it does not change.
type ignored struct {
	ID
	Modified int64 `json:"modified"`
}

// Open looks at all files. A fault of one is in Faults; it does not keep the others from being read.
func Open(cfg Config) *Set {
	s := &Set{cfg: cfg, disk: &disk{hung: map[string]int{}}, byKey: map[key]*File{}, current: map[string]*File{}, ignored: map[key]ignored{}, copies: map[key]int64{},
		met: make(chan struct{}, 1), held: map[string]time.Time{}, doubts: map[doubt]doubted{}, looked: map[string]look{}, plain: map[string]bool{}, said: map[string]string{}}
	if s.ready.L = &s.mu; cfg.Follow {
		s.disk.patience = diskPatience
	}
	s.cfg.Paths = absolute(cfg.Paths)
	for _, path := range s.cfg.Paths {
		s.plain[path] = true
		if isPattern(path) {
			s.patterns = append(s.patterns, path)
		}
	}
	s.cfg.Own = absolute(cfg.Own)
	for _, path := range s.cfg.Own {
		s.cfg.Own = append(s.cfg.Own, s.disk.resolved(path))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if cfg.State != nil {
		s.load(cfg.State)
	}
	s.scan()
	return s
}

// Close closes all files.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for _, f := range s.files {
		if !f.busy {
			f.close()
		}
	}
	s.ready.Broadcast()
	return nil
}

func (f *File) close() {
	if f.text != nil {
		f.text.Close()
		f.text = nil
	}
}

// Watch looks for changes until ctx ends.
func (s *Set) Watch(ctx context.Context) {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	last, rested, grew := time.Now(), time.Time{}, false
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-clock.C:
			quiet := true
			s.mu.Lock()
			all := now.Sub(last) >= min(tick+time.Duration(len(s.files))*perFile, mostPace)
			if all {
				s.scan()
				last = time.Now()
			}
			for _, f := range s.files {
				isLively := now.Sub(f.changed) < lively
				if all && !f.still || isLively {
					s.look(f, now)
				}
				quiet = quiet && !isLively && !f.busy && !f.queued
			}
			s.mu.Unlock()
			grew = grew || !quiet
			if quiet && grew && s.cfg.Quiet != nil && now.Sub(rested) >= restful {
				s.cfg.Quiet()
				rested, grew = now, false
			}
		}
	}
}

// Next waits for a file that has something to be read, which is the caller's until Release. It returns nil when ctx has ended, and,
// not following, at the end of all files.
func (s *Set) Next(ctx context.Context) *File {
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ready.Broadcast()
	})()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if ctx.Err() != nil || s.ended {
			return nil
		}
		if len(s.queue) > 0 {
			f := s.queue[0]
			s.queue = s.queue[1:]
			f.queued, f.busy = false, true
			f.learn(f.known())
			f.setTall(0)
			return f
		}
		if s.cfg.Follow {
			s.ready.Wait()
			continue
		}
		// Each was read to its end. What was rotated meanwhile is read too.
		if s.scan(); len(s.queue) == 0 && !s.moved {
			s.giveUp()
			return nil
		}
	}
}

// Release gives a file back. err is why it cannot be read on, nil when it was read as far as it goes or a part of it was.
func (s *Set) Release(f *File, end bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.busy = false
	f.progress.look() // lets go of what has its result: without a state nobody else asks for it
	now := time.Now()
	if f.cut > 0 {
		s.lost(f, f.at.Offset, f.cut, wasTruncated)
		f.cut = 0
	}
	switch {
	case err == errTruncated:
		s.truncated(f)
	case err == errUnfinished && s.cfg.Follow:
		f.retryAt, f.atEnd = now.Add(retryIn), false
		f.setBroken()
	case err != nil:
		if isBroken(err) {
			f.setBroken()
		}
		s.failed(f, err)
	case end:
		s.ok(f)
		f.atEnd = true
		s.successors(f)
		if f.last && s.cfg.Follow {
			s.retire(f)
		}
	default:
		s.ok(f)
		f.changed = now
		s.push(f)
	}
	if s.ended {
		f.close()
	}
}

// push hands a file out when its turn comes.
func (s *Set) push(f *File) {
	if f.queued || f.busy || f.text == nil || f.dead {
		return
	}
	if o := f.older; o != nil && !o.atEnd && o.text != nil && o.fault == nil {
		return
	}
	f.older = nil
	if s.cfg.MaxBehind != nil && !f.Passing && f.behind() > s.cfg.MaxBehind() {
		f.atEnd = false // it is checked again
		return
	}
	f.queued, f.last = true, f.last || !s.cfg.Follow
	s.queue = append(s.queue, f)
	s.ready.Signal()
}

func (s *Set) successors(done *File) {
	for _, f := range s.files {
		if f.older == done {
			f.older = nil
			if !f.atEnd {
				s.push(f)
			}
		}
	}
}

// look hands a file out if it changed since it was read to its end.
func (s *Set) look(f *File, now time.Time) {
	if f.busy || f.queued || f.text == nil || now.Before(f.retryAt) {
		return
	}
	m, err := f.text.stat()
	if err != nil {
		s.failed(f, err)
		return
	}
	if f.dead && !f.isRewritten(m) {
		return
	}
	if file, err := inspectFile(f.text.file()); err == nil && f.isBroken(file) {
		if now.Sub(f.changed) >= patience {
			s.failed(f, errUnfinished) // its packer was killed, or the disk was full
		}
		return
	}
	changed := !f.atEnd || m.size != f.seen.size || m.modified != f.seen.modified
	if changed {
		f.changed, f.last = now, false
		s.push(f)
		return
	}
	// Nobody else reads it any more, or it is the packed copy that is found by the next run.
	if (f.aside || m.links == 0) && now.Sub(f.changed) >= s.cfg.Wait {
		if f.last = true; f.at.Offset < f.size || f.Passing { // the end is to be told to who passes a record over
			s.push(f)
			return
		}
		s.retire(f)
	}
}

// retire closes a file that was put aside and stays quiet. If it grows after that, it is opened again.
func (s *Set) retire(f *File) {
	f.close()
	f.last, f.Reader, f.Held, f.Passing = false, nil, nil, false
}

// truncated parts what a file was from what it is now. The old part may be in a copy.
func (s *Set) truncated(f *File) {
	next := &File{live: f.live, real: f.real, text: f.text, modified: f.modified, proven: f.modified, aside: f.aside, changed: time.Now(), Rewritten: true}
	id := f.id
	s.number(f, ID{})
	// Its rest may begin in the middle of a record: Reader and Held stay with it.
	f.text, f.why, f.aside, f.atEnd = nil, wasTruncated, true, false
	if f.queued {
		f.queued = false
		s.queue = slices.DeleteFunc(s.queue, func(q *File) bool { return q == f })
	}
	f.sought, f.changed = time.Now(), time.Now()
	next.rename()
	s.fresh()
	s.files = append(s.files, next)
	s.number(next, id)
	s.changes++
	if f.latest = s.current[next.live] == f; f.latest {
		s.current[next.live] = next
	}
	s.seek(f)
	if s.cfg.Rotated {
		s.between(next.live, f, next)
	}
	next.older = f
	s.push(next)
}

// Met has a value when a file was found that no Save has recorded yet: after a kill nobody would know that it existed, if it had
// been moved.
func (s *Set) Met() <-chan struct{} { return s.met }

// Losses is what was lost so far.
func (s *Set) Losses() []Loss {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.losses)
}

// Size is how many bytes there are to be read, from where the reading began.
func (s *Set) Size() (total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if _, _, size := f.known(); f.text != nil && size > f.start {
			total += size - f.start
		}
	}
	return total
}
