//go:build unix

package tail

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A file that cannot be read, and a passing fault, cost the others nothing; it is taken up when it can be read.
func TestAFileThatCannotBeReadDoesNotStopTheOthers(t *testing.T) {
	d := newFolder(t)
	d.add("bad.log", "bad")
	d.add("good.log", "a")
	var refuse = map[string]bool{d.path("bad.log"): true}
	old := openFile
	t.Cleanup(func() { openFile = old })
	openFile = func(path string) (*os.File, error) {
		if refuse[path] {
			return nil, &os.PathError{Op: "open", Path: path, Err: errors.New("stale file handle")}
		}
		return old(path)
	}
	o := d.once("bad.log", "good.log")
	d.same(o, "a")
	if len(o.faults) != 1 || !strings.Contains(o.faults[0], "stale") {
		t.Errorf("faults %q", o.faults)
	}
	if n := strings.Count(o.log.String(), "cannot be read"); n != 1 {
		t.Errorf("said %d times: %s", n, o.log.String())
	}
	refuse = nil
	d.add("good.log", "b")
	d.same(d.once("bad.log", "good.log"), "bad", "b")
}

// A folder that could not be read for a while was called unreadable at the end, and the exit status was 4, though all in it had been sent.
func TestAFolderThatCanBeReadAgainIsNoFault(t *testing.T) {
	d := newFolder(t)
	d.must(os.Symlink("logs", d.path("logs"))) // which is a fault to all, also to root
	o, stop := d.follow(run{paths: []string{"logs"}})
	d.remove("logs")
	d.must(os.Mkdir(d.path("logs"), 0o700))
	d.add("logs/app.log", "a")
	d.arrives(o, "a")
	if stop(); len(o.faults) > 0 || strings.Count(o.log.String(), "can be read again") != 1 {
		t.Errorf("faults %q: %s", o.faults, o.log.String())
	}
}

// Of a pattern in a folder that cannot be read it was said that its file is waited for, and at the end that there was none.
func TestAPatternInAFolderThatCannotBeReadTellsWhy(t *testing.T) {
	d := newFolder(t)
	d.must(os.Symlink("logs", d.path("logs"))) // which is a fault to all, also to root
	if o := d.once("logs/*.log"); !slices.ContainsFunc(o.faults, func(fault string) bool { return strings.Contains(fault, "too many levels") }) {
		t.Errorf("faults %q: %s", o.faults, o.log.String())
	}
	o, stop := d.follow(run{paths: []string{"logs/*.log", "later"}})
	d.remove("logs")
	d.must(os.Mkdir(d.path("logs"), 0o700))
	d.add("later", "a")
	d.arrives(o, "a") // so that the folder was looked at, in which nothing matches
	if stop(); len(o.faults) > 0 || strings.Count(o.log.String(), "can be read again") != 1 {
		t.Errorf("faults %q: %s", o.faults, o.log.String())
	}
}

// The state's place stops before the first record that has no result, whatever the order of the results. How many after it come again was told
// to nobody.
func TestThePlaceStopsBeforeTheFirstRecordWithoutAResult(t *testing.T) {
	d := newFolder(t)
	lines := many("a", 1000)
	d.add("app.log", lines...)
	o := &outcome{}
	set, state := d.open(run{paths: []string{"app.log"}}, o)
	f := set.Next(t.Context())
	var c Chunk
	d.must(c.Read(f, 1<<20))
	var records []*Record
	for i := range lines {
		records = append(records, c.Add(7*(i+1), int64(i+1)))
	}
	c.Pass(7000, 1000)
	set.Release(f, true, nil)
	at := func() int64 {
		d.must(set.Save())
		places, err := Places(d.path("state"))
		d.must(err)
		return places[d.path("app.log")].Line
	}
	for i := len(records) - 1; i >= 500; i-- {
		if i < 997 { // the others nobody could send
			records[i].Sent()
		}
		records[i].Done()
	}
	if got := at(); got != 0 {
		t.Errorf("nothing is done from the beginning, and the place is line %d", got)
	}
	if got := set.Ahead(); got != 497 {
		t.Errorf("%d records were sent and come again, want 497", got)
	}
	for i := range 499 {
		records[i].Done()
	}
	if got := at(); got != 499 {
		t.Errorf("the place is line %d, want 499", got)
	}
	if got := set.Ahead(); got != 497 {
		t.Errorf("%d records after the place were sent and come again, want 497", got)
	}
	set.Close()
	state.Close() // a kill
	d.same(d.once("app.log"), lines[499:]...)
	records[499].Done()
}

// "Waiting for the file to appear" was said ten times a second.
func TestAFileThatIsAwaitedIsNamedOnce(t *testing.T) {
	w := steered(t, "app")
	w.start(true)
	for range 5 {
		w.look()
	}
	if n := strings.Count(w.said.log.String(), "waiting for"); n != 1 {
		t.Errorf("said %d times", n)
	}
	w.add("app.log", "a")
	w.look()
	w.came("a")
	w.stop(true)
}

// More files than a process may have open took every handle: the client could open no connection, and nothing was sent, of no file.
func TestMoreFilesThanMayBeOpenAreAllRead(t *testing.T) {
	swap(t, &mostOpen, func() int { return 10 })
	d := newFolder(t)
	d.must(os.Mkdir(d.path("logs"), 0o700))
	var want []string
	add := func(text string) {
		for i := range 50 {
			name := "logs/" + strconv.Itoa(i)
			d.add(name, text+name)
			want = append(want, text+name)
		}
	}
	add("a")
	d.same(d.once("logs"), want...)
	want = nil
	add("b")
	if o := d.once("logs"); len(o.faults) > 0 {
		t.Error(o.faults)
	} else {
		d.same(o, want...)
	}
	want = nil
	o, stop := d.follow(run{paths: []string{"logs"}})
	add("c")
	d.arrives(o, want...)
	add("d")
	d.arrives(o, want...)
	d.same(stop(), want...)
	if n := strings.Count(o.log.String(), "\n"); n != 1 {
		t.Errorf("said %d lines, want one: %s", n, o.log.String())
	}
}

// finalFault is one that a file has for good.
type finalFault struct{ error }

func (finalFault) Final() bool { return true }

// A file whose header was wrong was said to be tried again, and never was, not even when somebody had written it anew.
func TestAFileWithAFinalFaultIsReadWhenItIsRewritten(t *testing.T) {
	d := newFolder(t)
	d.add("app.csv", "wrong,header", "a")
	o := &outcome{}
	set, state := d.open(run{paths: []string{"app.csv"}, follow: true}, o)
	t.Cleanup(func() {
		set.Close()
		_ = state.Close()
	})
	set.Release(set.Next(t.Context()), false, finalFault{errors.New("no such column")})
	d.add("app.csv", "b")
	set.turn(d, o)
	if d.same(o); !strings.Contains(o.log.String(), "it is tried again when it has another beginning") {
		t.Errorf("it said: %s", o.log.String())
	}
	pause()
	d.must(os.WriteFile(d.path("app.csv"), []byte("right,header\nc\n"), 0o600))
	for range 3 {
		set.turn(d, o)
	}
	d.same(o, "right,header", "c")
	if losses := set.Losses(); len(losses) != 1 {
		t.Errorf("losses %v", losses)
	}
}
