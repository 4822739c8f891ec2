//go:build unix

package tail

import (
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strings"
	"testing"
)

// steered is a follower that looks and reads when the test says so.
func steered(t *testing.T, names ...string) *world {
	return &world{folder: newFolder(t), rnd: rand.New(rand.NewSource(1)), names: names, delivered: map[string]int{}, written: map[string]bool{}, said: &outcome{}}
}

// came compares what was read so far, in any order.
func (w *world) came(want ...string) {
	w.Helper()
	w.drain()
	var got []string
	for line, n := range w.delivered {
		got = append(got, slices.Repeat([]string{line}, n)...)
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		w.Errorf("read %q, want %q; it said:\n%s", got, want, w.said.log.String())
	}
	if said := w.said.log.String(); strings.Contains(said, "lost:") {
		w.Errorf("it said: %s", said)
	}
}

// A file may be met empty, be written, put aside and packed before it is read: then nothing is known of it that its packed copy could
// be told by, and the copy came too.
func TestAFileThatIsPackedUnreadIsReadOnce(t *testing.T) {
	d := newFolder(t)
	d.must(os.WriteFile(d.path("app.log"), nil, 0o600))
	d.same(d.once("app.log"))
	d.add("app.log", many("a", 30)...)
	d.copy("app.log", "app.log.1")
	d.pack("app.log.1")
	d.rename("app.log", "app.log.1")
	d.add("app.log", "b")
	d.same(d.once("app.log"), append(many("a", 30), "b")...)
}

// A file is read on in its packed copy, and the number that it had goes to the next file that is put aside: that one counted as known,
// and its lines never came.
func TestTheOldNumberOfAFileThatIsReadOnInItsCopyHidesNoOther(t *testing.T) {
	w := steered(t, "app")
	w.add("app.log", many("a", 30)...)
	w.start(true)
	w.came(many("a", 30)...)
	w.stop(true)
	id := w.inode("app.log")
	w.rename("app.log", "app.log.1")
	w.add("app.log", "b")
	w.pack("app.log.1")
	w.start(true)
	w.drain()
	w.must(w.set.Save()) // the state that was written at the start may have taken the number
	w.rename("app.log", "app.log.0")
	want := append(many("a", 30), "b", "last")
	for i := 0; ; i++ {
		name, line := fmt.Sprint("app.log.00", i), fmt.Sprint("c", i)
		want = append(want, line)
		if w.add(name, line); w.inode(name) == id {
			break
		}
		if i == 50 {
			t.Skip("this file system does not give a number again soon")
		}
	}
	w.add("app.log", "last")
	w.look()
	w.came(want...)
	w.stop(true)
}

// A run may be stopped when it has met the second of two files that had a name, and not the first, whose name was in motion: the next
// run took the second one's time for that up to which all is known.
func TestAStopInTheMiddleOfASearchDoesNotEndIt(t *testing.T) {
	w := steered(t, "app")
	w.add("app.log", "a")
	w.start(true)
	w.came("a")
	w.stop(true)
	w.rename("app.log", "app.log.3")
	w.add("app.log.2", "b")
	pause()
	w.add("app.log.1", "c")
	hide := func(path string) (*os.File, error) {
		if path == w.path("app.log.2") {
			return nil, os.ErrNotExist
		}
		return os.Open(path)
	}
	swap(t, &openFile, hide)
	w.start(true)
	w.came("a", "c")
	w.stop(true)
	openFile = os.Open
	w.add("app.log", "d")
	w.start(true)
	w.came("a", "b", "c", "d")
	w.stop(true)
}

// The name moves on between a look at it and its opening, and the number that it had is that of a file which was packed and deleted:
// the two names were mixed up, and lines called lost.
func TestANameThatMovesBeforeItIsOpenedProvesNothing(t *testing.T) {
	w := steered(t, "one", "two")
	w.add("one.log", many("a", 3)...)
	w.add("two.log", "b")
	w.start(true)
	w.came(append(many("a", 3), "b")...)
	w.stop(true)
	id := w.inode("one.log")
	w.pack("one.log")
	w.rename("one.log.gz", "one.log.1.gz")
	w.rename("two.log", "two.log.1")
	w.add("two.log", "c")
	if w.inode("two.log") != id {
		t.Skip("this file system does not give a number again at once")
	}
	moved := false
	swap(t, &openFile, func(path string) (*os.File, error) {
		if path == w.path("two.log") && !moved {
			moved = true
			w.rename("two.log", "two.log.0")
		}
		return os.Open(path)
	})
	w.start(true)
	w.add("two.log", "d")
	w.add("one.log", "e")
	w.look()
	w.stop(true)
	w.start(false)
	w.came(append(many("a", 3), "b", "c", "d", "e")...)
	w.stop(true)
}

// Packed files are shifted between the listing of their folder and the opening of the one that is sought. What has its name then was
// opened, and the sought one taken for damaged: lines that lay there were called lost, of all files that a shift had moved.
func TestAPackedFileThatMovesBeforeItIsOpenedIsNotDamaged(t *testing.T) {
	w := steered(t, "app")
	w.add("app.log", "a")
	w.start(true)
	w.came("a")
	w.stop(true)
	w.add("app.log", many("b", 30)...)
	w.rename("app.log", "app.log.1")
	w.pack("app.log.1")
	w.add("app.log", "d")
	moved := false
	swap(t, &openFile, func(path string) (*os.File, error) {
		if path == w.path("app.log.1.gz") && !moved {
			moved = true
			w.rename("app.log.1.gz", "app.log.2.gz")
			w.add("app.log.1", "c")
			w.pack("app.log.1")
		}
		return os.Open(path)
	})
	w.start(true)
	w.later()
	w.came(append(many("b", 30), "a", "c", "d")...)
	w.stop(true)
}

// later lets time pass, and looks.
func (w *world) later() {
	w.set.mu.Lock()
	w.set.age()
	w.set.mu.Unlock()
	w.look()
}

// A new file has rights that keep it from being read, as logrotate's "create 0600 root" gives them, and is put aside before somebody gives it others.
// It counted as one that had been there before all, or as none: its lines never came, nothing named them, and the status was 0.
func TestAFileThatIsPutAsideBeforeItCanBeReadIsReadWhenItCan(t *testing.T) {
	for _, first := range []bool{true, false} {
		for _, removed := range []bool{true, false} {
			w := steered(t, "app")
			locked := lockable(t)
			want := []string{"c"}
			if !first {
				w.add("app.log", "a")
				w.start(true)
				w.came("a")
				w.rename("app.log", "app.log.2")
				want = append(want, "a")
			}
			w.add("app.log", "b")
			locked[w.inode("app.log")] = true
			if first {
				w.start(true)
			}
			w.look()
			w.rename("app.log", "app.log.1")
			w.add("app.log", "c")
			w.look()
			w.came(want...)
			if faults := w.set.Faults(); len(faults) != 1 || !strings.HasSuffix(faults[0], "app.log.1: permission denied") {
				t.Errorf("faults %q", faults)
			}
			if removed {
				w.remove("app.log.1")
				w.later()
				w.later()
				if losses := w.set.Losses(); len(losses) != 1 || losses[0].Bytes != 2 || len(w.set.Faults()) > 0 {
					t.Errorf("losses %v, faults %q", losses, w.set.Faults())
				}
			} else {
				clear(locked)
				w.later()
				w.came(append(want, "b")...)
			}
			w.stop(true)
		}
	}
}

// Editors and rsync put a longer copy in a file's place. All lines came again with each of them, though a run that was stopped meanwhile
// had continued.
func TestALongerCopyInAFilesPlaceIsReadOn(t *testing.T) {
	w := steered(t, "app")
	w.add("app.log", many("a", 300)...)
	w.start(true)
	w.came(many("a", 300)...)
	want := many("a", 300)
	for _, line := range []string{"b", "c"} {
		w.look()
		w.copy("app.log", ".app.log.new")
		w.add(".app.log.new", line)
		w.rename(".app.log.new", "app.log")
		want = append(want, line)
		w.look()
		w.came(want...)
	}
	w.must(os.WriteFile(w.path(".app.log.new"), []byte("another beginning\n"), 0o600))
	w.rename(".app.log.new", "app.log")
	w.look()
	w.came(append(want, "another beginning")...)
	w.stop(true)
}

// replacedWhileOpen follows app.log, and has a copy with one line more take its place, while its writer has it open. want is what came
// before that.
func replacedWhileOpen(t *testing.T) (w *world, writer *os.File, want []string) {
	w = steered(t, "app")
	want = many("a", 300)
	w.add("app.log", want...)
	writer, err := os.OpenFile(w.path("app.log"), os.O_APPEND|os.O_WRONLY, 0)
	w.must(err)
	t.Cleanup(func() { _ = writer.Close() })
	w.start(true)
	w.came(want...)
	w.copy("app.log", ".app.log.new")
	w.add(".app.log.new", "in the copy")
	w.rename(".app.log.new", "app.log")
	w.look()
	return w, writer, want
}

// Where a copy took a file's place, the file was closed at once: what its writer, who had it open, wrote to it later came never, in silence.
func TestAFileThatWasReplacedIsReadOnWhileItsWriterGoesOn(t *testing.T) {
	w, writer, want := replacedWhileOpen(t)
	_, err := writer.WriteString("late\n")
	w.must(err)
	w.look()
	want = append(want, "in the copy", "late")
	w.came(want...)
	w.later()
	w.later()
	w.add("app.log", "more")
	w.look()
	w.came(append(want, "more")...)
	w.stop(true)
	w.start(true)
	w.came(append(want, "more")...)
	if losses := w.set.Losses(); len(losses) > 0 {
		t.Errorf("losses %v", losses)
	}
	w.stop(true)
}

// What had been read of a replaced file counted twice in how much there is to read: the bar never came to its end.
func TestAReplacedFileCountsOnceInWhatThereIsToRead(t *testing.T) {
	w, _, _ := replacedWhileOpen(t)
	info, err := os.Stat(w.path("app.log"))
	w.must(err)
	w.came(append(many("a", 300), "in the copy")...)
	if got := w.set.Size(); got != info.Size() {
		t.Errorf("%d bytes to read, want %d", got, info.Size())
	}
	w.stop(true)
}

// A replaced file whose writer wrote for a day more was forgotten with its handle open, and what came then was never sent.
func TestAReplacedFileIsNotForgottenWhileItIsRead(t *testing.T) {
	w, writer, want := replacedWhileOpen(t)
	w.set.mu.Lock()
	for _, f := range w.set.files {
		if !f.gone.IsZero() {
			f.gone = f.gone.Add(-forget)
		}
	}
	w.set.mu.Unlock()
	_, err := writer.WriteString("late\n")
	w.must(err)
	w.look()
	w.came(append(want, "in the copy", "late")...)
	w.stop(true)
}

// A pattern may match what copytruncate leaves. The copy was taken for a new file when its original had been truncated already, and
// all came twice; a file whose turn to be read had come was handed out closed.
func TestACopyUnderAPatternWhoseOriginalIsTruncatedIsNotReadAgain(t *testing.T) {
	for _, read := range []bool{true, false} {
		w := steered(t, "app")
		w.pattern = true
		w.names = []string{"app"}
		w.add("app.log", many("a", 300)...)
		set, state := w.open(run{paths: []string{"app.log*"}, follow: true}, w.said)
		w.set, w.state = set, state
		if w.read(); read {
			w.drain()
		}
		w.look() // it is in the queue again, if there is more
		w.copytruncate("app.log", "app.log.1")
		w.look()
		w.add("app.log", "b")
		w.look()
		w.came(append(many("a", 300), "b")...)
		w.stop(true)
	}
}
