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
