//go:build unix

package tail

import (
	"os"
	"strings"
	"testing"
	"time"
)

// A file was truncated to a length above the place: 100 of 300 lines were gone, without a word, status 0.
func TestWhatACutTakesBehindThePlaceIsALoss(t *testing.T) {
	d := newFolder(t)
	lines := many("a", 300)
	d.add("app.log", lines...)
	d.do(run{paths: []string{"app.log"}, most: 50})
	d.must(os.Truncate(d.path("app.log"), 1400))
	o := d.once("app.log")
	d.same(o, lines[50:200]...)
	if len(o.losses) != 1 || o.losses[0].Bytes != 700 {
		t.Errorf("losses %v, want one of 700 bytes", o.losses)
	}
	if o := d.once("app.log"); len(o.losses) > 0 {
		t.Errorf("told again: %v", o.losses)
	}
}

// followed opens a file as -F does, without a reader.
func (d *folder) followed(path string) *Set {
	set, state := d.open(run{paths: []string{path}, follow: true}, &outcome{})
	d.Cleanup(func() {
		set.Close()
		_ = state.Close()
	})
	return set
}

// A truncation while a record was passed over left its rest, in the copy, to a reader that knew nothing of it: it came as a record of its own,
// and the state stayed before it.
func TestARecordThatIsPassedOverStaysWithThePartThatWasTruncated(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", strings.Repeat("x", 3000))
	set := d.followed("app.log")
	f := set.Next(t.Context())
	var c Chunk
	d.must(c.Read(f, 2000))
	held := c.Add(2000, 1)
	f.Reader, f.Held, f.Passing = "its own", held, true
	c.Pass(2000, 0)
	set.Release(f, false, nil)
	d.copytruncate("app.log", "app.log.1")
	d.add("app.log", "b")
	f = set.Next(t.Context())
	err := c.Read(f, 2000)
	if err == nil {
		t.Fatal("the truncation is not seen")
	}
	set.Release(f, false, err)
	f = set.Next(t.Context())
	if f.Name() != d.path("app.log.1") || f.Reader != "its own" || f.Held != held || !f.Passing {
		t.Errorf("%s is read on with reader %v, record %v, passing %v", f.Name(), f.Reader, f.Held, f.Passing)
	}
	set.Release(f, false, nil)
}

// What was read of a record that was being passed over was gone with the truncation, without a word: nobody had named it yet.
func TestARecordThatIsPassedOverIsLostWithTheTruncation(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", "a", strings.Repeat("x", 2999))
	set := d.followed("app.log")
	f := set.Next(t.Context())
	var c Chunk
	d.must(c.Read(f, 2500))
	c.Add(2, 1).Done()
	f.Held, f.Passing = c.Add(2500, 2), true
	c.Pass(2500, 1)
	set.Release(f, false, nil)
	d.truncate("app.log")
	d.add("app.log", "b")
	next := set.Next(t.Context())
	err := c.Read(next, 2000)
	if err == nil {
		t.Fatal("the truncation is not seen")
	}
	set.Release(next, false, err)
	set.GiveUp()
	if losses := set.Losses(); len(losses) != 1 || losses[0].Bytes != 3000 {
		t.Errorf("losses %v, want one of 3000 bytes", losses)
	}
	if n := f.behind(); n != 0 {
		t.Errorf("the state stays %d bytes before the end of what is gone", n)
	}
}

// A reader that waits, as in an outage, looks at no size: of 18 MB that a truncation took 50 KB were named.
func TestWhatATruncationTakesBehindAReaderThatWaitsIsNamedWithAllItsBytes(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		d := newFolder(t)
		d.add("app.log", many("a", 100)...)
		set := d.followed("app.log")
		look := func() {
			set.mu.Lock()
			defer set.mu.Unlock()
			set.scan()
		}
		f := set.Next(t.Context())
		var c Chunk
		d.must(c.Read(f, 2000))
		c.Add(350, 50).Done()
		d.add("app.log", many("b", 300)...)
		look()
		d.truncate("app.log")
		d.add("app.log", many("c", 1000)...)
		look() // it has grown past what it was, by other lines
		c.Pass(350, 50)
		set.Release(f, false, nil)
		look()
		if stopped {
			d.must(set.Save())
			set.Close()
			d.must(set.cfg.State.Close())
			if o := d.once("app.log"); len(o.losses) != 1 || o.losses[0].Bytes != 2450 {
				t.Errorf("the next run names losses %v, want one of 2450 bytes", o.losses)
			}
			continue
		}
		f = set.Next(t.Context())
		set.Release(f, false, c.Read(f, 2000))
		set.GiveUp()
		if losses := set.Losses(); len(losses) != 1 || losses[0].Bytes != 2450 {
			t.Errorf("losses %v, want one of 2450 bytes", losses)
		}
	}
}

// What is in the copy was not lost, though the reader waited.
func TestWhatACopyHoldsBehindAReaderThatWaitsIsNoLoss(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", many("a", 100)...)
	set := d.followed("app.log")
	f := set.Next(t.Context())
	var c Chunk
	d.must(c.Read(f, 2000))
	d.add("app.log", many("b", 300)...)
	set.mu.Lock()
	set.scan()
	set.mu.Unlock()
	d.copytruncate("app.log", "app.log.1")
	d.add("app.log", "c")
	c.Add(350, 50).Done()
	c.Pass(350, 50)
	set.Release(f, false, nil)
	f = set.Next(t.Context())
	set.Release(f, false, c.Read(f, 2000))
	f = set.Next(t.Context())
	d.must(c.Read(f, 4000))
	c.Pass(len(c.Data), 350)
	set.Release(f, c.End, nil)
	set.GiveUp()
	if f.Name() != d.path("app.log.1") || f.at.Offset != 2800 || len(set.Losses()) > 0 {
		t.Errorf("%s was read up to %d, losses %v", f.Name(), f.at.Offset, set.Losses())
	}
}

// A record that was passed over when its file was put aside, whole and without an end, was never told of, and the state stayed before it.
func TestARecordThatIsPassedOverHasItsEndWhereItsFileIsPutAside(t *testing.T) {
	d := newFolder(t)
	d.must(os.WriteFile(d.path("app.log"), []byte(strings.Repeat("x", 3000)), 0o600))
	set := d.followed("app.log")
	f := set.Next(t.Context())
	var c Chunk
	d.must(c.Read(f, 4000))
	f.Held, f.Passing = c.Add(3000, 1), true
	c.Pass(3000, 0)
	set.Release(f, c.End, nil)
	d.rename("app.log", "app.log.1")
	set.mu.Lock()
	set.scan()
	set.look(f, time.Now())
	ready := len(set.queue)
	set.mu.Unlock()
	if ready != 1 || f.Held == nil {
		t.Fatalf("%d files are to be read, the record is %v", ready, f.Held)
	}
	f = set.Next(t.Context())
	d.must(c.Read(f, 4000))
	if !c.Last || !f.Passing {
		t.Errorf("last %v, passing %v", c.Last, f.Passing)
	}
	set.Release(f, true, nil)
}
