//go:build unix

package tail

import (
	"os"
	"testing"
)

// A file may be put aside into a folder beside its own, as with logrotate's olddir, while nobody looks. What had been written to it since was
// gone with a warning that named no loss, and the status was 0. Other programs put their files there, too.
func TestAFileThatWasPutAsideBesideItsFolderIsReadOn(t *testing.T) {
	for _, packed := range []bool{false, true} {
		w := steered(t, "log/app")
		w.must(os.Mkdir(w.path("log"), 0o700))
		w.must(os.Mkdir(w.path("old"), 0o700))
		want := many("a", 300)
		w.add("log/app.log", want...)
		w.start(true)
		w.came(want...)
		w.stop(true)
		w.add("log/app.log", many("b", 5)...)
		w.rename("log/app.log", "old/app.log.2")
		if packed {
			w.pack("old/app.log.2")
		}
		pause()
		w.add("old/app.log.1", "c")
		w.add("log/app.log", "d")
		w.start(true)
		w.later()
		w.came(append(append(want, many("b", 5)...), "c", "d")...)
		w.stop(true)
	}
}

// Folders beside have files of other programs, which may begin with the same header.
func TestAHeaderProvesNothingInAFolderBeside(t *testing.T) {
	w := steered(t, "one/app")
	w.must(os.Mkdir(w.path("one"), 0o700))
	w.must(os.Mkdir(w.path("two"), 0o700))
	w.add("one/app.log", "header")
	w.start(true)
	w.came("header")
	w.stop(true)
	w.add("two/app.log.1", "header", "not asked for")
	w.remove("one/app.log")
	w.start(true)
	w.later()
	w.came("header")
	w.stop(true)
}

// Two rotations into a folder beside between two looks, as of a process that was stopped: the file between them was never sent, in silence.
// What others have in that folder is not asked for.
func TestAFileThatWasPutAsideBesideUnseenIsRead(t *testing.T) {
	w := steered(t, "log/app")
	w.must(os.Mkdir(w.path("log"), 0o700))
	w.must(os.Mkdir(w.path("old"), 0o700))
	w.must(os.Mkdir(w.path("other"), 0o700))
	want := many("a", 300)
	w.add("log/app.log", want...)
	w.start(true)
	w.came(want...)
	w.rename("log/app.log", "old/app.log.1")
	w.add("log/app.log", many("b", 5)...)
	w.rename("log/app.log", "old/app.log.2")
	w.add("old/other.log.2", "not asked for")
	w.add("other/app.log.2", "not asked for")
	w.add("log/app.log", "c")
	w.look()
	w.look()
	w.came(append(append(want, many("b", 5)...), "c")...)
	w.stop(true)
}

// Two programs whose names differ in a number, rotated by number: where one was rotated its neighbour's old files, which had been read or
// which nobody had asked for, were sent as its own.
func TestOldFilesOfANeighbourWithANumberAreNotTaken(t *testing.T) {
	w := steered(t, "app-1")
	w.add("app-1.log", many("a", 300)...)
	w.start(true)
	w.came(many("a", 300)...)
	w.rename("app-1.log", "app-1.log.1")
	w.add("app-2.log.1", "not asked for")
	w.add("app-2.log.2.gz", "not asked for")
	w.add("app-1.log", "b")
	w.look()
	w.look()
	w.came(append(many("a", 300), "b")...)
	w.stop(true)
}
