//go:build unix

package tail

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// A run may be killed after the rename and before there is a new file: what comes then is no first meeting.
func TestARunThatEndsInTheMiddleOfARotationLosesNothing(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", "a")
	o, stop := d.follow(run{paths: []string{"app.log"}, wait: time.Minute})
	d.arrives(o, "a")
	d.rename("app.log", "app.log.1")
	d.eventually("it is seen to be gone", func() bool {
		places, err := Places(d.path("state"))
		return err == nil && o.save() == nil && len(places) == 0
	})
	stop()
	d.rename("app.log.1", "app.log.2")
	d.add("app.log.1", "b")
	d.add("app.log", "c")
	d.same(d.once("app.log"), "b", "c")
}

// A file may be copied, packed and truncated again before a byte of it was read: only the copies tell that there was anything.
func TestContentThatCameAndWentUnreadIsFoundInItsCopies(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", "a")
	d.same(d.once("app.log"), "a")
	d.truncate("app.log")
	d.same(d.once("app.log"))
	d.add("app.log", "b")
	d.copytruncate("app.log", "app.log.1")
	d.add("app.log", "c")
	d.rename("app.log.1", "app.log.2")
	d.pack("app.log.2")
	d.copytruncate("app.log", "app.log.1")
	d.same(d.once("app.log"), "b", "c")
}

// The number of a packed and deleted file goes to the next one that is packed, which nobody has met.
func TestTheNumberOfADeletedFileHidesNoOther(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", "a")
	d.same(d.once("app.log"), "a")
	for i := range 4 {
		want := []string{}
		for j := range 3 {
			line := string(rune('b'+i)) + string(rune('0'+j))
			want = append(want, line)
			d.add("app.log", line)
			for n := 20; n > 0; n-- {
				from := filepath.Join("app.log." + strconv.Itoa(n) + ".gz")
				if _, err := os.Stat(d.path(from)); err == nil {
					d.rename(from, "app.log."+strconv.Itoa(n+1)+".gz")
				}
			}
			d.copytruncate("app.log", "app.log.1")
			d.pack("app.log.1")
		}
		d.same(d.once("app.log"), want...)
	}
}

// What cannot be read may be packed by who can. Its copy was read, and it was called lost.
func TestAFileThatIsPackedBeforeItCanBeReadIsNotLost(t *testing.T) {
	for _, met := range []bool{false, true} {
		w := steered(t, "app")
		locked := lockable(t)
		w.add("app.log", "a")
		locked[w.inode("app.log")] = true
		w.start(true)
		w.add("app.log", many("b", 30)...)
		w.look()
		w.rename("app.log", "app.log.1")
		w.add("app.log", "c")
		w.look()
		if met {
			w.copy("app.log.1", "original")
			info, err := os.Stat(w.path("app.log.1"))
			w.must(err)
			w.must(os.Chtimes(w.path("original"), info.ModTime(), info.ModTime()))
			w.pack("original")
			w.rename("original.gz", "app.log.1.gz")
			w.look()
			w.remove("app.log.1")
		} else {
			w.pack("app.log.1")
		}
		w.look()
		w.came(append(many("b", 30), "a", "c")...)
		w.later()
		w.later()
		w.came(append(many("b", 30), "a", "c")...)
		w.look()
		if losses := w.set.Losses(); len(losses) > 0 || len(w.set.Faults()) > 0 {
			t.Errorf("losses %v, faults %q", losses, w.set.Faults())
		}
		w.stop(true)
	}
}

// Before a file of a pattern was first seen it may have had another's name. What was made while the folder was being listed, or within
// the tick by which the times of files are behind the clock, was taken for older than the start, and left out in silence.
func TestAFileThatComesDuringAScanAndIsRenamedBeforeTheNextIsNotOlder(t *testing.T) {
	w := steered(t, "app")
	w.start(true)
	w.look()
	began := w.set.lastScan.Add(fileTick)
	w.add("app.log", "a")
	w.rename("app.log", "app.log.1")
	w.must(os.Chtimes(w.path("app.log.1"), began, began.Add(-2*time.Millisecond)))
	w.add("app.log", "b")
	w.look()
	w.came("a", "b")
	w.stop(true)
}
