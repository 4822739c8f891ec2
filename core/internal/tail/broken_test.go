//go:build unix

package tail

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"math/rand"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// unreadable are packed files that cannot be unpacked to their end, and how many of 600 lines come before the fault at least.
var unreadable = map[string]struct {
	harm  func(packed []byte) []byte
	lines int
}{
	"cut off":                 {func(p []byte) []byte { return p[:len(p)/2] }, 250},
	"damaged":                 {func(p []byte) []byte { return turnedOver(p, len(p)/2) }, 250},
	"damaged where it begins": {func(p []byte) []byte { return turnedOver(p, 20) }, 0},
}

func turnedOver(packed []byte, at int) []byte {
	for i := range packed[at : at+100] {
		packed[at+i] ^= 0xff
	}
	return packed
}

// packedLines are 600 lines of text, and what gzip makes of them.
func (d *folder) packedLines() (lines []string, packed []byte) {
	d.Helper()
	random, line := rand.New(rand.NewSource(1)), make([]byte, 32)
	for range 600 {
		random.Read(line)
		lines = append(lines, hex.EncodeToString(line))
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := io.WriteString(z, strings.Join(lines, "\n")+"\n")
	d.must(err)
	d.must(z.Close())
	return lines, out.Bytes()
}

func countUnpackings(t *testing.T) *atomic.Int64 {
	n, own := new(atomic.Int64), packers[0].unpack
	swap(t, &packers[0].unpack, func(r io.Reader) (io.Reader, func(), error) { n.Add(1); return own(r) })
	return n
}

// age lets time pass. The caller holds mu.
func (s *Set) age() {
	past := time.Now().Add(-time.Hour)
	for _, f := range s.files {
		f.retryAt, f.changed = time.Time{}, past
		if !f.sought.IsZero() {
			f.sought = past
		}
	}
	for of, was := range s.doubts {
		was.since = past
		s.doubts[of] = was
	}
	for path, looked := range s.looked {
		looked.at = past
		s.looked[path] = looked
	}
}

// turn is what a follower does now and then, as if time had passed: a look at all, and what is found to read.
func (s *Set) turn(d *folder, o *outcome) {
	s.mu.Lock()
	s.age()
	s.scan()
	for _, f := range s.files {
		s.look(f, time.Now())
	}
	ready := len(s.queue)
	s.mu.Unlock()
	var c Chunk
	for range ready {
		f := s.Next(d.Context())
		end, err := o.take(&c, f, 0)
		s.Release(f, end, err)
	}
}

// turns says how many unpackings ten looks at files that do not change take, after the first ones.
func (s *Set) turns(d *folder, o *outcome, unpackings *atomic.Int64) int64 {
	for range 10 {
		s.turn(d, o)
	}
	before := unpackings.Load()
	for range 10 {
		s.turn(d, o)
	}
	return unpackings.Load() - before
}

// followBroken follows a packed file, or one beside it: nothing may be unpacked for nothing.
func (d *folder) followBroken(name string, unpackings *atomic.Int64) (*Set, *outcome) {
	d.Helper()
	o := &outcome{}
	set, state := d.open(run{paths: []string{name}, follow: true}, o)
	d.Cleanup(func() {
		set.Close()
		_ = state.Close()
	})
	if n := set.turns(d, o, unpackings); n > 0 {
		d.Errorf("unpacked %d times for nothing", n)
	}
	return set, o
}

// A packed file that is cut off or damaged was unpacked anew each second for as long as it was followed, a large one with all of a core;
// of one that was cut off nothing said that the rest is missing.
func TestWhatCannotBeUnpackedIsTriedAgainWhenItChanges(t *testing.T) {
	unpackings := countUnpackings(t)
	for name, how := range unreadable {
		t.Run(name, func(t *testing.T) {
			d := newFolder(t)
			lines, packed := d.packedLines()
			d.must(os.WriteFile(d.path("a.gz"), how.harm(slices.Clone(packed)), 0o600))
			set, o := d.followBroken("a.gz", unpackings)
			got := o.got()
			if len(got) < how.lines || !slices.Equal(got, lines[:len(got)]) {
				t.Errorf("read %d lines before the fault, want the first %d and more", len(got), how.lines)
			}
			if told := strings.Count(o.log.String(), "cannot be read"); told != 1 || len(set.Faults()) != 1 {
				t.Errorf("told %d times, faults %q: %s", told, set.Faults(), o.log.String())
			}
			pause()
			d.must(os.WriteFile(d.path("a.gz"), packed, 0o600))
			set.turns(d, o, unpackings)
			if got := o.got(); !slices.Equal(got, lines) || len(set.Faults()) > 0 {
				t.Errorf("whole again, it gave %d lines of %d; faults %q", len(got), len(lines), set.Faults())
			}
		})
	}
}

// The rest of a file that was packed and then damaged was searched for in there ten times a second, for ever, and never called lost.
func TestTheSearchInAPackedFileThatIsDamagedEnds(t *testing.T) {
	unpackings := countUnpackings(t)
	for name, how := range unreadable {
		t.Run(name, func(t *testing.T) {
			d := newFolder(t)
			lines, packed := d.packedLines()
			d.add("app.log", lines...)
			d.do(run{paths: []string{"app.log"}, most: 500})
			d.remove("app.log")
			d.add("app.log", "new")
			pause()
			d.must(os.WriteFile(d.path("app.log.1.gz"), how.harm(slices.Clone(packed)), 0o600))
			set, o := d.followBroken("app.log", unpackings)
			if d.same(o, "new"); len(set.Losses()) != 1 {
				t.Errorf("losses %v: %s", set.Losses(), o.log.String())
			}
		})
	}
}

// Beside a file that is read, a packed one that is damaged may be a part of it: it was unpacked each second to find out.
func TestAPackedFileThatIsDamagedCostsNothingBesideTheOneThatIsRead(t *testing.T) {
	unpackings := countUnpackings(t)
	for name, how := range unreadable {
		t.Run(name, func(t *testing.T) {
			d := newFolder(t)
			lines, packed := d.packedLines()
			d.add("app.log", lines...)
			d.once("app.log")
			pause()
			d.must(os.WriteFile(d.path("app.log.1.gz"), how.harm(slices.Clone(packed)), 0o600))
			_, o := d.followBroken("app.log", unpackings)
			d.same(o)
		})
	}
}

// Each packed file that was damaged took memory for as long as the program ran.
func TestWhatCannotBeUnpackedIsForgottenInTheEnd(t *testing.T) {
	d := newFolder(t)
	lines, packed := d.packedLines()
	d.add("app.log", lines...)
	d.once("app.log")
	pause()
	d.must(os.WriteFile(d.path("app.log.1.gz"), turnedOver(packed, len(packed)/2), 0o600))
	set, o := d.followBroken("app.log", countUnpackings(t))
	if len(set.doubts) == 0 {
		t.Fatal("nobody doubts the packed file")
	}
	d.remove("app.log.1.gz")
	for of, was := range set.doubts {
		was.since = was.since.Add(-forget)
		set.doubts[of] = was
	}
	set.mu.Lock()
	set.scan()
	set.mu.Unlock()
	if d.same(o); len(set.doubts) > 0 {
		t.Errorf("it is gone, and %d doubts are left", len(set.doubts))
	}
}
