//go:build unix

package tail

import (
	"fmt"
	"os"
	"testing"
)

// numbered makes an empty file with the number that another one had.
func (w *world) numbered(name string, number uint64) {
	w.Helper()
	var others []string
	for i := range 50 {
		other := fmt.Sprint("other", i)
		w.must(os.WriteFile(w.path(other), nil, 0o600))
		if w.inode(other) == number {
			w.rename(other, name)
			break
		}
		others = append(others, other)
	}
	for _, other := range others {
		w.remove(other)
	}
	if m, err := inspect(w.path(name)); err != nil || m.Ino != number {
		w.Skip("this file system does not give a number again soon")
	}
}

// A file that could not be opened was deleted, and its number went to the next one: that was taken for it, and nothing was said of its lines.
func TestTheNumberOfAFileThatCouldNotBeOpenedTellsNothing(t *testing.T) {
	w := steered(t, "app")
	locked := lockable(t)
	w.add("app.log", "bb")
	number := w.inode("app.log")
	if m, err := inspect(w.path("app.log")); err != nil || bornAt(w.path("app.log"), m.key()) == 0 {
		t.Skip("this file system does not tell when a file was made")
	}
	locked[number] = true
	w.start(true)
	w.remove("app.log")
	w.numbered("app.log", number)
	w.look()
	clear(locked)
	w.add("app.log", "c")
	w.later()
	w.later()
	w.drain()
	losses := w.set.Losses()
	if w.delivered["c"] != 1 || len(w.delivered) != 1 || len(losses) != 1 || losses[0].Bytes != 3 {
		t.Errorf("read %v, losses %v; it said:\n%s", w.delivered, losses, w.said.log.String())
	}
	w.stop(true)
}

// The number of a file that was packed and deleted goes to the next packed file, in which nothing is yet. That was taken for the old one, which
// was looked for under its name from then on: its lines came twice, without a kill, and were called lost.
func TestAPackedFileThatHasJustBeenMadeIsNotTheOneThatHadItsNumber(t *testing.T) {
	w := steered(t, "app")
	w.pattern = true
	want := many("a", 300)
	w.add("app.log", want...)
	w.start(true)
	w.read()
	w.stop(true)
	number := w.inode("app.log")
	w.rename("app.log", "app.log.1")
	w.pack("app.log.1")
	w.numbered("new", number)
	w.rename("app.log.1.gz", "app.log.2.gz")
	w.add("app.log.1", "b")
	w.rename("new", "app.log.1.gz")
	w.start(true)
	w.stop(true)
	w.rename("app.log.2.gz", "app.log.3.gz")
	w.start(true)
	w.later()
	w.came(append(want, "b")...)
	w.stop(true)
}
